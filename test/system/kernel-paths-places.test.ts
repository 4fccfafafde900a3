// An edge whose kernel forwards and one of whose uplinks does not lead to one place, while it leads everywhere else: new
// flows to that place leave by the other uplink, all others stay, the edge says why, and nothing of it stays behind.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { WhyAnswer } from '../../edge/egress/paths-question.ts';
import { labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';
import { PathsWorld, second, site, until } from './support/paths-world.ts';

const laptop = `cvpl${process.pid % 10_000}`;
/** Of other networks than the site, which is what the paths are measured by; each try has its own. */
let places = 0;
/** By the address that an uplink leaves with. */
const uplinks: Readonly<Record<string, { readonly id: string; readonly interfaceName: string }>> = {
  [labAddresses.upstream]: { id: 'direct', interfaceName: 'upstream' },
  [second.edge]: { id: 'second', interfaceName: 'second' },
  [labAddresses.upstreamV6]: { id: 'direct', interfaceName: 'upstream' },
  [second.edgeV6]: { id: 'second', interfaceName: 'second' },
};
const egress = `paths:
  - { id: direct, type: direct }
  - { id: second, type: source, interface: second }
probe: { every: 1s, targets: ["${site.v4}:8080", "[${site.v6}]:8080"] }
rules:
  - { match: { port: 8081 }, use: direct }
  - { match: { port: 8082 }, use: second }
`;
const patient = ['--connect-timeout', '40', '--max-time', '60'];
const patientMs = 70_000;
const longMs = 200_000;

let world: PathsWorld;
let edge: Awaited<ReturnType<PathsWorld['startEdge']>>;
let clean: Record<string, string>;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl', 'ss'] },
  'an edge whose kernel forwards, and a place that one path does not lead to',
  () => {
    beforeAll(async () => {
      world = await PathsWorld.up('cvt-kplace');
      await world.startSite();
      const keys = await world.newKeys();
      const allowed = '[10.83.0.2, "fd7c:1:2:3::2"]';
      world.write(egress, `  - { name: laptop, publicKey: "${keys.publicKey}", allowedIps: ${allowed} }\n`);
      clean = await world.hostState();
      edge = await world.startEdge();
      await world.startDevice(laptop, keys, ['10.83.0.2/32', 'fd7c:1:2:3::2/128'], 100);
    }, 120_000);

    afterEach(async () => {
      for (const table of ['closed', 'nobody']) await remove(table);
    });

    afterAll(() => world?.down());

    for (const [family, usualSite] of [
      ['IPv4', site.v4],
      ['IPv6', site.v6],
    ] as const) {
      test(
        `sends new flows to that place by the path that leads there, over ${family}`,
        async () => {
          const place = await newPlace(family);
          const used = await world.fetched(url(usualSite));
          const dying = uplinks[used]?.id;
          const living = other(used);
          const download = world.startDownload(`${url(place)}slow`);
          await world.downloading(1);
          await close(used, place);

          // It begins while the edge still knows nothing, and gets through by itself.
          const from = performance.now();
          const first = await world.fetched(url(place), patient, patientMs);
          process.stdout.write(
            `${family}: a new flow got through after ${Math.round(performance.now() - from)} ms\n`,
          );

          expect(first).toBe(living);
          // From now on at once; everything else stays, and so does the flow that runs.
          expect(await world.fetched(url(place))).toBe(living);
          await until(async () => (await world.fetched(url(usualSite))) === used, longMs / 2);
          const said = 'connections to this place failed by the usual path, and came about by this one.';
          expect(await why(place)).toContain(`By ${uplinks[living]?.id}: ${said}`);
          expect(await why(usualSite)).toContain(`By ${dying}: it is the best at the moment`);
          await world.finishDownloads();
          expect(await download).toBe(`over ${used}`);
        },
        longMs,
      );
    }

    test(
      'asks by other paths for what is free alone, and not for what a rule ties to one',
      async () => {
        const nobody = `198.19.${200 + places++}.8`;
        await watch(nobody);

        expect(await world.fetched(`http://${nobody}:8082/`, ['--connect-timeout', '6'])).toBe('silence');

        expect(await arrivals()).toEqual({ upstream: false, second: true });
        // The same without a rule: both are asked, and nothing is moved for nobody leads there.
        await until(async () => {
          await world.fetched(`http://${nobody}:8083/`, ['--connect-timeout', '6']);
          const { upstream, second: other } = await arrivals();
          return upstream && other;
        });
        expect(await why(nobody)).toMatch(/^By \w+: it is the best at the moment/);
      },
      longMs,
    );

    test(
      'keeps what it has learnt through a reload, and leaves nothing behind',
      async () => {
        const place = await newPlace('IPv4');
        const element = `${place.replace(/7$/, '0/24')} : goto take_`;
        await close(await world.fetched(url(place)), place);
        await world.fetched(url(place), patient, patientMs);
        await until(async () => (await tables()).includes(element));

        edge.signal('SIGHUP');
        await until(() => Promise.resolve(edge.stderr.includes('configuration reloaded')));

        expect(await tables()).toContain(element);
        await edge.end('SIGKILL');
        edge = await world.startEdge();
        expect(await tables()).not.toContain(element);
        await edge.end('SIGTERM');
        expect(await world.hostState()).toEqual(clean);
        edge = await world.startEdge();
      },
      longMs,
    );
  },
);

/** A place that is reached by the usual path; both paths answer. */
async function newPlace(family: 'IPv4' | 'IPv6'): Promise<string> {
  const net = 7 + places++;
  const place = family === 'IPv4' ? `198.19.${net}.7` : `2001:db8:${net}::7`;
  const bits = family === 'IPv4' ? 32 : 128;
  await world.lab.inet.run('ip', ['address', 'add', `${place}/${bits}`, 'dev', 'lo']);
  await until(async () => {
    await world.edgeCommand(['path', 'probe']);
    return (await world.status()).paths.every(({ state }) => state === 'good');
  });
  await until(async () => {
    const used = await world.fetched(url(place));
    return used in uplinks && used === (await world.fetched(url(family === 'IPv4' ? site.v4 : site.v6)));
  });
  return place;
}

function url(address: string): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:8080/`;
}

/** The address of the other uplink. */
function other(used: string): string {
  const isOther = (one: string): boolean =>
    uplinks[one]?.id !== uplinks[used]?.id && one.includes(':') === used.includes(':');
  return Object.keys(uplinks).find(isOther) ?? '';
}

async function tables(): Promise<string> {
  return (await world.hostState())['tables'] ?? '';
}

async function why(host: string): Promise<string> {
  const answer = JSON.parse(await world.edgeCommand(['path', 'why', host, '--json'])) as WhyAnswer;
  return answer.answers.map((one) => one.sentence).join(' ');
}

/** No new connection comes to the place by the uplink with this address; those that run go on. */
async function close(used: string, place: string): Promise<void> {
  const stdin = `table inet closed {
  chain input {
    type filter hook input priority filter;
    iifname "${uplinks[used]?.interfaceName}" ${place.includes(':') ? 'ip6' : 'ip'} daddr ${place} tcp flags & (syn | ack) == syn drop
  }
}
`;
  await world.lab.inet.run('nft', ['-f', '/dev/stdin'], { stdin });
}

/** Swallows what is sent to an address that nobody has, and sees by which uplink it came. */
async function watch(nobody: string): Promise<void> {
  const stdin = `table inet nobody {
  chain input {
    type filter hook prerouting priority filter;
    iifname "upstream" ip daddr ${nobody} counter drop
    iifname "second" ip daddr ${nobody} counter drop
  }
}
`;
  await remove('nobody');
  await world.lab.inet.run('nft', ['-f', '/dev/stdin'], { stdin });
}

async function arrivals(): Promise<{ readonly upstream: boolean; readonly second: boolean }> {
  const { stdout } = await world.lab.inet.run('nft', ['list', 'table', 'inet', 'nobody']);
  const came = (name: string): boolean => !new RegExp(`"${name}".* counter packets 0 `).test(stdout);
  return { upstream: came('upstream'), second: came('second') };
}

async function remove(table: string): Promise<void> {
  await world.lab.inet.run('nft', ['delete', 'table', 'inet', table], { allowFailure: true });
}
