/**
 * A whole `culvert-edge run` in its own network, with stock WireGuard peers: what devices reach and what
 * they do not, and that nothing of it stays on the host.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, type LabHost, labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';
import { hostStateOf } from './support/host-state.ts';

const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const port = 51820;
const readyMs = 15_000;
const suffix = process.pid % 10_000;
const edgeInterface = `cvte${suffix}`;
/** Answers every request with the address of whoever asks. */
const mirror = `require('http').createServer((q, s) => s.end(q.socket.remoteAddress.replace('::ffff:', '')))
  .listen(+process.argv[1], '::', () => console.log('listening'))`;

/** Asks the resolver at an address for the edge's name. */
const nameAsk = `const r = new (require('dns').Resolver)({ timeout: 2000, tries: 1 });
  r.setServers([process.argv[1]]);
  r.resolve4('edge.culvert', (e, a) => console.log(e ? e.code : a.join()));`;

interface Keys {
  readonly privateKey: string;
  readonly publicKey: string;
}

interface Device {
  readonly host: LabHost;
  readonly name: string;
  readonly keys: Keys;
}

/** Ended after each test, whatever became of it. */
const started: Child[] = [];
let lab: Lab;
let folder: string;
let laptopKeys: Keys;
let phoneKeys: Keys;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl', 'ping'] },
  'an edge with a static configuration',
  () => {
    beforeAll(async () => {
      lab = await Lab.up({ label: 'cvt-edge' });
      folder = join(lab.folder, 'edge');
      mkdirSync(folder, { mode: 0o700 });
      laptopKeys = await newKeys();
      phoneKeys = await newKeys();
      await addClosedPlaces();
    });

    afterEach(async () => {
      await Promise.all(started.splice(0).map((child) => child.end()));
    });

    afterAll(() => lab?.down());

    test('lets stock peers out over both families, and nowhere else', async () => {
      writeConfig('');
      const edge = await startEdge();
      await Promise.all([startMirror(lab.edge, 8080), startMirror(lab.inet, 8080)]);
      const status = await askStatus();
      const laptop = await startDevice(lab.client, 'a', laptopKeys, status.publicKey, {
        endpoint: `${labAddresses.edge}:${port}`,
        addresses: ['10.83.0.2/32', 'fd7c:1:2:3::2/128'],
        routes: ['default'],
      });
      await startDevice(lab.inet, 'b', phoneKeys, status.publicKey, {
        endpoint: `${labAddresses.upstream}:${port}`,
        addresses: ['10.83.0.3/32'],
        routes: ['10.83.0.0/16'],
      });

      // The far server sees the edge, over both families.
      expect(await fetchFrom(lab.client, `http://${labAddresses.inet}:8080/`)).toBe(labAddresses.upstream);
      expect(await fetchFrom(lab.client, `http://[${labAddresses.inetV6}]:8080/`)).toBe(
        labAddresses.upstreamV6,
      );
      // The gateway answers pings, and both devices have a tunnel.
      expect(await pings(lab.client, '10.83.0.1')).toBe(true);
      expect(await pings(lab.client, 'fd7c:1:2:3::1')).toBe(true);
      expect(await pings(lab.inet, '10.83.0.1')).toBe(true);

      // The gateway has its pages, for whoever asks from inside.
      const trace = await fetchFrom(lab.client, 'http://10.83.0.1/trace');
      expect(trace).toMatch(/^device=laptop\nedge=home\npath=direct\ntransport=udp\nip=10\.83\.0\.2\nts=/);
      // No way leads to the Internet from here: it has no address there.
      expect(trace).not.toContain('exit=');
      expect(await fetchFrom(lab.inet, 'http://10.83.0.1/trace')).toContain('device=phone\n');
      expect(await fetchFrom(lab.client, 'http://[fd7c:1:2:3::1]/trace')).toContain('ip=fd7c:1:2:3::2\n');
      expect(await fetchFrom(lab.inet, `http://${labAddresses.upstream}/trace`)).toBe('failed');
      for (const resolver of ['10.83.0.1', 'fd7c:1:2:3::1']) {
        const { stdout } = await lab.client.run(process.execPath, ['-e', nameAsk, resolver]);
        expect(stdout.trim()).toBe('10.83.0.1');
      }

      // What is closed, with the proof that it is there: the edge itself reaches it.
      const closed = [
        '10.83.0.1',
        labAddresses.edge,
        labAddresses.upstream,
        '[fd7c:1:2:3::1]',
        `[${labAddresses.edgeV6}]`,
        `[${labAddresses.upstreamV6}]`,
        '169.254.169.254',
        '10.9.9.9',
        '[fd99::9]',
        '10.83.0.3',
      ].map((address) => `http://${address}:8080/`);
      for (const url of closed) expect(await fetchFrom(lab.edge, url), url).not.toBe('failed');
      const throughTunnel = ['--interface', laptop.name];
      const answers = await Promise.all(closed.map((url) => fetchFrom(lab.client, url, throughTunnel)));
      expect(answers).toEqual(closed.map(() => 'failed'));
      // Nor does the phone reach the laptop, from the other side.
      await startMirror(lab.client, 8080);
      expect(await fetchFrom(lab.inet, 'http://10.83.0.2:8080/')).toBe('failed');

      // A borrowed inner address gets nowhere and is counted.
      await lab.client.run('ip', ['address', 'add', '10.83.0.77/32', 'dev', laptop.name]);
      expect(
        await fetchFrom(lab.client, `http://${labAddresses.inet}:8080/`, ['--interface', '10.83.0.77']),
      ).toBe('failed');
      expect((await askStatus()).drops['disallowed-source']).toBeGreaterThan(0);

      // A reload opens by name, for that device, without breaking anybody's session.
      const before = await askStatus();
      writeConfig(`egress:
  allow:
    - { cidr: 10.9.9.9, device: laptop }
    - { cidr: 10.83.0.3, device: laptop }
`);
      edge.signal('SIGHUP');
      await logged(edge, 'configuration reloaded');
      expect(await fetchFrom(lab.client, 'http://10.9.9.9:8080/')).toBe(labAddresses.upstream);
      expect(await fetchFrom(lab.client, 'http://10.83.0.3:8080/')).toBe('10.83.0.2');
      expect(await fetchFrom(lab.client, 'http://169.254.169.254:8080/')).toBe('failed');
      expect(await fetchFrom(lab.inet, 'http://10.83.0.2:8080/')).toBe('failed');
      const after = await askStatus();
      expect(after.devices[0]?.lastSeen).toBe(before.devices[0]?.lastSeen);

      // A reload that has mistakes, or wants too much, changes nothing.
      writeFileSync(join(folder, 'edge.yaml'), 'network: nonsense\n');
      edge.signal('SIGHUP');
      await logged(edge, 'the configuration was not reloaded');
      expect((await askStatus()).devices).toHaveLength(2);

      // Both ends count the same.
      const device = (await askStatus()).devices.find((one) => one.name === 'laptop');
      expect(device?.rxBytes).toBeGreaterThan(1000);
      expect(device?.txBytes).toBeGreaterThan(1000);
      expect(await transferOf(lab.edge, edgeInterface, laptop.keys.publicKey)).toEqual([
        device?.rxBytes,
        device?.txBytes,
      ]);

      expect(await edge.end()).toBe(0);
      expect(edge.stderr).not.toMatch(/192\.0\.2|198\.51\.100|10\.9\.9|laptop/);
    });

    test('refuses changes by wg to what the configuration owns, and takes others', async () => {
      writeConfig('');
      const edge = await startEdge();
      const stranger = await newKeys();
      const set = (...words: string[]): Promise<{ exitCode: number; stderr: string }> =>
        lab.edge.run('wg', ['set', edgeInterface, ...words], { allowFailure: true });

      for (const words of [
        ['peer', laptopKeys.publicKey, 'remove'],
        ['listen-port', '4444'],
        ['peer', stranger.publicKey, 'allowed-ips', '10.83.0.2/32'],
      ]) {
        const { exitCode, stderr } = await set(...words);
        expect([words, exitCode === 0, stderr.trim()]).toEqual([
          words,
          false,
          'Unable to modify interface: Operation not permitted',
        ]);
      }
      expect((await set('peer', stranger.publicKey, 'allowed-ips', '10.83.9.9/32')).exitCode).toBe(0);
      expect((await askStatus()).devices.map((device) => device.name)).toEqual(['laptop', 'phone', '']);

      expect(await edge.end('SIGINT')).toBe(0);
    });

    test('leaves nothing behind at its end, nor at the end of a run that follows a kill', async () => {
      writeConfig('');
      const before = await hostState();

      const first = await startEdge();
      expect(await hostState()).not.toEqual(before);
      await first.end('SIGTERM');
      expect(await hostState()).toEqual(before);

      const killed = await startEdge();
      await killed.end('SIGKILL');
      expect(await hostState()).toMatchObject({
        tables: expect.stringContaining('culvert_edge'),
        files: 'control.sock,gateway.sock,host-journal.jsonl',
        sockets: `${edgeInterface}.sock`,
      });
      const next = await startEdge();
      expect(next.stderr).toContain('cleaned up after an edge that ended abruptly');
      await next.end('SIGTERM');
      expect(await hostState()).toEqual(before);
    });

    test('cleans up after a kill also where it then cannot start', async () => {
      writeConfig('');
      const before = await hostState();
      await (await startEdge()).end('SIGKILL');

      writeFileSync(join(folder, 'edge.yaml'), 'network: {}\nnmae: x\n');
      const { exitCode, stderr } = await lab.edge.run(edgeProgram, ['run', '--data', folder], {
        allowFailure: true,
      });

      expect(exitCode).toBe(1);
      expect(stderr).toContain('edge.yaml:1: network needs v4, v6 or both');
      expect(stderr).toContain('edge.yaml:2: unknown key "nmae" (did you mean "name"?)');
      expect(stderr).toContain('[bad-config]');
      expect(await hostState()).toEqual(before);
    });

    test('ends and undoes everything where its interface is taken away', async () => {
      writeConfig('');
      const before = await hostState();
      const edge = await startEdge();

      await lab.edge.run('ip', ['link', 'delete', edgeInterface]);

      expect(await edge.exit).toBe(1);
      expect(await hostState()).toEqual(before);
    });

    test('does not start where its port is taken, and leaves nothing', async () => {
      writeConfig('');
      const before = await hostState();
      const script = `require('dgram').createSocket('udp6').bind(${port}, () => console.log('bound'))`;
      const other = await lab.edge.start('other', [process.execPath, '-e', script]);
      started.push(other);
      await other.waitFor(/bound/, readyMs);

      const { exitCode, stderr } = await lab.edge.run(edgeProgram, ['run', '--data', folder], {
        allowFailure: true,
      });

      expect([exitCode, stderr.includes('[port-in-use]')]).toEqual([1, true]);
      await other.end();
      expect(await hostState()).toEqual(before);
    });

    test('runs once a data directory', async () => {
      writeConfig('');
      const edge = await startEdge();

      const second = await lab.edge.run(edgeProgram, ['run', '--data', folder], { allowFailure: true });

      expect([second.exitCode, second.stderr.includes('[edge-running]')]).toEqual([1, true]);
      expect((await askStatus()).name).toBe('home');
      await edge.end();
    });

    test('says what it needs where it may not do it, before it touches anything', async () => {
      writeConfig('egress: { backend: kernel }\n');
      const before = await hostState();

      const words = ['--inh-caps=-all', '--bounding-set=-all', '--', edgeProgram, 'run', '--data', folder];
      const { exitCode, stderr } = await lab.edge.run('setpriv', words, { allowFailure: true });

      expect([exitCode, stderr]).toEqual([
        1,
        expect.stringMatching(/needs root or CAP_NET_ADMIN.*\n.*userspace.*sudo.*\[not-root\]/),
      ]);
      expect(await hostState()).toEqual(before);
    });
  },
);

function writeConfig(more: string): void {
  const peer = (name: string, keys: Keys, ips: string): string =>
    `  - { name: ${name}, publicKey: "${keys.publicKey}", allowedIps: [${ips}] }\n`;
  const text = `name: home
endpoint: ${labAddresses.edge}
interface: ${edgeInterface}
listen: { udp: [${port}] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
${more}peers:
${peer('laptop', laptopKeys, '10.83.0.2, "fd7c:1:2:3::2"')}${peer('phone', phoneKeys, '10.83.0.3')}`;
  writeFileSync(join(folder, 'edge.yaml'), text);
}

async function startEdge(): Promise<Child> {
  const edge = await lab.edge.start('edge', [edgeProgram, 'run', '--data', folder]);
  started.push(edge);
  await edge.waitFor(/^ready$/m, readyMs);
  return edge;
}

async function askStatus(): Promise<EdgeStatus> {
  const { stdout } = await lab.edge.run(edgeProgram, ['status', '--json', '--data', folder]);
  return JSON.parse(stdout) as EdgeStatus;
}

const hostState = (): Promise<Record<string, string>> => hostStateOf(lab.edge, folder, edgeInterface);

/** Private, link-local and metadata addresses that the edge itself can reach. */
async function addClosedPlaces(): Promise<void> {
  for (const [address, length] of [
    ['169.254.169.254', '32'],
    ['10.9.9.9', '32'],
    ['fd99::9', '128'],
  ]) {
    await lab.inet.run('ip', ['address', 'add', `${address}/${length}`, 'dev', 'lo']);
    const gateway = address?.includes(':') ? labAddresses.inetV6 : labAddresses.inet;
    await lab.edge.run('ip', ['route', 'add', `${address}/${length}`, 'via', gateway]);
  }
}

async function startMirror(host: LabHost, onPort: number): Promise<Child> {
  const server = await host.start('mirror', [process.execPath, '-e', mirror, String(onPort)]);
  started.push(server);
  await server.waitFor(/listening/, readyMs);
  return server;
}

/** The answer's text, or 'failed'. */
async function fetchFrom(host: LabHost, url: string, more: readonly string[] = []): Promise<string> {
  const words = ['--silent', '--noproxy', '*', '--max-time', '2', ...more, url];
  const { exitCode, stdout } = await host.run('curl', words, { allowFailure: true });
  return exitCode === 0 ? stdout : 'failed';
}

async function pings(host: LabHost, address: string): Promise<boolean> {
  return (await host.run('ping', ['-c', '1', '-W', '2', address], { allowFailure: true })).exitCode === 0;
}

async function newKeys(): Promise<Keys> {
  const privateKey = (await lab.client.run('wg', ['genkey'])).stdout.trim();
  const publicKey = (await lab.client.run('wg', ['pubkey'], { stdin: `${privateKey}\n` })).stdout.trim();
  return { privateKey, publicKey };
}

interface DeviceWiring {
  readonly endpoint: string;
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
}

/** A stock peer: wireguard-go, configured by `wg`. */
async function startDevice(
  host: LabHost,
  letter: string,
  keys: Keys,
  edgeKey: string,
  wiring: DeviceWiring,
): Promise<Device> {
  const name = `cvt${letter}${suffix}`;
  started.push(await host.start(`wireguard-go ${name}`, ['wireguard-go', '-f', name]));
  await waitUntil(async () => (await host.run('wg', ['show', name], { allowFailure: true })).exitCode === 0);
  const config = `[Interface]
PrivateKey = ${keys.privateKey}
[Peer]
PublicKey = ${edgeKey}
Endpoint = ${wiring.endpoint}
AllowedIPs = 0.0.0.0/0, ::/0
`;
  await host.run('wg', ['setconf', name, '/dev/stdin'], { stdin: config });
  for (const address of wiring.addresses) await host.run('ip', ['address', 'add', address, 'dev', name]);
  await host.run('ip', ['link', 'set', name, 'mtu', '1420', 'up']);
  for (const route of wiring.routes) {
    await host.run('ip', ['route', 'add', route, 'dev', name]);
    if (route === 'default') await host.run('ip', ['-6', 'route', 'add', route, 'dev', name]);
  }
  return { host, name, keys };
}

/** [received, sent] as `wg show` has it. */
async function transferOf(host: LabHost, name: string, publicKey: string): Promise<number[]> {
  const { stdout } = await host.run('wg', ['show', name, 'transfer']);
  const line = stdout.split('\n').find((one) => one.startsWith(publicKey)) ?? '';
  return line.split('\t').slice(1).map(Number);
}

async function logged(child: Child, text: string): Promise<void> {
  await waitUntil(() => Promise.resolve(child.stderr.includes(text)));
}

async function waitUntil(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + readyMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('waited too long');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
