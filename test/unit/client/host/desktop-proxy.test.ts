// What desktops are told, and what happens where a program of theirs misbehaves.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type DesktopProxyTools,
  desktopJournal,
  desktopJournalForRestore,
  desktopProxyStatus,
  setDesktopProxy,
} from '../../../../client/host/desktop-proxy/desktop-proxy.ts';
import { desktopValues } from '../../../../client/host/desktop-proxy/plan.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import type { Run } from '../../../../shared/node/run.ts';

const proxy = { host: '127.0.0.1', port: 40_000 };
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-desktop-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** gsettings without anything behind it: defaults, choices, and a log of what was written when. */
class FakeGnome {
  readonly defaults: Record<string, string>;
  readonly chosen = new Map<string, string>();
  readonly log: string[] = [];
  /** Key that loses whatever is written to it. */
  forgetful = '';
  onSet: (key: string) => void = () => {};

  constructor() {
    const values = desktopValues('gnome', proxy, '/');
    this.defaults = Object.fromEntries(values.map(({ place, key }) => [`${place} ${key}`, `'default'`]));
  }

  readonly run: Run = async (program, words) => {
    const [verb = '', place, key, value = ''] = words;
    const name = `${place} ${key}`;
    if (program !== 'gsettings') throw new CulvertError('tool-missing');
    if (verb === 'reset') this.chosen.delete(name);
    if (verb === 'set') {
      this.onSet(name);
      this.log.push(name);
      if (name !== this.forgetful) this.chosen.set(name, value);
    }
    return {
      exitCode: 0,
      stdout: `${this.chosen.get(name) ?? this.defaults[name] ?? "'none'"}\n`,
      stderr: '',
    };
  };
}

function toolsOf(run: Run): DesktopProxyTools {
  return { run, home: folder, journal: desktopJournal(folder) };
}

const variables = (): string => join(folder, '.config/environment.d/60-culvert-proxy.conf');

describe('the values of a desktop', () => {
  test.each([
    ['gnome', 'org.gnome.system.proxy mode'],
    ['kde', 'Proxy Settings ProxyType'],
  ] as const)('switch %s over last, when everything else stands', (store, last) => {
    const values = desktopValues(store, proxy, '/home/user');

    const final = values.at(-1);
    expect(`${final?.place} ${final?.key}`).toBe(last);
    expect(new Set(values.map((value) => `${value.place} ${value.key}`)).size).toBe(values.length);
  });
});

describe('setting the proxy of a desktop', () => {
  test('writes every old value down before it changes it', async () => {
    const gnome = new FakeGnome();
    const unwritten: string[] = [];
    gnome.onSet = (name) => {
      const text = existsSync(join(folder, 'desktop-journal.jsonl'))
        ? readFileSync(join(folder, 'desktop-journal.jsonl'), 'utf8')
        : '';
      const [place, key] = name.split(' ');
      if (!text.includes(`"place":"${place}","key":"${key}"`)) unwritten.push(name);
    };

    await setDesktopProxy(proxy, toolsOf(gnome.run));

    expect(gnome.log.length).toBeGreaterThan(5);
    expect(unwritten).toEqual([]);
  });

  test('is undone by another process, which only has the journal, in the reverse order', async () => {
    const gnome = new FakeGnome();
    gnome.chosen.set('org.gnome.system.proxy.http host', "'corp'");
    await setDesktopProxy(proxy, toolsOf(gnome.run));

    const outcome = await setDesktopProxy(undefined, toolsOf(gnome.run));

    expect(outcome).toEqual({ stores: [], notes: [] });
    expect([...gnome.chosen]).toEqual([['org.gnome.system.proxy.http host', "'corp'"]]);
    expect(existsSync(variables())).toBe(false);
  });

  test('twice is the same as once', async () => {
    const gnome = new FakeGnome();
    await setDesktopProxy(proxy, toolsOf(gnome.run));
    const writes = gnome.log.length;

    const outcome = await setDesktopProxy(proxy, toolsOf(gnome.run));

    expect(gnome.log.length).toBe(writes);
    expect(outcome.stores).toEqual(['gnome', 'environment']);
  });

  test('leaves a desktop as it was that does not keep what it is told, and says so', async () => {
    const gnome = new FakeGnome();
    gnome.forgetful = 'org.gnome.system.proxy mode';

    const outcome = await setDesktopProxy(proxy, toolsOf(gnome.run));

    expect(outcome.stores).toEqual(['environment']);
    expect(outcome.notes).toEqual([
      'GNOME was left as it is: org.gnome.system.proxy mode does not keep its value.',
    ]);
    expect(gnome.chosen.size).toBe(0);
  });

  test('without any desktop there is still the environment of new sessions', async () => {
    const nothing: Run = () => Promise.reject(new CulvertError('tool-missing'));
    const tools = toolsOf(nothing);

    await setDesktopProxy(proxy, tools);

    expect(await desktopProxyStatus(tools)).toEqual({ stores: ['environment'], changedSince: [] });
    expect(readFileSync(variables(), 'utf8')).toContain('\nALL_PROXY=socks5h://127.0.0.1:40000\n');
  });

  test('what somebody changed since is shown and left alone', async () => {
    const gnome = new FakeGnome();
    await setDesktopProxy(proxy, toolsOf(gnome.run));
    gnome.chosen.set('org.gnome.system.proxy mode', "'auto'");

    const status = await desktopProxyStatus(toolsOf(gnome.run));
    const outcome = await setDesktopProxy(undefined, toolsOf(gnome.run));

    expect(status.changedSince).toEqual(['org.gnome.system.proxy mode']);
    expect(outcome.notes).toHaveLength(1);
    expect([...gnome.chosen]).toEqual([['org.gnome.system.proxy mode', "'auto'"]]);
  });

  test('a journal that cannot be read is put aside by restore, not lost', () => {
    const path = join(folder, 'desktop-journal.jsonl');
    writeFileSync(path, 'not a line of ours\n');

    const opened = desktopJournalForRestore(folder);

    expect(opened.isLost).toBe(true);
    expect(opened.journal.pending()).toEqual([]);
    expect(readFileSync(`${path}.unreadable`, 'utf8')).toBe('not a line of ours\n');
  });
});
