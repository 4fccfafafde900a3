// An edge with two uplinks, an upstream proxy and a blocking path, and a stock WireGuard peer: flows go where rules say,
// leave an uplink that dies without a failed request, and the edge can say why.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import type { WhyAnswer } from '../../edge/egress/paths-question.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, type LabHost, labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';

const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const upstreamProgram = new URL('support/upstream-program.ts', import.meta.url).pathname;
const port = 51820;
const readyMs = 15_000;
const device = `cvtp${process.pid % 10_000}`;
const second = { edge: '198.18.5.1', inet: '198.18.5.2' };
/** On the other host's loopback, so that both uplinks lead there. */
const site = '203.0.113.10';
/** Which interface leaves with which address. */
const uplinks: Readonly<Record<string, string>> = {
  [labAddresses.upstream]: 'upstream',
  [second.edge]: 'second',
};
/** Answers with the address of whoever asks; /slow is a download that takes its time. */
const mirror = `const http = require('http');
  const answer = (q, s) => {
    if (q.url !== '/slow') return s.end(q.socket.remoteAddress.replace('::ffff:', ''));
    let left = 40;
    const timer = setInterval(() => (left-- > 0 ? s.write('x'.repeat(1000)) : (clearInterval(timer), s.end())), 100);
  };
  let open = 0;
  for (const port of [8080, 8081, 8082, 8083, 8084]) http.createServer(answer).listen(port, '::', () => ++open === 5 && console.log('listening'));`;

const started: Child[] = [];
let lab: Lab;
let folder: string;
let upstream: Child;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl'] },
  'an edge with several ways out',
  () => {
    beforeAll(async () => {
      lab = await Lab.up({ label: 'cvt-paths' });
      folder = join(lab.folder, 'edge');
      mkdirSync(folder, { mode: 0o700 });
      await secondUplink();
      const keys = await newKeys();
      writeFileSync(join(folder, 'corp.pw'), 'a long secret\n', { mode: 0o600 });
      writeFileSync(join(folder, 'edge.yaml'), configText(keys.publicKey));
      const words = [process.execPath, upstreamProgram, '1080', join(folder, 'corp.pw')];
      upstream = await start(lab.edge, 'upstream', words);
      await upstream.waitFor(/listening/, readyMs);
      await (await start(lab.inet, 'mirror', [process.execPath, '-e', mirror])).waitFor(/listening/, readyMs);
      const edge = await start(lab.edge, 'edge', [edgeProgram, 'run', '--data', folder]);
      await edge.waitFor(/^ready$/m, readyMs);
      await startDevice(keys.privateKey, (await askStatus()).publicKey);
    });

    afterAll(async () => {
      await Promise.all(started.map((child) => child.end()));
      await lab?.down();
    });

    test('sends each flow where its rule says', async () => {
      expect(await fetched(`http://${site}:8081/`)).toBe(second.edge);
      expect(await fetched(`http://${site}:8082/`)).toBe(labAddresses.upstream);
      expect(Object.keys(uplinks)).toContain(await fetched(`http://${site}:8080/`));
      expect(await failure(`http://${site}:8083/`)).toBe('refused');
    });

    test('hears the name that a connection says, where nobody asked for it by DNS', async () => {
      const resolve = ['--resolve', `second.example:8080:${site}`];
      expect(await fetched('http://second.example:8080/', resolve)).toBe(second.edge);

      const why = await edgeCommand(['path', 'why', site, '--port', '8080', '--device', 'laptop']);

      expect(why).toBe(
        'By second: rule 4 (host second.example, tag kids) says so. The connection itself says its name in its HTTP request: second.example.\n',
      );
    });

    test('measures its paths, and shows them', async () => {
      await edgeCommand(['path', 'probe']);

      const { paths } = await askStatus();

      expect(paths.map((path) => [path.id, path.type, path.state])).toEqual([
        ['direct', 'direct', 'good'],
        ['second', 'source', 'good'],
        ['corp', 'socks5', 'good'],
        ['none', 'block', 'block'],
      ]);
      expect(paths[0]?.rttMs).toBeGreaterThan(0);
      expect(await edgeCommand(['path', 'list'])).toMatch(
        /PATH +TYPE +STATE[\s\S]*(direct|second) \* +\w+ +good/,
      );
    });

    test('says why', async () => {
      const asked = async (...words: string[]): Promise<string> => {
        const answer = JSON.parse(await edgeCommand(['path', 'why', ...words, '--json'])) as WhyAnswer;
        return answer.answers.map((one) => one.sentence).join(' ');
      };

      expect(await asked(site, '--port', '8081')).toContain('By second: rule 1 (port 8081) says so.');
      expect(await asked(site, '--port', '8083')).toContain(
        'Nothing goes there: rule 3 (port 8083) blocks it.',
      );
      expect(await asked(site)).toMatch(
        /^By \w+: .* It should connect in about \d+ ms, \w+ in about \d+ ms\./,
      );
    });

    test('leaves an uplink that swallows everything without a failed request, and no running flow', async () => {
      const slow = fetched(`http://${site}:8081/slow`, [
        '--output',
        '/dev/null',
        '--write-out',
        '%{size_download}',
      ]);
      const used = await fetched(`http://${site}:8080/`);
      const other = Object.keys(uplinks).find((address) => address !== used);
      const drop = `table ip cut {
  chain out {
    type filter hook output priority 0
    oifname "${uplinks[used]}" ip daddr ${site} tcp dport 8080 drop
  }
}
`;
      await lab.edge.run('nft', ['-f', '/dev/stdin'], { stdin: drop });

      const answers: string[] = [];
      for (let i = 0; i < 6; i++) answers.push(await fetched(`http://${site}:8080/`));

      expect(answers).toEqual(Array.from({ length: 6 }, () => other));
      expect(await slow).toBe('40000');
      await lab.edge.run('nft', ['delete', 'table', 'ip', 'cut']);
    });

    test('never takes another path where a rule names one', async () => {
      await upstream.end();

      expect(await failure(`http://${site}:8082/`)).toBe('refused');
    });

    test('an uplink that is unplugged costs no request, and whoever must use it is refused', async () => {
      await lab.edge.run('ip', ['link', 'set', 'second', 'down']);

      const answers: string[] = [];
      for (let i = 0; i < 4; i++) answers.push(await fetched(`http://${site}:8080/`));

      expect(answers).toEqual(Array.from({ length: 4 }, () => labAddresses.upstream));
      expect(await failure(`http://${site}:8081/`)).toBe('refused');
      await lab.edge.run('ip', ['link', 'set', 'second', 'up']);
      const route = ['route', 'add', 'default', 'via', second.inet, 'dev', 'second', 'metric', '1000'];
      await lab.edge.run('ip', route);
    });

    test('drains a path for new flows', async () => {
      await edgeCommand(['path', 'drain', 'direct']);
      await edgeCommand(['path', 'drain', 'corp']);

      expect(await fetched(`http://${site}:8084/`)).toBe(second.edge);
      expect((await askStatus()).paths[0]?.state).toBe('drained');
    });
  },
);

/** The default route stays with the first; the second has one of its own for whoever is bound to it. */
async function secondUplink(): Promise<void> {
  const { edge, inet } = lab;
  const link = ['link', 'add', 'second', 'type', 'veth', 'peer', 'name', 'second', 'netns', inet.namespace];
  await edge.run('ip', link);
  for (const [host, address] of [
    [edge, second.edge],
    [inet, second.inet],
  ] as const) {
    await host.run('ip', ['address', 'add', `${address}/30`, 'dev', 'second']);
    await host.run('ip', ['link', 'set', 'second', 'up']);
  }
  await inet.run('ip', ['address', 'add', `${site}/32`, 'dev', 'lo']);
  await edge.run('ip', ['route', 'add', 'default', 'via', labAddresses.inet]);
  await edge.run('ip', ['route', 'add', 'default', 'via', second.inet, 'dev', 'second', 'metric', '1000']);
}

function configText(publicKey: string): string {
  return `name: home
endpoint: ${labAddresses.edge}
listen: { udp: [${port}] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
egress:
  backend: userspace
  paths:
    - { id: direct, type: direct }
    - { id: second, type: source, interface: second }
    - { id: corp, type: socks5, server: "127.0.0.1:1080", username: edge, passwordFile: corp.pw }
    - { id: none, type: block, how: reject }
  probe: { every: 2s, targets: ["${site}:8080"] }
  rules:
    - { match: { port: 8081 }, use: second }
    - { match: { port: 8082 }, use: corp }
    - { match: { port: 8083 }, use: none }
    - { match: { host: second.example, tag: kids }, use: second }
    - { match: { host: second.example }, use: corp }
    - { use: auto }
peers: [{ name: laptop, publicKey: "${publicKey}", allowedIps: [10.83.0.2], tags: [kids] }]
`;
}

async function start(host: LabHost, name: string, words: readonly string[]): Promise<Child> {
  const child = await host.start(name, words);
  started.push(child);
  return child;
}

async function startDevice(privateKey: string, edgeKey: string): Promise<void> {
  const { client } = lab;
  await start(client, 'wireguard-go', ['wireguard-go', '-f', device]);
  const deadline = performance.now() + readyMs;
  while ((await client.run('wg', ['show', device], { allowFailure: true })).exitCode !== 0) {
    if (performance.now() > deadline) throw new Error('wireguard-go did not start');
  }
  const config = `[Interface]
PrivateKey = ${privateKey}
[Peer]
PublicKey = ${edgeKey}
Endpoint = ${labAddresses.edge}:${port}
AllowedIPs = 0.0.0.0/0
`;
  await client.run('wg', ['setconf', device, '/dev/stdin'], { stdin: config });
  await client.run('ip', ['address', 'add', '10.83.0.2/32', 'dev', device]);
  await client.run('ip', ['link', 'set', device, 'mtu', '1420', 'up']);
  await client.run('ip', ['route', 'add', 'default', 'dev', device]);
}

async function edgeCommand(words: readonly string[]): Promise<string> {
  return (await lab.edge.run(edgeProgram, [...words, '--data', folder])).stdout;
}

async function askStatus(): Promise<EdgeStatus> {
  return JSON.parse(await edgeCommand(['status', '--json'])) as EdgeStatus;
}

async function fetched(url: string, more: readonly string[] = []): Promise<string> {
  const words = ['--silent', '--noproxy', '*', '--max-time', '15', ...more, url];
  return (await lab.client.run('curl', words)).stdout;
}

/** How a request that must fail does. */
async function failure(url: string): Promise<string> {
  const words = ['--silent', '--noproxy', '*', '--max-time', '8', url];
  const { exitCode } = await lab.client.run('curl', words, { allowFailure: true });
  const meanings: Readonly<Record<number, string>> = { 0: 'answered', 7: 'refused', 28: 'silence' };
  return meanings[exitCode] ?? `curl ${exitCode}`;
}

async function newKeys(): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const privateKey = (await lab.client.run('wg', ['genkey'])).stdout.trim();
  const publicKey = (await lab.client.run('wg', ['pubkey'], { stdin: `${privateKey}\n` })).stdout.trim();
  return { privateKey, publicKey };
}
