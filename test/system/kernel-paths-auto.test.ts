// An edge whose kernel forwards and that chooses between two uplinks: it leaves one that dies, breaks no flow, and
// follows rules for names and tags.
import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { WhyAnswer } from '../../edge/egress/paths-question.ts';
import { labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';
import { createTestCa, type TestCa } from '../support/test-ca.ts';
import { type Keys, PathsWorld, readyMs, second, site, until } from './support/paths-world.ts';

const number = process.pid % 10_000;
const [laptop, phone] = [`cval${number}`, `cvap${number}`];
const namesProgram = new URL('support/site-names-program.ts', import.meta.url).pathname;
/** By the address that an uplink leaves with. */
const uplinks: Readonly<
  Record<string, { readonly id: string; readonly interfaceName: string; readonly port: number }>
> = {
  [labAddresses.upstream]: { id: 'direct', interfaceName: 'upstream', port: 8082 },
  [second.edge]: { id: 'second', interfaceName: 'second', port: 8081 },
};
const egress = `paths:
  - { id: direct, type: direct }
  - { id: second, type: source, address: ${second.edge}, interface: second }
  - { id: wall, type: block, how: reject }
probe: { every: 1s, targets: ["${site.v4}:8080"] }
rules:
  - { match: { host: "*.bank.example", port: 8083 }, use: second }
  - { match: { tag: kids, port: 8084 }, use: wall }
  - { match: { port: 8081 }, use: second }
  - { match: { port: 8082 }, use: direct }
`;
/** Asks the gateway for a name, as a program of a device does. */
const ask = `const r = new (require('dns').Resolver)({ timeout: 4000, tries: 2 });
  r.setServers(['10.83.0.1']);
  r.resolve4(process.argv[1], (e, a) => console.log(e ? e.code : a.join()));`;

let world: PathsWorld;
let ca: TestCa;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl', 'openssl', 'ss'] },
  'an edge whose kernel forwards and that chooses',
  () => {
    beforeAll(async () => {
      world = await PathsWorld.up('cvt-kauto');
      ca = createTestCa();
      const keys = [await world.newKeys(), await world.newKeys()] as const;
      await world.startSite();
      await startResolver();
      world.write(egress, peers(...keys), [`tls://${labAddresses.inet}`]);
      await world.startEdge({ NODE_EXTRA_CA_CERTS: ca.file });
      await world.startDevice(laptop, keys[0], ['10.83.0.2/32', 'fd7c:1:2:3::2/128'], 100);
      await world.startDevice(phone, keys[1], ['10.83.0.3/32'], 200);
    }, 120_000);

    afterEach(hearAll);

    afterAll(async () => {
      await world?.down();
      ca?.remove();
    });

    test('measures its paths, and says which it takes', async () => {
      await world.edgeCommand(['path', 'probe']);

      const { paths } = await world.status();

      expect(paths.map((path) => [path.id, path.state])).toEqual([
        ['direct', 'good'],
        ['second', 'good'],
        ['wall', 'block'],
      ]);
      const usual = paths.find((path) => path.isDefault === true);
      const used = await world.fetched(`http://${site.v4}:8080/`);
      expect(uplinks[used]?.id).toBe(usual?.id);
      expect(await why(site.v4)).toMatch(new RegExp(`^By ${usual?.id}: it is the best at the moment`));
    });

    test('leaves an uplink that swallows everything, and breaks no flow on the other', async () => {
      const used = await world.fetched(`http://${site.v4}:8080/`);
      const dying = uplinks[used];
      const [living, survivor] = Object.entries(uplinks).find(([address]) => address !== used) ?? [];
      const download = world.startDownload(`http://${site.v4}:${survivor?.port}/slow`);
      await world.downloading(1);
      await swallow(dying?.interfaceName ?? '');

      // It begins while the edge still knows nothing, waits, and tries again by itself: on the path that works.
      const from = performance.now();
      const first = await world.fetched(
        `http://${site.v4}:8080/`,
        ['--connect-timeout', '30', '--max-time', '40'],
        50_000,
      );
      process.stdout.write(`a new flow got through after ${Math.round(performance.now() - from)} ms\n`);
      expect(first).toBe(living);
      const answers: string[] = [];
      for (let i = 0; i < 8; i++) answers.push(await world.fetched(`http://${site.v4}:8080/`));

      expect(answers).toEqual(Array.from({ length: 8 }, () => living));
      // Who must go by the dead one is refused, once three probes in a row say so, and can be told why.
      const named = ['--port', String(dying?.port)];
      await until(async () => (await world.fetched(`http://${site.v4}:${dying?.port}/`)) === 'refused');
      expect(await why(site.v4, ...named)).toMatch(
        /Nothing gets through now: the path does not answer\. New flows are refused until that is over/,
      );
      await world.finishDownloads();
      expect(await download).toBe(`over ${living}`);
      await hearAll();
      await until(async () => (await world.fetched(`http://${site.v4}:${dying?.port}/`)) === used);
      expect(await why(site.v4, ...named)).not.toContain('Nothing gets through');
      expect(await why(site.v4)).toMatch(new RegExp(`^By ${survivor?.id}: `));
    }, 120_000);

    test('drains a path: new flows avoid it, those that run stay', async () => {
      await until(async () => {
        await world.edgeCommand(['path', 'probe']);
        return (await world.status()).paths.every((path) => path.state !== 'down');
      });
      const used = await world.fetched(`http://${site.v4}:8080/`);
      const id = uplinks[used]?.id ?? '';
      const other = Object.keys(uplinks).find((address) => address !== used);
      const download = world.startDownload(`http://${site.v4}:8080/slow`);
      await world.downloading(1);

      await world.edgeCommand(['path', 'drain', id]);

      await until(async () => (await world.fetched(`http://${site.v4}:8080/`)) === other);
      const drained = (await world.status()).paths.find((path) => path.id === id);
      expect(drained?.state).toBe('drained');
      expect(drained?.flows).toBeGreaterThan(0);
      await world.finishDownloads();
      expect(await download).toBe(`over ${used}`);
      await world.edgeCommand(['path', 'drain', id, '--off']);
    });

    test('follows a rule for names from the first packet after the answer, for the device that asked', async () => {
      await world.edgeCommand(['path', 'drain', 'second']);
      const byName = (...more: string[]): Promise<string> => world.fetched(`http://${site.v4}:8083/`, more);
      await until(async () => (await byName()) === labAddresses.upstream);

      const { stdout } = await world.lab.client.run(process.execPath, ['-e', ask, 'www.bank.example']);

      expect(stdout.trim()).toBe(site.v4);
      expect(await byName()).toBe(second.edge);
      expect(await byName('--interface', phone)).toBe(labAddresses.upstream);
      const port = ['--port', '8083', '--device', 'laptop'];
      expect(await why(site.v4, ...port)).toContain(
        'By second: rule 1 (host *.bank.example, port 8083) says so.',
      );

      // Another name with the same address: the latest counts, and that is said.
      await world.lab.client.run(process.execPath, ['-e', ask, 'shop.example']);
      expect(await byName()).toBe(labAddresses.upstream);
      await world.lab.client.run(process.execPath, ['-e', ask, 'www.bank.example']);
      expect(await byName()).toBe(second.edge);
      expect(await why(site.v4, ...port)).toContain('This is a guess');
      await world.edgeCommand(['path', 'drain', 'second', '--off']);
    });

    test('follows a rule for a tag', async () => {
      expect(await world.fetched(`http://${site.v4}:8084/`)).toBe('refused');
      expect(Object.keys(uplinks)).toContain(
        await world.fetched(`http://${site.v4}:8084/`, ['--interface', phone]),
      );
    });
  },
);

async function why(...words: string[]): Promise<string> {
  const answer = JSON.parse(await world.edgeCommand(['path', 'why', ...words, '--json'])) as WhyAnswer;
  return answer.answers.map((one) => one.sentence).join(' ');
}

function peers(first: Keys, other: Keys): string {
  return `  - { name: laptop, publicKey: "${first.publicKey}", allowedIps: [10.83.0.2, "fd7c:1:2:3::2"], tags: [kids] }
  - { name: phone, publicKey: "${other.publicKey}", allowedIps: [10.83.0.3] }
`;
}

/** The far end of an uplink hears nothing any more, and says nothing about it. */
async function swallow(interfaceName: string): Promise<void> {
  const script = `table inet swallow {
  chain input {
    type filter hook input priority filter;
    iifname "${interfaceName}" ip daddr ${site.v4} drop
  }
}
`;
  await world.lab.inet.run('nft', ['-f', '/dev/stdin'], { stdin: script });
}

async function hearAll(): Promise<void> {
  await world.lab.inet.run('nft', ['delete', 'table', 'inet', 'swallow'], { allowFailure: true });
}

async function startResolver(): Promise<void> {
  const { key, cert } = ca.issue(`IP:${labAddresses.inet}`);
  const files = [`${world.lab.folder}/names.pem`, `${world.lab.folder}/names.key`] as const;
  writeFileSync(files[0], cert);
  writeFileSync(files[1], key);
  const words = [process.execPath, namesProgram, ...files, site.v4];
  const resolver = await world.start(world.lab.inet, 'names', words);
  await resolver.waitFor(/ready/, readyMs);
}
