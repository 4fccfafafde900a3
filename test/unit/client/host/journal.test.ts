// What was changed is on disk before it is changed, and undone newest first, by whoever comes next.
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NftablesFirewall } from '../../../../client/host/firewall/nftables.ts';
import { type HostChange, Journal } from '../../../../client/host/journal.ts';
import { openForRestore, undoAll } from '../../../../client/host/restore.ts';
import { IpRoutes } from '../../../../client/host/routes/ip-route.ts';
import { planRoutes } from '../../../../client/host/routes/plan.ts';
import type { SysctlFiles } from '../../../../client/host/sysctl.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import type { Run } from '../../../../shared/node/run.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const place = { boot: 'b1', netns: 'net:[1]' };
const table: HostChange = { kind: 'nft-table', family: 'inet', table: 'culvert' };
const rule: HostChange = { kind: 'ip-rule', family: 4, words: ['pref', '8383', 'lookup', '8383'] };
const sysctl: HostChange = {
  kind: 'sysctl',
  path: 'net/ipv4/conf/all/src_valid_mark',
  before: '0',
  after: '1',
};

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-journal-'));
  path = join(folder, 'journal.jsonl');
});

afterEach(() => rmSync(folder, { recursive: true }));

function fakeRun(answers: (line: string) => number = () => 0): { run: Run; lines: string[] } {
  const lines: string[] = [];
  const run: Run = async (program, parameters, options) => {
    const line = [program, ...parameters, options?.stdin ?? ''].join(' ').trim();
    lines.push(line);
    const errno = answers(line);
    if (errno !== 0) throw new CulvertError('command-failed', { text: `${line}: failed`, errno });
    return { exitCode: 0, stdout: '', stderr: '' };
  };
  return { run, lines };
}

function fakeSysctl(values: Record<string, string>): SysctlFiles {
  return {
    read: (name) => values[name],
    write: (name, value) => {
      values[name] = value;
      return true;
    },
  };
}

describe('the journal', () => {
  test('survives its writer, newest first, readable by the owner only', () => {
    const journal = new Journal(path, place);
    journal.record(table);
    journal.record(rule);

    expect(new Journal(path, place).pending()).toEqual([rule, table]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('holds a change once, with the first value from before', () => {
    const journal = new Journal(path, place);
    journal.record(sysctl);
    journal.record({ ...sysctl, before: '1' });

    expect(journal.pending()).toEqual([sysctl]);
  });

  test('is gone once everything is undone', () => {
    const journal = new Journal(path, place);
    journal.record(table);
    journal.record(rule);
    journal.forget(rule);
    const between = new Journal(path, place).pending();
    journal.forget(table);

    expect(between).toEqual([table]);
    expect(existsSync(path)).toBe(false);
  });

  test('knows nothing of an earlier boot', () => {
    new Journal(path, { ...place, boot: 'b0' }).record(table);

    const journal = new Journal(path, place);
    const before = journal.pending();
    journal.record(rule);

    expect(before).toEqual([]);
    expect(readFileSync(path, 'utf8')).not.toContain('b0');
  });

  test('leaves entries of another network namespace alone', () => {
    const other = { ...place, netns: 'net:[2]' };
    new Journal(path, other).record(table);
    const journal = new Journal(path, place);
    journal.record(rule);
    journal.forget(rule);

    expect(journal.pending()).toEqual([]);
    expect(new Journal(path, other).pending()).toEqual([table]);
  });

  test('leaves out a line that was never finished: its change was not made', () => {
    new Journal(path, place).record(table);
    appendFileSync(path, '{"boot":"b1","ne');

    expect(new Journal(path, place).pending()).toEqual([table]);
  });

  test.each(['rubbish\n', '{"boot":"b1","netns":"x","change":{"kind":"run","argv":["rm"]}}\n', '[]\n'])(
    'refuses %j',
    (text) => {
      writeFileSync(path, text);

      expect(() => new Journal(path, place)).toThrow(expect.objectContaining({ code: 'journal-unreadable' }));
    },
  );
});

describe('changes to the host', () => {
  test('are in the journal when the program runs, not after', async () => {
    const journal = new Journal(path, place);
    const seen: string[] = [];
    const run: Run = async (program) => {
      seen.push(`${program}: ${existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').length : 0}`);
      return { exitCode: 0, stdout: '', stderr: '' };
    };
    const policy = { kind: 'blocked', interfaceName: 'culvert0', mark: 1, scope: 'everything' } as const;

    await new NftablesFirewall({ journal, run, log: silentLog }).apply({
      ...policy,
      endpoints: [],
      nameServers: [],
      addresses: [],
    });

    expect(seen).toEqual(['nft: 1']);
  });

  test('of routes name what they do, and go on where a rule is left from before', async () => {
    const journal = new Journal(path, place);
    const { run, lines } = fakeRun((line) => (line.includes('rule add') ? 17 : 0));
    const values = { 'net/ipv4/conf/all/src_valid_mark': '0' };
    const plan = planRoutes({
      interfaceName: 'culvert0',
      addresses: ['10.9.0.2/24'],
      allowedIps: ['10.0.0.0/8'],
      mtu: 1400,
      ipv6: false,
    });

    await new IpRoutes({ journal, run, sysctl: fakeSysctl(values), log: silentLog }).apply(plan);

    expect(lines).toEqual([
      'ip -batch - address replace 10.9.0.2/24 dev culvert0\nlink set dev culvert0 mtu 1400 up',
      [
        'ip -4 -batch - route replace 10.0.0.0/8 dev culvert0 table 8383',
        'rule add pref 8383 not fwmark 0x8383 lookup 8383',
      ].join('\n'),
      'ip -4 rule add pref 8383 not fwmark 0x8383 lookup 8383',
    ]);
    expect(journal.pending().map((change) => change.kind)).toEqual(['ip-rule', 'sysctl']);
    expect(values['net/ipv4/conf/all/src_valid_mark']).toBe('1');
  });

  test('that fail for another reason are failures', async () => {
    const { run } = fakeRun((line) => (line.includes('rule add') ? 1 : 0));
    const options = { journal: new Journal(path, place), run, sysctl: fakeSysctl({}), log: silentLog };
    const shape = {
      interfaceName: 'culvert0',
      addresses: [],
      allowedIps: ['0.0.0.0/0'],
      mtu: 1400,
      ipv6: false,
    };

    await expect(new IpRoutes(options).apply(planRoutes(shape))).rejects.toMatchObject({ errno: 1 });
  });
});

describe('restore', () => {
  test('undoes everything, the firewall last, and then knows of nothing more', async () => {
    const journal = new Journal(path, place);
    for (const change of [table, sysctl, rule]) journal.record(change);
    const { run, lines } = fakeRun();
    const values = { 'net/ipv4/conf/all/src_valid_mark': '1' };

    const undone = await undoAll(journal, { run, sysctl: fakeSysctl(values) });
    const again = await undoAll(journal, { run, sysctl: fakeSysctl(values) });

    expect(lines).toEqual([
      'ip -4 rule del pref 8383 lookup 8383',
      'nft -f - add table inet culvert\ndelete table inet culvert',
    ]);
    expect(values['net/ipv4/conf/all/src_valid_mark']).toBe('0');
    expect(undone).toHaveLength(3);
    expect(again).toEqual([]);
  });

  test('takes things that are gone for undone', async () => {
    const journal = new Journal(path, place);
    journal.record(rule);
    const { run } = fakeRun(() => 2);

    await undoAll(journal, { run, sysctl: fakeSysctl({}) });

    expect(journal.pending()).toEqual([]);
  });

  test('leaves a kernel setting that somebody else changed since', async () => {
    const journal = new Journal(path, place);
    journal.record({ ...sysctl, before: '0', after: '1' });
    const values = { 'net/ipv4/conf/all/src_valid_mark': '2' };

    await undoAll(journal, { run: fakeRun().run, sysctl: fakeSysctl(values) });

    expect(values['net/ipv4/conf/all/src_valid_mark']).toBe('2');
  });

  test('tries the rest where one step fails, says so, and keeps that step for the next time', async () => {
    const journal = new Journal(path, place);
    for (const change of [table, rule]) journal.record(change);
    const { run, lines } = fakeRun((line) => (line.startsWith('ip') ? 1 : 0));

    await expect(undoAll(journal, { run, sysctl: fakeSysctl({}) })).rejects.toMatchObject({
      code: 'restore-incomplete',
    });

    expect(lines).toHaveLength(2);
    expect(new Journal(path, place).pending()).toEqual([rule]);
  });

  test('of a journal that makes no sense undoes all that culvert ever does', async () => {
    writeFileSync(path, 'rubbish\n');
    const { run, lines } = fakeRun();

    await undoAll(openForRestore(path, place), { run, sysctl: fakeSysctl({}) });

    expect(lines.at(-1)).toContain('delete table inet culvert');
    expect(lines.filter((line) => line.startsWith('ip'))).toHaveLength(6);
    expect(existsSync(path)).toBe(false);
  });
});
