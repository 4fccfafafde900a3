// A device chooses its way out with `culvert path`: a rootless edge and a client in mode proxy, on loopback, as one user.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PathList } from '../../shared/core/control/paths-api.ts';
import type { Status } from '../../shared/core/control/status.ts';

const program = (name: string) => new URL(`../../node_modules/.bin/${name}`, import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'cvt-path-'));
const data = join(folder, 'edge');
const socket = join(folder, 's');
const ends: (() => Promise<unknown>)[] = [];
const longMs = 60_000;
let target: number;

describe('a device and its ways out', () => {
  beforeAll(async () => {
    const server = createServer((far) => far.on('error', () => undefined).resume()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    target = (server.address() as AddressInfo).port;
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const [udp, https] = [await freePort(), await freePort()];
    const places = ['--udp', String(udp), '--https', String(https)];
    await run('culvert-edge', ['init', '--endpoint', '127.0.0.1', ...places, '--data', data]);
    writeFileSync(join(data, 'edge.yaml'), configText(readFileSync(join(data, 'edge.yaml'), 'utf8')));
    await start('culvert-edge', ['run', '--data', data], /^ready$/m);
    const state = join(folder, 'client');
    const daemon = ['daemon', '--foreground', '--state-dir', state, '--socket', socket];
    await start('culvert', daemon, /daemon is ready/);
    await culvert('mode', 'proxy');
    await culvert('settings', 'set', 'proxy.port', '0');
    const invite = await run('culvert-edge', ['invite', '--name', 'laptop', '--json', '--data', data]);
    await culvert('enroll', (JSON.parse(invite.stdout) as { link: string }).link);
    await run('culvert-edge', ['device', 'tag', 'laptop', 'add', 'work', '--data', data]);
    await culvert('connect', '--wait');
  }, longMs);

  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
    rmSync(folder, { recursive: true, force: true });
  });

  test('sees what is granted to it, and which is used', async () => {
    const list = await until(paths, ({ paths }) => paths.every((path) => path.rttMs !== undefined));

    expect(list.paths.map(({ id, type, state }) => [id, type, state])).toEqual([
      ['direct', 'direct', 'up'],
      ['local', 'source', 'up'],
    ]);
    expect(list.chosen).toBe('auto');
    expect(['direct', 'local']).toContain(list.using);
    expect((await culvert('path', 'list')).stdout).toMatch(
      /^The edge chooses the way out \(.+\); now it is \w+\./,
    );
  });

  test('takes the one that it chooses, and the status says so', async () => {
    const used = JSON.parse((await culvert('path', 'use', 'local', '--json')).stdout) as PathList;
    const status = JSON.parse((await culvert('status', '--json')).stdout) as Status;

    expect(used).toMatchObject({ chosen: 'local', using: 'local' });
    expect(status.path).toMatchObject({ id: 'local', chosen: 'local', lossPercent: 0 });
    expect((await culvert('path', 'why', '198.51.100.7')).stdout).toBe('laptop is pinned to local.\n');
    expect((await culvert('path', 'use', 'auto')).stdout).toMatch(/^The edge chooses/);
    expect((await culvert('path', 'why', '198.51.100.7', '--port', '8081')).stdout).toMatch(
      /^By local: rule 2 \(port 8081, tag work\) says so\./,
    );
  });

  test('chooses among what is granted alone', async () => {
    await run('culvert-edge', ['device', 'allow', 'laptop', 'direct', '--data', data]);
    // The edge follows what another process wrote, a moment later.
    await until(paths, (list) => list.paths.length === 1);

    expect(await refusal('path', 'use', 'local')).toMatchObject({ code: 'unknown-path' });
    expect((await paths()).paths.map(({ id }) => id)).toEqual(['direct']);
    expect(await refusal('path', 'use', 'none')).toMatchObject({ code: 'unknown-path' });
  });

  test('is told what the tunnel costs', async () => {
    const { receipt } = await until(
      async () => JSON.parse((await culvert('status', '--json')).stdout) as Status,
      (status) => status.receipt?.measured === true,
    );

    expect(receipt).toMatchObject({
      tunnel: { connectMs: expect.any(Number), goodputMbps: expect.any(Number) },
      direct: { connectMs: expect.any(Number) },
    });
    expect((await culvert('status')).stdout).toContain(receipt?.text ?? 'no receipt');
  });

  test('of an edge that was imported is told that there is nothing to choose', async () => {
    const device = ['device', 'add', 'phone', '--generate', '--tag', 'kids', '--data', data];
    const { stdout } = await run('culvert-edge', device);
    const file = join(folder, 'phone.conf');
    writeFileSync(file, stdout, { mode: 0o600 });
    await culvert('disconnect');
    await culvert('import', file);
    await culvert('connect', '--wait');

    expect(await refusal('path', 'list')).toMatchObject({ code: 'no-path-choice' });
    expect((await run('culvert-edge', ['device', 'show', 'phone', '--data', data])).stdout).toMatch(
      /tags +kids/,
    );
  });
});

function configText(text: string): string {
  const paths = `paths:
    - { id: direct, type: direct }
    - { id: local, type: source, address: 127.0.0.1 }
    - { id: none, type: block, how: reject }
  probe: { every: 1s, targets: ["127.0.0.1:${target}"] }
  rules:
    - { match: { host: "*.bank.example" }, use: local }
    - { match: { port: 8081, tag: work }, use: local }
    - { use: auto }`;
  return text
    .replace('backend: auto', 'backend: userspace')
    .replace(/metrics: .*/, 'metrics: off')
    .replace(/paths: \[.*\]/, paths);
}

async function paths(): Promise<PathList> {
  return JSON.parse((await culvert('path', 'list', '--json')).stdout) as PathList;
}

async function until<T>(ask: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  const deadline = performance.now() + longMs / 2;
  for (;;) {
    const value = await ask();
    if (isDone(value)) return value;
    if (performance.now() > deadline) throw new Error(`it stays so: ${JSON.stringify(value)}`);
  }
}

function culvert(...words: string[]): Promise<{ stdout: string }> {
  return run('culvert', [...words, '--socket', socket]);
}

async function refusal(...words: string[]): Promise<unknown> {
  const outcome = await culvert(...words, '--json').catch((error: { stderr: string }) => error);
  return 'stderr' in outcome ? JSON.parse(outcome.stderr) : outcome;
}

function run(name: string, words: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(program(name), [...words], { timeout: longMs });
}

async function start(name: string, words: readonly string[], sign: RegExp): Promise<void> {
  const child = spawn(program(name), [...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  ends.push(() => {
    child.kill('SIGTERM');
    return ended;
  });
  let text = '';
  await new Promise<void>((resolve, reject) => {
    const look = (bytes: Buffer): void => {
      text += String(bytes);
      if (sign.test(text)) resolve();
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', () => reject(new Error(`${name} ended: ${text}`)));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
