// An edge whose kernel forwards, with two uplinks, two tunnels to go on through and paths that block: flows go where
// rules and pins say, over both families, and nothing of it stays on the host.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WhyAnswer } from '../../edge/egress/paths-question.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';
import { type Keys, PathsWorld, readyMs, second, site, until } from './support/paths-world.ts';

const number = process.pid % 10_000;
const [laptop, phone, tablet] = [`cvkl${number}`, `cvkp${number}`, `cvkt${number}`];
const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const paths = `paths:
  - { id: direct, type: direct }
  - { id: second, type: source, interface: second }
  - { id: named, type: source, address: ${second.edge} }
  - { id: fra, type: wireguard, config: fra.conf }
  - { id: own, type: wireguard, config: own.conf }
  - { id: hole, type: block }
  - { id: wall, type: block, how: reject }
`;
const rules = `rules:
  - { match: { port: 8081 }, use: second }
  - { match: { cidr: ${site.other} }, use: fra }
  - { match: { cidr: "${site.otherV6}" }, use: fra }
  - { match: { cidr: 10.9.0.1 }, use: fra }
  - { match: { port: 8083 }, use: wall }
  - { match: { port: 8084 }, use: hole }
  - { match: { port: 8085 }, use: own }
  - { match: { device: phone, port: 8082 }, use: named }
  - { use: direct }
`;

let world: PathsWorld;
let edge: Child;
let keys: Readonly<Record<'laptop' | 'phone' | 'tablet' | 'hop' | 'far' | 'ownHop', Keys>>;
let clean: Record<string, string>;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl', 'ping', 'ss'] },
  'an edge whose kernel forwards by several paths',
  () => {
    beforeAll(async () => {
      world = await PathsWorld.up('cvt-kpaths');
      const { edge: host } = world.lab;
      // A strict host: answers by the second uplink would be dropped there.
      await host.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/conf/second/rp_filter']);
      const names = ['laptop', 'phone', 'tablet', 'hop', 'far', 'ownHop'] as const;
      const made = await Promise.all(names.map(async (name) => [name, await world.newKeys()] as const));
      keys = Object.fromEntries(made) as typeof keys;
      await world.startSite();
      await startFarServer();
      const ownKey = await startFarEdge();
      writeHop('fra.conf', keys.hop, keys.far.publicKey, {
        address: '10.9.0.2/32, fd99:9::2/128',
        port: 51_830,
      });
      writeHop('own.conf', keys.ownHop, ownKey, { address: '10.99.0.7/32', port: 51_840 });
      world.write(paths + rules, peers());
      clean = await world.hostState();
      edge = await world.startEdge();
      await world.startDevice(laptop, keys.laptop, ['10.83.0.2/32', 'fd7c:1:2:3::2/128'], 100);
      await world.startDevice(phone, keys.phone, ['10.83.0.3/32'], 200);
    }, 120_000);

    afterAll(() => world?.down());

    test('sends each flow where its rule says, over both families', async () => {
      const asked = (url: string, ...more: string[]): Promise<string> => world.fetched(url, more);

      expect(await asked(`http://${site.v4}:8080/`)).toBe(labAddresses.upstream);
      expect(await asked(`http://[${site.v6}]:8080/`)).toBe(labAddresses.upstreamV6);
      expect(await asked(`http://${site.v4}:8081/`)).toBe(second.edge);
      expect(await asked(`http://[${site.v6}]:8081/`)).toBe(second.edgeV6);
      expect(await asked(`http://${site.v4}:8082/`)).toBe(labAddresses.upstream);
      expect(await asked(`http://${site.v4}:8082/`, '--interface', phone)).toBe(second.edge);
    });

    test('refuses aloud, or swallows, what a path blocks', async () => {
      expect(await world.fetched(`http://${site.v4}:8083/`)).toBe('refused');
      expect(await world.fetched(`http://[${site.v6}]:8083/`)).toBe('refused');
      expect(await world.fetched(`http://${site.v4}:8084/`)).toBe('silence');
    });

    test('goes on through a stock WireGuard server, and through another edge', async () => {
      expect(await world.fetched(`http://${site.other}:8080/`)).toBe('10.9.0.2');
      expect(await world.fetched(`http://[${site.otherV6}]:8080/`)).toBe('fd99:9::2');
      expect(await world.fetched(`http://${site.v4}:8085/`)).toBe(site.v4);
      const ping = await world.lab.client.run('ping', ['-c', '1', '-W', '4', site.other], {
        allowFailure: true,
      });
      expect(ping.exitCode).toBe(0);
    });

    test('refuses at once what must go by a tunnel whose other side is silent, says so, and hears it again', async () => {
      const why = async (): Promise<string> => {
        const answer = JSON.parse(
          await world.edgeCommand(['path', 'why', site.other, '--json']),
        ) as WhyAnswer;
        return answer.answers.map((one) => one.sentence).join(' ');
      };
      await world.lab.inet.run('nft', ['-f', '/dev/stdin'], {
        stdin:
          'table inet mute {\n chain in {\n  type filter hook input priority 0\n  udp dport 51830 drop\n }\n}\n',
      });

      const from = performance.now();
      const first = await world.fetched(`http://${site.other}:8080/`, ['--connect-timeout', '20']);
      process.stdout.write(`a silent hop refused after ${Math.round(performance.now() - from)} ms\n`);

      expect(first).toBe('refused');
      expect(await why()).toMatch(
        /^By fra: rule 2 \(cidr 203\.0\.113\.11\/32\) says so\. Nothing gets through now: the other side of its tunnel has not answered for \d+ s\. New flows are refused until that is over/,
      );
      expect(await world.fetched(`http://${site.v4}:8080/`)).toBe(labAddresses.upstream);
      await world.lab.inet.run('nft', ['delete', 'table', 'inet', 'mute']);
      await until(async () => (await world.fetched(`http://${site.other}:8080/`)) === '10.9.0.2');
      expect(await why()).toBe('By fra: rule 2 (cidr 203.0.113.11/32) says so.');
    }, 90_000);

    test('opens a closed range for the path of the rule that names it, and nowhere else', async () => {
      expect(await world.fetched('http://10.9.0.1:8080/')).toBe('10.9.0.2');
      expect(await world.fetched('http://10.9.0.2:8080/')).toBe('silence');
    });

    test('lets nobody in by the tunnels of its paths', async () => {
      const server = `require('http').createServer((q, s) => s.end('in')).listen(8090, '::', () => console.log('up'))`;
      const child = await world.start(world.lab.edge, 'service', [process.execPath, '-e', server]);
      await child.waitFor(/up/, readyMs);
      const words = ['--silent', '--noproxy', '*', '--max-time', '2'];
      const ask = (address: string): Promise<{ exitCode: number }> =>
        world.lab.inet.run('curl', [...words, `http://${address}:8090/`], { allowFailure: true });

      expect((await ask(labAddresses.upstream)).exitCode).toBe(0);
      expect((await ask('10.9.0.2')).exitCode).toBe(28);
    });

    test('makes the tunnel of a path anew where its interface was taken away', async () => {
      const { stdout } = await world.lab.edge.run('ip', ['-o', 'address', 'show', 'to', '10.9.0.2']);
      await world.lab.edge.run('ip', ['link', 'delete', /cvhop\d+/.exec(stdout)?.[0] ?? '']);

      await until(async () => (await world.fetched(`http://${site.other}:8080/`)) === '10.9.0.2');
    });

    test('keeps an enrolled device to its pin, and a running flow on its path when the pin moves', async () => {
      const added = ['device', 'add', 'tablet', '--public-key', keys.tablet.publicKey, '--json'];
      const { addresses } = JSON.parse(await world.edgeCommand(added)) as { addresses: string[] };
      await world.edgeCommand(['device', 'pin', 'tablet', 'second']);
      await world.startDevice(
        tablet,
        keys.tablet,
        addresses.map((one) => `${one}/${one.includes(':') ? 128 : 32}`),
        300,
      );
      const asked = (): Promise<string> => world.fetched(`http://${site.v4}:8080/`, ['--interface', tablet]);
      await until(async () => (await asked()) === second.edge);
      const download = world.startDownload(`http://${site.v4}:8080/slow`, ['--interface', tablet]);
      await world.downloading(1);

      await world.edgeCommand(['device', 'pin', 'tablet', 'own']);

      await until(async () => (await asked()) === site.v4);
      await world.finishDownloads();
      expect(await download).toBe(`over ${second.edge}`);
      const trace = await world.fetched('http://10.83.0.1/trace', ['--interface', tablet]);
      expect(trace).toMatch(/^device=tablet\nedge=home\npath=own\n/);
    });

    test('says why, and what goes by each path', async () => {
      const why = async (...words: string[]): Promise<string> => {
        const answer = JSON.parse(await world.edgeCommand(['path', 'why', ...words, '--json'])) as WhyAnswer;
        return answer.answers.map((one) => one.sentence).join(' ');
      };

      expect(await why(site.v4, '--port', '8081')).toBe('By second: rule 1 (port 8081) says so.');
      expect(await why(site.v4, '--port', '8083')).toBe('Nothing goes there: rule 5 (port 8083) blocks it.');
      expect(await why(site.v4, '--device', 'tablet')).toBe('tablet is pinned to own.');
      const { paths: shown } = await world.status();
      expect(shown.map((path) => [path.id, path.type, path.state])).toEqual([
        ['direct', 'direct', 'unknown'],
        ['second', 'source', 'unknown'],
        ['named', 'source', 'unknown'],
        ['fra', 'wireguard', 'unknown'],
        ['own', 'wireguard', 'unknown'],
        ['hole', 'block', 'block'],
        ['wall', 'block', 'block'],
      ]);
      expect(shown[0]?.opened).toBeGreaterThan(0);
      expect(shown[1]?.opened).toBeGreaterThan(1);
    });

    test('takes new rules and paths while it runs, and drops no flow for it', async () => {
      const download = world.startDownload(`http://${site.v4}:8081/slow`);
      await world.downloading(1);

      world.write(
        `${paths.replace(/ {2}- \{ id: own.*\n/, '')}rules:
  - { match: { port: 8081 }, use: direct }
  - { match: { port: 8082 }, use: second }
`,
        peers(),
      );
      await reloaded(1);

      expect(await world.fetched(`http://${site.v4}:8081/`)).toBe(labAddresses.upstream);
      expect(await world.fetched(`http://${site.v4}:8082/`)).toBe(second.edge);
      // The pin of a path that is gone counts for nothing.
      expect(await world.fetched(`http://${site.v4}:8082/`, ['--interface', tablet])).toBe(second.edge);
      expect((await world.hostState())['links']?.match(/cvhop/g)).toHaveLength(1);
      await world.finishDownloads();
      expect(await download).toBe(`over ${second.edge}`);
    });

    test('gives a flow to no other path where its own has gone', async () => {
      await world.lab.edge.run('ip', ['link', 'set', 'second', 'down']);

      expect(await world.fetched(`http://${site.v4}:8082/`)).toBe('refused');

      await world.lab.edge.run('ip', ['link', 'set', 'second', 'up']);
      await world.lab.edge.run('ip', ['address', 'replace', `${second.edgeV6}/64`, 'dev', 'second', 'nodad']);
      const back = ['via', second.inet, 'dev', 'second', 'metric', '1000'];
      await world.lab.edge.run('ip', ['route', 'replace', 'default', ...back]);
      const backV6 = ['via', second.inetV6, 'dev', 'second', 'metric', '2000'];
      await world.lab.edge.run('ip', ['-6', 'route', 'replace', 'default', ...backV6]);
      await until(async () => (await world.fetched(`http://${site.v4}:8082/`)) === second.edge);
    });

    test('leaves nothing behind at its end, nor at the end of a run that follows a kill', async () => {
      await edge.end('SIGTERM');
      expect(await world.hostState()).toEqual(clean);

      const killed = await world.startEdge();
      await killed.end('SIGKILL');
      const left = await world.hostState();
      expect(left['tables']).toContain('culvert_edge_paths');
      expect(left['rules']).toContain('fwmark');
      const next = await world.startEdge();
      await next.end('SIGTERM');
      expect(await world.hostState()).toEqual(clean);
    });
  },
);

function peers(): string {
  return `  - { name: laptop, publicKey: "${keys.laptop.publicKey}", allowedIps: [10.83.0.2, "fd7c:1:2:3::2"] }
  - { name: phone, publicKey: "${keys.phone.publicKey}", allowedIps: [10.83.0.3] }
`;
}

async function reloaded(times: number): Promise<void> {
  edge.signal('SIGHUP');
  await until(() => Promise.resolve(edge.stderr.split('configuration reloaded').length > times));
}

function writeHop(
  file: string,
  own: Keys,
  peer: string,
  at: { readonly address: string; readonly port: number },
): void {
  const text = `[Interface]
PrivateKey = ${own.privateKey}
Address = ${at.address}
MTU = 1400
[Peer]
PublicKey = ${peer}
Endpoint = ${labAddresses.inet}:${at.port}
AllowedIPs = 0.0.0.0/0, ::/0
`;
  writeFileSync(join(world.folder, file), text, { mode: 0o600 });
}

/** wireguard-go on the far host, without translation: the site sees the tunnel's own address. */
async function startFarServer(): Promise<void> {
  await world.startStock(world.lab.inet, `cvkf${number}`, {
    head: `PrivateKey = ${keys.far.privateKey}\nListenPort = 51830`,
    peer: `PublicKey = ${keys.hop.publicKey}\nAllowedIPs = 10.9.0.2/32, fd99:9::2/128`,
    addresses: ['10.9.0.1/24', 'fd99:9::1/64'],
  });
}

/** Another edge on the far host, without privileges. Returns its key. */
async function startFarEdge(): Promise<string> {
  const folder = join(world.lab.folder, 'far');
  mkdirSync(folder, { mode: 0o700 });
  const text = `name: far
endpoint: ${labAddresses.inet}
listen: { udp: [51840], https: [9443] }
network: { v4: 10.99.0.0/16 }
dns: { upstreams: [] }
egress:
  backend: userspace
  allow: [{ cidr: ${site.v4} }]
peers:
  - { name: home, publicKey: "${keys.ownHop.publicKey}", allowedIps: [10.99.0.7] }
`;
  writeFileSync(join(folder, 'edge.yaml'), text);
  const far = await world.start(world.lab.inet, 'far edge', [edgeProgram, 'run', '--data', folder]);
  await far.waitFor(/^ready$/m, readyMs);
  const { stdout } = await world.lab.inet.run(edgeProgram, ['status', '--json', '--data', folder]);
  return (JSON.parse(stdout) as { publicKey: string }).publicKey;
}
