// The command line as a person meets it: the real program, started for each test.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { hasNetAdmin } from '../../../../client/host/privileges.ts';

const entry = fileURLToPath(new URL('../../../../client/main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'culvert-cli-'));
const socket = join(folder, 'control.sock');

afterAll(() => rmSync(folder, { recursive: true }));

function culvert(...words: string[]): { code: number | null; out: string; err: string } {
  const env = { ...process.env, COLUMNS: '100' };
  const result = spawnSync(process.execPath, [entry, ...words], { encoding: 'utf8', env });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

describe('culvert', () => {
  test('lists its commands with --help', () => {
    const { code, out, err } = culvert('--help');

    expect(code).toBe(0);
    expect(err).toBe('');
    for (const command of [
      'connect',
      'disconnect',
      'status',
      'import',
      'edge',
      'mode',
      'proxy',
      'settings',
      'restore',
    ]) {
      expect(out).toContain(`\n  ${command} `);
    }
  });

  test('prints its version', () => {
    const { code, out } = culvert('--version');

    expect(code).toBe(0);
    expect(out.trim()).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test.each([
    ['no command', []],
    ['an unknown command', ['conect']],
    ['an unknown flag', ['status', '--loud']],
    ['a missing argument', ['import']],
    ['a wrong duration', ['connect', '--timeout', 'soon']],
    ['an argument too many', ['disconnect', 'now']],
    ['no command of edge', ['edge']],
  ])('exits 2 on %s', (_title, words) => {
    const { code, out, err } = culvert(...words);

    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).not.toBe('');
  });

  test('says wrong usage as one JSON object with --json', () => {
    const { code, err } = culvert('status', '--loud', '--json');

    expect(code).toBe(2);
    expect(JSON.parse(err)).toEqual({
      code: 'bad-usage',
      text: expect.stringContaining('--loud'),
      remedy: expect.stringContaining('--help'),
    });
  });

  test.each([
    [['status']],
    [['disconnect']],
    [['reconnect']],
    [['edge', 'list']],
    [['edge', 'use', 'home']],
    [['settings', 'list']],
    [['logs']],
    [['tunnel', 'list']],
    [['tunnel', 'ip', 'add', '192.0.2.0/24']],
    [['lan', 'allow', '15m']],
    [['dns', 'families', 'full']],
    [['path', 'list']],
    [['pause', '15m']],
    [['trusted', 'list']],
  ])('%j without a daemon exits 1 and names the line that starts it', (words) => {
    const { code, out, err } = culvert(...words, '--socket', socket);

    expect(code).toBe(1);
    expect(out).toBe('');
    expect(err).toContain('[daemon-not-running]');
    expect(err).toContain(`culvert daemon --socket ${socket}`);
  });

  test('says a failure as one JSON object with --json', () => {
    const { code, err } = culvert('status', '--json', '--socket', socket);

    expect(code).toBe(1);
    expect(JSON.parse(err)).toMatchObject({ code: 'daemon-not-running', text: expect.any(String) });
  });

  test('reads the file before it starts a daemon for it', () => {
    const { code, err } = culvert('import', join(folder, 'nothing.conf'), '--socket', socket);

    expect(code).toBe(1);
    expect(err).toContain('[file-unreadable]');
  });

  test('reads the invitation before it starts a daemon for it', () => {
    const { code, err } = culvert('enroll', 'http://edge.example', '--socket', socket);

    expect(code).toBe(1);
    expect(err).toContain('[bad-invite]');
    expect(err).not.toContain('started one');
  });

  test('restores with no daemon, and has nothing to undo on a fresh machine', () => {
    const { code, out } = culvert('restore', '--state-dir', join(folder, 'state'));

    expect(code).toBe(0);
    expect(out.trim()).toBe('Nothing to undo.');
  });
});

describe('a daemon', () => {
  test('detaches once its socket exists, serves, refuses a second one, and ends by its process id', async () => {
    const state = join(folder, 'own');
    const control = join(folder, 'own.sock');
    const conf = join(folder, 'my-edge.conf');
    const key = `${'A'.repeat(42)}E=`;
    writeFileSync(
      conf,
      `[Interface]\nPrivateKey = ${key}\nAddress = 10.9.0.2/24\nPostUp = true\n[Peer]\nPublicKey = ${key}\nEndpoint = 192.0.2.1:1\nAllowedIPs = 0.0.0.0/0\n`,
    );

    const started = culvert('daemon', '--state-dir', state, '--socket', control, '--json');
    const { pid } = JSON.parse(started.out) as { pid: number };
    try {
      const second = culvert('daemon', '--state-dir', state, '--socket', join(folder, 'other.sock'));
      const imported = culvert('import', conf, '--socket', control);
      const edges = culvert('edge', 'list', '--json', '--socket', control);
      const status = culvert('status', '--json', '--socket', control);
      const refused = culvert('mode', 'nonsense', '--json', '--socket', control);
      const proxyMode = culvert('mode', 'proxy', '--socket', control);
      const proxy = culvert('proxy', 'status', '--socket', control);
      const port = culvert('proxy', 'port', '99999', '--json', '--socket', control);
      const secret = culvert('settings', 'set', 'proxy.password', 'hidden', '--socket', control);
      const nameless = culvert('proxy', 'password', '--socket', control);
      const mode = culvert('mode', 'tunnel_only', '--socket', control);
      const unknown = culvert('edge', 'use', 'nowhere', '--socket', control);

      expect(started.code).toBe(0);
      expect(second.code).toBe(1);
      expect(second.err).toContain('[daemon-running]');
      expect(imported.out).toContain('Added the edge my-edge');
      expect(imported.err).toContain('PostUp on line 4 is ignored');
      expect(JSON.parse(edges.out)).toMatchObject([
        { name: 'my-edge', endpoint: '192.0.2.1:1', selected: true },
      ]);
      expect(JSON.parse(status.out)).toMatchObject({
        state: 'off',
        mode: hasNetAdmin() ? 'tunnel+doh' : 'proxy',
        edge: { name: 'my-edge' },
      });
      expect(JSON.parse(refused.err)).toMatchObject({ code: 'unknown-mode' });
      expect(proxyMode.out).toContain('* proxy');
      expect(proxy.out).toContain('The proxy is off. Turn it on: culvert connect');
      expect(JSON.parse(port.err)).toMatchObject({ code: 'bad-setting' });
      expect([secret.code, nameless.code]).toEqual([2, 2]);
      expect(secret.err).toContain('culvert proxy password');
      expect(mode.out).toContain('* tunnel_only');
      expect(unknown.err).toContain('[unknown-edge]');
    } finally {
      process.kill(pid, 'SIGTERM');
    }
    await expect.poll(() => culvert('status', '--socket', control).code, { timeout: 10_000 }).toBe(1);
  });
});
