// From nothing to a device that is in and out again, as an ordinary user: init, run, invite, enroll, connect, the
// device API through the tunnel, new keys, a restart, and what a removal cuts.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import { describeWith } from '../support/requires.ts';

const edgeEntry = fileURLToPath(new URL('../../edge/main.ts', import.meta.url));
const clientEntry = fileURLToPath(new URL('../../client/main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'culvert-enrol-'));
const data = join(folder, 'edge');
const state = join(folder, 'client');
const socket = join(state, 'control.sock');
const firstPort = 20_000 + (process.pid % 20_000);
const [udpPort, httpsPort, metricsPort] = [firstPort, firstPort + 1, firstPort + 2];
/** nobody. */
const user = 65_534;
const drop =
  process.getuid?.() === 0
    ? ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--bounding-set=-all', '--']
    : [];
const env = { PATH: process.env['PATH'], HOME: folder };
const readyMs = 15_000;
/** An address of this machine that is no loopback: those do not pass a tunnel. Nothing leaves the machine for it. */
const ownAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(words: readonly string[]): Outcome {
  const [program = '', ...rest] = [...drop, process.execPath, ...words];
  const { status, stdout, stderr } = spawnSync(program, rest, { encoding: 'utf8', env });
  return { code: status, out: stdout, err: stderr };
}

function ok(words: readonly string[]): string {
  const { code, out, err } = run(words);
  if (code !== 0) throw new Error(`exit ${code}: ${err}${out}`);
  return out;
}

function edge(...words: string[]): string {
  return ok([edgeEntry, ...words, '--data', data]);
}

function culvert(...words: string[]): string {
  return ok([clientEntry, ...words, '--socket', socket]);
}

function refused(words: readonly string[]): { readonly code: string; readonly text: string } {
  const { code, err } = run([...words, '--json']);
  expect(code).toBe(1);
  return JSON.parse(err) as { code: string; text: string };
}

let daemon: number | undefined;
let program: ChildProcess;
let log: string;

async function runEdge(): Promise<void> {
  const words = [...drop, process.execPath, edgeEntry, 'run', '--data', data];
  program = spawn(words[0] ?? '', words.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  log = '';
  program.stdout?.on('data', (text: Buffer) => (out += text));
  program.stderr?.on('data', (text: Buffer) => (log += text));
  await vi.waitFor(() => expect(out).toMatch(/^ready$/m), { timeout: readyMs });
}

function endEdge(): Promise<number | null> {
  return new Promise((resolve) => {
    program.once('exit', resolve);
    program.kill('SIGTERM');
  });
}

function invite(...words: string[]): string {
  return (JSON.parse(edge('invite', '--json', ...words)) as { link: string }).link;
}

function proxyAddress(): string {
  const status = JSON.parse(culvert('status', '--json')) as { proxy?: { address: string } };
  return status.proxy?.address ?? '127.0.0.1:1';
}

function curl(url: string, ...words: string[]): Outcome {
  const asked = ['-s', '--max-time', '5', '-x', `socks5h://${proxyAddress()}`, ...words, url];
  const { status, stdout, stderr } = spawnSync('curl', asked, { encoding: 'utf8', env });
  return { code: status, out: stdout, err: stderr };
}

describeWith(
  { tools: ['curl', ...(drop.length > 0 ? ['setpriv'] : [])] },
  'an edge and a device that joins it',
  () => {
    let web: Server;
    /** When the connections of visitors ended. */
    const ended: number[] = [];

    beforeAll(async () => {
      chmodSync(folder, 0o755);
      if (process.getuid?.() === 0) chownSync(folder, user, user);
      web = createServer((_request, response) => {
        const timer = setInterval(() => response.write('more\n'), 20);
        response.on('close', () => {
          clearInterval(timer);
          ended.push(performance.now());
        });
      });
      await new Promise<void>((resolve) => web.listen(0, ownAddress ?? '127.0.0.1', resolve));
      const ports = ['--udp', String(udpPort), '--https', String(httpsPort)];
      edge('init', '--endpoint', '127.0.0.1', '--name', 'lab', ...ports);
      const path = join(data, 'edge.yaml');
      const yaml = readFileSync(path, 'utf8')
        .replace(/127\.0\.0\.1:9586/, `127.0.0.1:${metricsPort}`)
        .replace(
          /^ {2}allow: \[\].*$/m,
          `  allow: [{ cidr: ${ownAddress ?? '127.0.0.1'}/32, device: laptop }]`,
        );
      writeFileSync(path, yaml);
      await runEdge();
      daemon = (JSON.parse(culvert('daemon', '--state-dir', state, '--json')) as { pid: number }).pid;
      culvert('settings', 'set', 'proxy.port', '0');
      culvert('mode', 'proxy');
    });

    afterAll(async () => {
      if (daemon !== undefined) process.kill(daemon, 'SIGTERM');
      await endEdge();
      web.closeAllConnections();
      web.close();
      rmSync(folder, { recursive: true, force: true });
    });

    test('refuses links that are damaged, foreign or unknown to it, and nothing is left of them', () => {
      const link = invite();
      const damaged = [
        'https://example.com/',
        link.replace(/t=cve_.{6}/, 't=cve_'),
        link.replace(/&k=.*/, ''),
        link.slice(0, -4),
      ];
      for (const one of damaged) {
        expect(refused([clientEntry, 'enroll', one, '--socket', socket]).code).toBe('bad-invite');
      }
      const pin = link.replace(/pin=sha256\/..../, 'pin=sha256/AAAA');
      expect(refused([clientEntry, 'enroll', pin, '--socket', socket]).code).toBe('edge-impostor');
      const unknown = link.replace(/cve_..../, 'cve_AAAA');
      expect(refused([clientEntry, 'enroll', unknown, '--socket', socket]).code).toBe('edge-refused');

      expect(JSON.parse(edge('device', 'list', '--json'))).toEqual([]);
      expect(culvert('edge', 'list')).toContain('No edge is known');
    });

    test('lets a device in by an invitation, once, and proves the tunnel', () => {
      const link = invite('--name', 'laptop');

      culvert('enroll', link);
      culvert('connect', '--wait');
      const trace = curl('http://edge.culvert/trace').out;

      expect(trace).toMatch(/^device=laptop\nedge=lab\n/);
      expect(refused([clientEntry, 'enroll', link, '--socket', socket]).text).toMatch(/used/);
    });

    test('answers the device API inside the tunnel, as the device that asks and nobody else', () => {
      const { out } = curl('http://edge.culvert/v1/devices/me', '-H', 'x-culvert-tunnel-address: 10.0.0.1');
      expect((JSON.parse(out) as { name: string }).name).toBe('laptop');
      const admin = curl('http://edge.culvert/v1/admin/devices', '-o', '/dev/null', '-w', '%{http_code}');
      expect(admin.out).toBe('401');
    });

    test('tells who watches it what it does, and nothing about devices', async () => {
      const page = async (path: string): Promise<string> =>
        (await fetch(`http://127.0.0.1:${metricsPort}${path}`)).text();
      expect(await page('/healthz')).toBe('ok\n');
      expect(await page('/readyz')).toBe('ready\n');
      const numbers = await page('/metrics');
      expect(numbers).toMatch(/^culvert_peers\{state="connected"\} 1$/m);
      expect(numbers).not.toContain('laptop');
    });

    test('gives the device new keys without another invitation', async () => {
      const before = (JSON.parse(culvert('registration', 'show', '--json')) as any).device.publicKey;
      culvert('registration', 'rotate-keys');
      culvert('connect', '--wait');

      const { device } = JSON.parse(culvert('registration', 'show', '--json')) as any;
      expect(device.publicKey).not.toBe(before);
      expect(curl('http://edge.culvert/trace').out).toContain('device=laptop\n');
    });

    test('keeps its devices over a restart and a reload', async () => {
      expect(await endEdge()).toBe(0);
      await runEdge();
      edge('reload');

      culvert('reconnect', '--wait');
      expect(curl('http://edge.culvert/trace').out).toContain('device=laptop\n');
    });

    test('takes what the edge changed about how it is reached', async () => {
      const path = join(data, 'edge.yaml');
      writeFileSync(path, readFileSync(path, 'utf8').replace(/^endpoint: \S+/m, 'endpoint: localhost'));
      edge('reload');

      culvert('reconnect', '--wait');

      await vi.waitFor(() => expect(culvert('edge', 'list')).toContain(`localhost:${udpPort}`), {
        timeout: 5000,
      });
      await vi.waitFor(() => expect(curl('http://edge.culvert/trace').out).toContain('device=laptop'), {
        timeout: 10_000,
      });
    });

    test('cuts a removed device and all it has open within a second', async () => {
      const download = visit('http://edge.culvert/speed?bytes=1000000000', '--limit-rate', '200k');
      const far = ownAddress === undefined ? undefined : visit(`http://${ownAddress}:${portOf(web)}/`);
      await vi.waitFor(async () => expect(await connections(web)).toBe(far === undefined ? 0 : 1), {
        timeout: 5000,
      });

      edge('device', 'remove', 'laptop');
      const removed = performance.now();

      if (far !== undefined) {
        await vi.waitFor(() => expect(ended).toHaveLength(1), { timeout: 5000, interval: 10 });
        expect((ended[0] ?? 0) - removed).toBeLessThan(1000);
      }
      expect(curl('http://edge.culvert/trace').code).not.toBe(0);
      expect(refused([clientEntry, 'registration', 'show', '--socket', socket]).code).toBe('edge-refused');
      const status = JSON.parse(edge('status', '--json')) as EdgeStatus;
      expect(status.devices).toEqual([]);
      expect(status.egress.flows?.connections).toBe(0);
      for (const visitor of [download, far]) visitor?.kill();
    });

    test('leaves, and its log never names a device, a destination or an address', () => {
      culvert('disconnect');
      culvert('registration', 'delete');
      expect(culvert('edge', 'list')).toContain('No edge is known');
      expect(log).not.toMatch(/laptop|127\.0\.0\.1|10\.\d+\.\d+\.\d+|"level":"error"/);
    });
  },
);

function visit(url: string, ...more: string[]): ChildProcess {
  const words = ['-s', '-N', '--max-time', '20', '-x', `socks5h://${proxyAddress()}`, '-o', '/dev/null'];
  return spawn('curl', [...words, ...more, url], { env, stdio: 'ignore' });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function connections(server: Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((cause, count) => (cause === null ? resolve(count) : reject(cause))),
  );
}
