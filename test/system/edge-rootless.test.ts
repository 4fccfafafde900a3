// An edge without capabilities between two networks, with a stock WireGuard peer: what the peer's own programs
// reach through it over both families, what they do not, and that the host stays as it was.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, type LabHost, labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';

const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const port = 51820;
const readyMs = 15_000;
const device = `cvtr${process.pid % 10_000}`;
const downloadBytes = 20_000_000;
/** Answers with the address of whoever asks; /big is a download whose bytes are counted, POST says how much came. */
const mirror = `require('http').createServer((q, s) => {
  let came = 0;
  if (q.method === 'POST') return q.on('data', (b) => (came += b.length)).on('end', () => s.end(String(came)));
  if (q.url !== '/big') return s.end(q.socket.remoteAddress.replace('::ffff:', ''));
  const block = Buffer.alloc(100000, 'x');
  const next = (n) => (n === 0 ? s.end() : s.write(block) ? setImmediate(next, n - 1) : s.once('drain', () => next(n - 1)));
  next(${downloadBytes} / 100000);
}).listen(8080, '::', () => console.log('listening'))`;
const udpEcho = `for (const type of ['udp4', 'udp6']) {
  const s = require('dgram').createSocket({ type, ipv6Only: type === 'udp6' }, (b, r) => s.send('re: ' + b, r.port, r.address));
  s.bind(7007, () => console.log('bound ' + type));
}`;
const udpAsk = `const [, host, text] = process.argv;
  const s = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4', (b) => { console.log(String(b)); process.exit(0); });
  s.send(text, 7007, host); setTimeout(() => process.exit(1), 2000);`;
const nameAsk = `const r = new (require('dns').Resolver)({ timeout: 2000, tries: 1 });
  r.setServers([process.argv[1]]);
  r.resolve4('edge.culvert', (e, a) => console.log(e ? e.code : a.join()));`;

const started: Child[] = [];
let lab: Lab;
let edge: Child;
let before: string;
let folder: string;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl', 'ping', 'setpriv'] },
  'an edge without capabilities',
  () => {
    beforeAll(async () => {
      lab = await Lab.up({ label: 'cvt-rootless' });
      folder = join(lab.folder, 'edge');
      mkdirSync(folder, { mode: 0o700 });
      const keys = await newKeys();
      await lab.inet.run('ip', ['address', 'add', '10.9.9.9/32', 'dev', 'lo']);
      await lab.edge.run('ip', ['route', 'add', '10.9.9.9/32', 'via', labAddresses.inet]);
      before = await hostState();
      writeConfig(keys.publicKey);
      const drop = ['--inh-caps=-all', '--bounding-set=-all', '--'];
      edge = await start(lab.edge, 'edge', ['setpriv', ...drop, edgeProgram, 'run', '--data', folder]);
      await edge.waitFor(/^ready$/m, readyMs);
      for (const host of [lab.edge, lab.inet]) {
        await (await start(host, 'mirror', [process.execPath, '-e', mirror])).waitFor(/listening/, readyMs);
      }
      const echo = await start(lab.inet, 'udp echo', [process.execPath, '-e', udpEcho]);
      await echo.waitFor(/bound udp6/, readyMs);
      await startDevice(keys.privateKey, (await askStatus()).publicKey);
    });

    afterAll(async () => {
      await Promise.all(started.map((child) => child.end()));
      await lab?.down();
    });

    test('lets a stock peer out over both families, as itself', async () => {
      expect(await fetched(`http://${labAddresses.inet}:8080/`)).toBe(labAddresses.upstream);
      expect(await fetched(`http://[${labAddresses.inetV6}]:8080/`)).toBe(labAddresses.upstreamV6);
      expect(await askedUdp(labAddresses.inet)).toBe('re: hello');
      expect(await askedUdp(labAddresses.inetV6)).toBe('re: hello');
    });

    test('carries every byte of a download and of an upload', async () => {
      const bytes = ['--output', '/dev/null', '--write-out', '%{size_download}', '--max-time', '30'];
      expect(await fetched(`http://${labAddresses.inet}:8080/big`, bytes)).toBe(String(downloadBytes));
      const upload = 'head -c 20000000 /dev/zero | curl --silent --max-time 30 --data-binary @- ';
      const { stdout } = await lab.client.run('sh', ['-c', `${upload} http://${labAddresses.inet}:8080/`]);
      expect(stdout).toBe('20000000');
    });

    test('shows its pages, answers pings, and has nothing else on its own address', async () => {
      expect(await fetched('http://10.83.0.1/trace')).toMatch(
        /^device=laptop\nedge=home\n[\s\S]*ip=10\.83\.0\.2\n/,
      );
      expect(await fetched('http://[fd7c:1:2:3::1]/trace')).toContain('ip=fd7c:1:2:3::2\n');
      for (const address of ['10.83.0.1', 'fd7c:1:2:3::1']) {
        expect((await lab.client.run('ping', ['-c', '1', '-W', '2', address])).exitCode).toBe(0);
      }
      for (const resolver of ['10.83.0.1', 'fd7c:1:2:3::1']) {
        const { stdout } = await lab.client.run(process.execPath, ['-e', nameAsk, resolver]);
        expect(stdout.trim()).toBe('10.83.0.1');
      }
      expect(await failure('http://10.83.0.1:8080/')).toBe('refused');
    });

    test('refuses what is closed, and says so at once', async () => {
      const closed = [
        labAddresses.upstream,
        `[${labAddresses.upstreamV6}]`,
        labAddresses.edge,
        `[${labAddresses.edgeV6}]`,
        '10.9.9.9',
        '10.83.0.3',
        '169.254.169.254',
        '[fd99::9]',
        '[64:ff9b::a09:909]',
      ];
      // The proof that it is there: the edge itself reaches it.
      expect(await fetchedAt(lab.edge, 'http://10.9.9.9:8080/')).toBe(labAddresses.upstream);

      const words = ['--interface', device];
      const answers = await Promise.all(closed.map((at) => failure(`http://${at}:8080/`, words)));

      expect(answers).toEqual(closed.map(() => 'refused'));
      expect(await failure(`http://${labAddresses.inet}:8081/`)).toBe('refused');
    });

    test('changes nothing on its host, and tells where nobody should look nothing', async () => {
      expect(await hostState()).toBe(before);

      expect(await edge.end()).toBe(0);
      expect(edge.stderr).not.toMatch(/198\.51\.100|10\.9\.9|laptop|"level":"(warn|error)"/);
      expect(await hostState()).toBe(before);
    });
  },
);

function writeConfig(publicKey: string): void {
  const peer = `{ name: laptop, publicKey: "${publicKey}", allowedIps: [10.83.0.2, "fd7c:1:2:3::2"] }`;
  const text = `name: home
endpoint: ${labAddresses.edge}
listen: { udp: [${port}] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
peers: [${peer}]
`;
  writeFileSync(join(folder, 'edge.yaml'), text);
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
AllowedIPs = 0.0.0.0/0, ::/0
`;
  await client.run('wg', ['setconf', device, '/dev/stdin'], { stdin: config });
  for (const address of ['10.83.0.2/32', 'fd7c:1:2:3::2/128']) {
    await client.run('ip', ['address', 'add', address, 'dev', device]);
  }
  await client.run('ip', ['link', 'set', device, 'mtu', '1420', 'up']);
  await client.run('ip', ['route', 'add', 'default', 'dev', device]);
  await client.run('ip', ['-6', 'route', 'add', 'default', 'dev', device]);
}

async function askStatus(): Promise<EdgeStatus> {
  const { stdout } = await lab.edge.run(edgeProgram, ['status', '--json', '--data', folder]);
  return JSON.parse(stdout) as EdgeStatus;
}

/** Everything that an edge with privileges would change. */
async function hostState(): Promise<string> {
  const parts = [
    'nft list ruleset',
    'ip -brief link',
    'ip route show table all type unicast',
    'cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding',
  ];
  return (await lab.edge.run('sh', ['-c', parts.join('; ')])).stdout;
}

function fetched(url: string, more: readonly string[] = []): Promise<string> {
  return fetchedAt(lab.client, url, more);
}

async function fetchedAt(host: LabHost, url: string, more: readonly string[] = []): Promise<string> {
  return (await host.run('curl', ['--silent', '--noproxy', '*', '--max-time', '5', ...more, url])).stdout;
}

/** How a request that must fail does. */
async function failure(url: string, more: readonly string[] = []): Promise<string> {
  const words = ['--silent', '--noproxy', '*', '--max-time', '3', ...more, url];
  const { exitCode } = await lab.client.run('curl', words, { allowFailure: true });
  const meanings: Readonly<Record<number, string>> = { 0: 'answered', 7: 'refused', 28: 'silence' };
  return meanings[exitCode] ?? `curl ${exitCode}`;
}

async function askedUdp(address: string): Promise<string> {
  return (await lab.client.run(process.execPath, ['-e', udpAsk, address, 'hello'])).stdout.trim();
}

async function newKeys(): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const privateKey = (await lab.client.run('wg', ['genkey'])).stdout.trim();
  const publicKey = (await lab.client.run('wg', ['pubkey'], { stdin: `${privateKey}\n` })).stdout.trim();
  return { privateKey, publicKey };
}
