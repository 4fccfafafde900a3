// `culvert diag` against a daemon that has a report: it shows, asks, and writes nothing that was not shown.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../../../../client/cli/cli.ts';
import type { CliContext } from '../../../../client/cli/context.ts';
import type { Status } from '../../../../shared/core/control/status.ts';
import { type ControlServer, serveControl } from '../../../../shared/node/control/socket-server.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const report = 'culvert report\n\n== status\n[name-1]\n';
let folder = '';
let server: ControlServer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-diag-'));
  const path = join(folder, 'control.sock');
  const status = (): Status => ({
    state: 'off',
    mode: 'doh',
    since: '2026-01-01T00:00:00Z',
    addresses: [],
    traffic: { rxBytes: 0, txBytes: 0 },
    health: [],
    version: '0.1.0',
  });
  server = await serveControl({
    path,
    access: { mode: 0o600, folderMode: 0o700 },
    handlers: { status, diagnosis: () => ({ text: report }) },
    log: silentLog,
  });
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

async function diag(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const context = {
    print: (text: string) => void out.push(text),
    note: (text: string) => void err.push(text),
    account: { isRoot: false, env: {}, home: folder },
    entry: '',
    runDaemon: () => Promise.resolve(),
  } satisfies CliContext;
  const code = await runCli(['diag', '--socket', server.path, ...words], context);
  return { code, out: out.join('\n'), err: err.join('\n') };
}

describe('culvert diag', () => {
  test('shows the report', async () => {
    expect(await diag()).toEqual({ code: 0, out: report.trimEnd(), err: '' });
    expect(JSON.parse((await diag('--json')).out)).toEqual({ text: report });
  });

  test('writes nothing unless somebody agreed', async () => {
    const path = join(folder, 'report.txt');

    const { code, out, err } = await diag('--output', path);

    expect(code).toBe(1);
    expect(out).toBe(report.trimEnd());
    expect(err).toContain('[not-confirmed]');
    expect(existsSync(path)).toBe(false);
  });

  test('writes exactly what it showed, for its owner alone', async () => {
    const path = join(folder, 'report.txt');

    const { code } = await diag('--output', path, '--yes');

    expect(code).toBe(0);
    expect(readFileSync(path, 'utf8')).toBe(report);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('writes over nothing that is there', async () => {
    const path = join(folder, 'report.txt');
    writeFileSync(path, 'mine');

    const { code, err } = await diag('--output', path, '--yes', '--json');

    expect(code).toBe(1);
    expect(JSON.parse(err)).toMatchObject({ code: 'file-unwritable' });
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });
});
