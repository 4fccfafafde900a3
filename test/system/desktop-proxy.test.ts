// `culvert proxy system` with the programs of real desktops, each in a session and a home of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { connectedStatus, type ExecWorld, openExecWorld } from './support/exec-world.ts';

const entry = fileURLToPath(new URL('../../client/main.ts', import.meta.url));
/** An account without a desktop; as root we would write to the system's own state directory. */
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
const asUser = isRoot
  ? ['setpriv', '--reuid', String(nobody), '--regid', String(nobody), '--clear-groups']
  : [];
const off = 'The desktop does not use the proxy of culvert.\n';

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

let world: ExecWorld;
let home = '';

beforeAll(async () => {
  world = await openExecWorld();
});
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'culvert-desktop-'));
  if (isRoot) chownSync(home, nobody, nobody);
  world.status = connectedStatus(40_000);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));
afterAll(() => world.close());

/** In a login session of its own; only files outlive it. */
async function inSession(...command: string[]): Promise<Outcome> {
  const [program = '', ...words] = [...asUser, 'dbus-run-session', '--', ...command];
  const env = { PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: home, LC_ALL: 'C' };
  const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  const lines = Buffer.concat(err)
    .toString()
    .split(/(?<=\n)/);
  const own = lines.filter((line) => !line.startsWith('dbus-daemon['));
  return { code, out: Buffer.concat(out).toString(), err: own.join('') };
}

function culvert(...words: string[]): Promise<Outcome> {
  return inSession(process.execPath, entry, ...words, '--socket', world.socket);
}

async function read(...command: string[]): Promise<string> {
  const { code, out, err } = await inSession(...command);
  if (code !== 0) throw new Error(`${command.join(' ')}: ${err}`);
  return out;
}

const journal = (): string => join(home, '.local/state/culvert/desktop-journal.jsonl');
const variables = (): string => join(home, '.config/environment.d/60-culvert-proxy.conf');

function expectNothingLeft(): void {
  expect(existsSync(journal())).toBe(false);
  expect(existsSync(variables())).toBe(false);
}

describeWith({ tools: ['dbus-run-session', 'gsettings'] }, 'the proxy of GNOME', () => {
  const schema = 'org.gnome.system.proxy';
  const settings = (): Promise<string> => read('gsettings', 'list-recursively', schema);

  test('is set, shown, and put back exactly, across sessions', async () => {
    await read('gsettings', 'set', `${schema}.http`, 'host', 'proxy.corp.example');
    await read('gsettings', 'set', `${schema}.http`, 'port', '3128');
    await read('gsettings', 'set', schema, 'ignore-hosts', "['intranet.example']");
    const before = await settings();

    const on = await culvert('proxy', 'system', 'on');
    const during = await settings();
    const shown = await culvert('proxy', 'system', '--json');
    const undone = await culvert('proxy', 'system', 'off');

    expect(on.code).toBe(0);
    expect(on.out).toMatch(/^The desktop uses the proxy of culvert \(gnome/);
    for (const kind of ['http', 'https', 'socks']) {
      expect(during).toContain(`${schema}.${kind} host '127.0.0.1'\n`);
      expect(during).toContain(`${schema}.${kind} port 40000\n`);
    }
    expect(during).toContain(`${schema} mode 'manual'\n`);
    expect(JSON.parse(shown.out)).toMatchObject({ stores: expect.arrayContaining(['gnome']), notes: [] });
    expect(undone).toMatchObject({ code: 0, out: off, err: '' });
    expect(await settings()).toBe(before);
    expectNothingLeft();
  });

  test('follows a new port, and still goes back to what was there before', async () => {
    const before = await settings();
    await culvert('proxy', 'system', 'on');
    world.status = connectedStatus(41_000);
    await culvert('proxy', 'system', 'on');
    const again = await culvert('proxy', 'system', 'on');

    expect(again.code).toBe(0);
    expect(await settings()).toContain(`${schema}.socks port 41000\n`);
    await culvert('proxy', 'system', 'off');
    expect(await settings()).toBe(before);
  });

  test('leaves alone what somebody else changed since, and says so', async () => {
    await culvert('proxy', 'system', 'on');
    await read('gsettings', 'set', schema, 'mode', "'auto'");

    const shown = await culvert('proxy', 'system');
    const undone = await culvert('proxy', 'system', 'off');

    expect(shown.err).toBe(`${schema} mode was changed by somebody else since.\n`);
    expect(undone.err).toBe(`${schema} mode was changed by somebody else since, so it was left alone.\n`);
    expect(await settings()).toContain(`${schema} mode 'auto'\n`);
    expect(await settings()).toContain(`${schema}.http host ''\n`);
    expectNothingLeft();
  });

  test('is put back by restore, with no daemon', async () => {
    const before = await settings();
    await culvert('proxy', 'system', 'on');

    const restored = await inSession(process.execPath, entry, 'restore');

    expect(restored.code).toBe(0);
    expect(restored.out).toContain(`desktop: set ${schema} mode back to 'none'\n`);
    expect(await settings()).toBe(before);
    expectNothingLeft();
  });

  test('is put back by restore where the change stopped half way', async () => {
    const before = await settings();
    await culvert('proxy', 'system', 'on');
    // As after a kill between the first and the second value: written down, only one made.
    const lines = readFileSync(journal(), 'utf8').split('\n').slice(0, 2);
    await read('gsettings', 'reset-recursively', schema);
    for (const kind of ['http', 'https', 'socks'])
      await read('gsettings', 'reset-recursively', `${schema}.${kind}`);
    await read('gsettings', 'set', `${schema}.http`, 'host', '127.0.0.1');
    rmSync(variables());
    writeFileSync(journal(), `${lines.join('\n')}\n`);
    appendFileSync(journal(), '{"boot":"any","ne');

    const restored = await inSession(process.execPath, entry, 'restore');

    expect(restored.code).toBe(0);
    expect(await settings()).toBe(before);
    expectNothingLeft();
  });
});

describeWith({ tools: ['dbus-run-session', 'kreadconfig5', 'kwriteconfig5'] }, 'the proxy of KDE', () => {
  const file = (): string => join(home, '.config/kioslaverc');
  const content = (): string => (existsSync(file()) ? readFileSync(file(), 'utf8') : '');

  test('is set, and put back exactly', async () => {
    mkdirSync(join(home, '.config'));
    const before = '[Proxy Settings]\nProxyType=2\nhttpProxy=http://proxy.corp.example 3128\n';
    writeFileSync(file(), before);
    if (isRoot) for (const path of [join(home, '.config'), file()]) chownSync(path, nobody, nobody);

    const on = await culvert('proxy', 'system', 'on');
    const during = content();
    await culvert('proxy', 'system', 'off');

    expect(on.out).toContain('kde');
    expect(during).toContain('ProxyType=1\n');
    expect(during).toContain('httpProxy=http://127.0.0.1 40000\n');
    expect(during).toContain('socksProxy=socks://127.0.0.1 40000\n');
    expect(content()).toBe(before);
    expectNothingLeft();
  });

  test('had no file before, and says nothing afterwards', async () => {
    await culvert('proxy', 'system', 'on');
    await culvert('proxy', 'system', 'off');

    expect(content().replace('[Proxy Settings]\n', '').trim()).toBe('');
  });
});

describeWith({ tools: ['dbus-run-session'] }, 'the environment of new sessions', () => {
  test('has the variables in both spellings', async () => {
    await culvert('proxy', 'system', 'on');

    const text = readFileSync(variables(), 'utf8');

    for (const line of [
      'all_proxy=socks5h://127.0.0.1:40000',
      'HTTPS_PROXY=http://127.0.0.1:40000',
      'NO_PROXY=localhost,127.0.0.0/8,::1',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
  });

  test('keeps a file of that name that somebody wrote since', async () => {
    await culvert('proxy', 'system', 'on');
    writeFileSync(variables(), 'http_proxy=http://mine:1\n');

    const undone = await culvert('proxy', 'system', 'off');

    expect(undone.err).toContain('left alone');
    expect(readFileSync(variables(), 'utf8')).toBe('http_proxy=http://mine:1\n');
  });

  test('wrong usage changes nothing', async () => {
    const outcome = await culvert('proxy', 'system', 'maybe');

    expect(outcome.code).toBe(2);
    expectNothingLeft();
  });
});
