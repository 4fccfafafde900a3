// Ping through an edge without privileges: a stock WireGuard peer on one side, a host beyond the edge on the other, and
// the edge an ordinary user whose group the system lets ping, or not.
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import type { Finding } from '../../edge/doctor/examine.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';

const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const port = 51820;
const readyMs = 15_000;
const nobody = 65_534;
const device = `cvti${process.pid % 10_000}`;
/** On the other host: by an interface of its own choice, and by a proxy, which carries none. */
const byInterface = '203.0.113.20';
const byProxy = '203.0.113.30';

const started: Child[] = [];
let lab: Lab;
let folder: string;

describeWith(
  { root: true, namespaces: true, ffi: true, tools: ['wg', 'wireguard-go', 'ping', 'setpriv', 'sysctl'] },
  'ping beyond an edge without privileges',
  () => {
    beforeAll(async () => {
      lab = await Lab.up({ label: 'cvt-ping' });
      folder = join(mkdtempSync(join(tmpdir(), 'cvt-ping-')), 'edge');
      mkdirSync(folder, { mode: 0o700 });
      const keys = await newKeys();
      writeFileSync(join(folder, 'edge.yaml'), configText(keys.publicKey));
      for (const path of [join(folder, '..'), folder, join(folder, 'edge.yaml')]) {
        chownSync(path, nobody, nobody);
      }
      for (const address of [byInterface, byProxy]) {
        await lab.inet.run('ip', ['address', 'add', `${address}/32`, 'dev', 'lo']);
      }
      await lab.edge.run('ip', ['route', 'add', 'default', 'via', labAddresses.inet]);
      await mayPing(true);
      const words = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', edgeProgram];
      const edge = await lab.edge.start('edge', [...words, 'run', '--data', folder]);
      started.push(edge);
      await edge.waitFor(/^ready$/m, readyMs);
      await startDevice(keys.privateKey, (await status()).publicKey);
    }, 60_000);

    afterAll(async () => {
      await Promise.all(started.map((child) => child.end()));
      await lab?.down();
      if (folder !== undefined) rmSync(join(folder, '..'), { recursive: true, force: true });
    });

    test.each([
      ['IPv4', labAddresses.inet],
      ['IPv6', labAddresses.inetV6],
      ['IPv4, by the interface of a path', byInterface],
    ])('answers over %s, in order and whole, also what is too large for one packet', async (_, host) => {
      const small = await ping(host, '-c', '3', '-i', '0.2');
      expect(small).toMatch(/icmp_seq=1 [^]*icmp_seq=2 [^]*icmp_seq=3 /);
      expect(small).toContain(' 0% packet loss');
      // It compares what comes back with what it sent.
      for (const size of ['1472', '6000']) {
        const large = await ping(host, '-c', '2', '-i', '0.2', '-s', size, '-p', 'c0ffee');
        expect(large).toContain(' 0% packet loss');
        expect(large).not.toContain('wrong data');
      }
    });

    test('keeps series apart that run at the same time', async () => {
      const all = await Promise.all([1, 2, 3, 4].map(() => ping(labAddresses.inet, '-c', '4', '-i', '0.2')));

      for (const one of all) {
        expect(one).toContain('4 packets transmitted, 4 received, 0% packet loss');
        expect(one).not.toContain('DUP');
      }
      const { flows } = (await status()).egress;
      expect(flows?.echoFlows).toBeGreaterThanOrEqual(4);
      expect(flows?.ping).toEqual({ allowed: true, why: null, remedy: null });
    });

    test.each(['10.9.9.9', '169.254.169.254', labAddresses.upstream, byProxy, 'fd00::1'])(
      'says at once that %s is not allowed, or not carried',
      async (host) => {
        const said = await ping(host, '-c', '1', '-W', '10');

        expect(said).toMatch(/Packet filtered|Administratively prohibited|Destination unreachable/);
        expect(said).toMatch(/From (10\.83\.0\.1|fd7c:1:2:3::1)/);
      },
    );

    test('says that nobody is there, and that a packet has gone too far', async () => {
      expect(await ping('198.51.100.77', '-w', '8')).toMatch(/Destination Host Unreachable/);
      const short = await ping(labAddresses.inet, '-c', '1', '-t', '1', '-W', '10');
      expect(short).toMatch(/From 10\.83\.0\.1 .*Time to live exceeded/);
    });

    test('where the system does not let it, says so with the fix, and goes on once that is done', async () => {
      await mayPing(false);
      expect(await ping(labAddresses.inet, '-c', '1', '-W', '10')).toContain('Packet filtered');
      const text = await edge('status');
      expect(text).toContain('sysctl -w net.ipv4.ping_group_range="0 2147483647"');
      const findings = JSON.parse(await edge('doctor', '--json')) as Finding[] | { findings: Finding[] };
      const list = Array.isArray(findings) ? findings : findings.findings;
      expect(list.find(({ subject }) => subject === 'ping')).toMatchObject({ verdict: 'warning' });

      await mayPing(true);
      expect(await ping(labAddresses.inet, '-c', '1', '-W', '10')).toContain(' 0% packet loss');
      expect(await edge('status')).not.toContain('sysctl');
    });
  },
);

async function ping(host: string, ...words: string[]): Promise<string> {
  const { stdout } = await lab.client.run('ping', ['-n', ...words, host], { allowFailure: true });
  return stdout;
}

async function mayPing(isAllowed: boolean): Promise<void> {
  const groups = isAllowed ? '0 2147483647' : '1 0';
  await lab.edge.run('sysctl', ['-qw', `net.ipv4.ping_group_range=${groups}`]);
}

async function edge(...words: string[]): Promise<string> {
  const { stdout } = await lab.edge.run(edgeProgram, [...words, '--data', folder], { allowFailure: true });
  return stdout;
}

async function status(): Promise<EdgeStatus> {
  return JSON.parse(await edge('status', '--json')) as EdgeStatus;
}

function configText(publicKey: string): string {
  return `name: home
endpoint: ${labAddresses.edge}
listen: { udp: [${port}] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
dns: { upstreams: [] }
egress:
  backend: userspace
  paths:
    - { id: direct, type: direct }
    - { id: second, type: source, interface: upstream }
    - { id: corp, type: socks5, server: "127.0.0.1:1080" }
  rules:
    - { match: { cidr: ${byInterface}/32 }, use: second }
    - { match: { cidr: ${byProxy}/32 }, use: corp }
peers: [{ name: laptop, publicKey: "${publicKey}", allowedIps: [10.83.0.2, "fd7c:1:2:3::2"] }]
`;
}

async function startDevice(privateKey: string, edgeKey: string): Promise<void> {
  const { client } = lab;
  started.push(await client.start('wireguard-go', ['wireguard-go', '-f', device]));
  const deadline = performance.now() + readyMs;
  while ((await client.run('wg', ['show', device], { allowFailure: true })).exitCode !== 0) {
    if (performance.now() > deadline) throw new Error('wireguard-go did not start');
  }
  const config = `[Interface]
PrivateKey = ${privateKey}
[Peer]
PublicKey = ${edgeKey}
Endpoint = ${labAddresses.edge}:${port}
AllowedIPs = 0.0.0.0/0, ::/0
`;
  await client.run('wg', ['setconf', device, '/dev/stdin'], { stdin: config });
  await client.run('ip', ['address', 'add', '10.83.0.2/32', 'dev', device]);
  await client.run('ip', ['address', 'add', 'fd7c:1:2:3::2/128', 'dev', device, 'nodad']);
  await client.run('ip', ['link', 'set', device, 'mtu', '1420', 'up']);
  await client.run('ip', ['route', 'add', 'default', 'dev', device]);
  await client.run('ip', ['-6', 'route', 'add', 'default', 'dev', device]);
}

async function newKeys(): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const privateKey = (await lab.client.run('wg', ['genkey'])).stdout.trim();
  const publicKey = (await lab.client.run('wg', ['pubkey'], { stdin: `${privateKey}\n` })).stdout.trim();
  return { privateKey, publicKey };
}
