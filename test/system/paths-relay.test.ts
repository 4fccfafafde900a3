// An edge that chooses between two uplinks that are real lines with delay, loss and a rate (our seeded relay), where the
// kernel forwards and without privileges: it leaves the one that goes bad, and the one that dies, and breaks no flow.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { PathsWorld, site, until } from './support/paths-world.ts';
import {
  congested,
  dead,
  good,
  type Line,
  lines,
  type Quality,
  UplinkLines,
} from './support/uplink-lines.ts';

const number = process.pid % 10_000;
/** A place of another network than the site, so that nothing ties it to the site's line. */
const elsewhere = '198.19.7.7';
const egress = `paths:
  - { id: near, type: source, interface: near }
  - { id: far, type: source, interface: far }
probe: { every: 1s, targets: ["${site.v4}:8080"] }
rules:
  - { match: { port: 8081 }, use: near }
`;
/** Three intervals of probes is the bar, and path-intervals.test.ts holds it. Here a move of a minute ago may stand before, on a slow machine. */
const mostMs = 120_000;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl', 'ss'] },
  'an edge between two lines',
  () => {
    for (const [i, backend] of (['kernel', 'userspace'] as const).entries()) describeBackend(backend, i);
  },
);

function describeBackend(backend: 'kernel' | 'userspace', i: number): void {
  let world: PathsWorld;
  let uplinks: UplinkLines;

  beforeAll(async () => {
    world = await PathsWorld.up(`cvt-lines${i}`);
    uplinks = new UplinkLines(world);
  }, 60_000);

  afterAll(async () => {
    await uplinks?.end();
    await world?.down();
  });

  test(`${backend}: takes the nearer line`, async () => {
    await uplinks.start();
    await world.lab.inet.run('ip', ['address', 'add', `${elsewhere}/32`, 'dev', 'lo']);
    await world.startSite();
    const keys = await world.newKeys();
    world.writeFor(
      backend,
      egress,
      `  - { name: laptop, publicKey: "${keys.publicKey}", allowedIps: [10.83.0.2] }\n`,
    );
    await world.startEdge();
    await world.startDevice(`cvl${i}${number}`, keys, ['10.83.0.2/32'], 100);

    await until(async () => (await usual()) === 'near');

    expect(await world.fetched(`http://${site.v4}:8080/`)).toBe(lines.near.edge);
  }, 90_000);

  test(`${backend}: leaves it for new flows when it fills up, and a flow that runs stays`, async () => {
    const download = world.startDownload(`http://${site.v4}:8081/slow`);
    await world.downloading(1);

    const took = await afterChange('near', congested, async () => (await usual()) === 'far');

    process.stdout.write(`${backend}: a congested line was left after ${took} ms\n`);
    expect(await world.fetched(`http://${elsewhere}:8080/`)).toBe(lines.far.edge);
    await world.finishDownloads();
    expect(await download).toBe(`over ${lines.near.edge}`);
  }, 200_000);

  test(`${backend}: a line that dies costs a new flow no error`, async () => {
    await uplinks.change('near', good.near);
    await uplinks.change('far', dead);

    const patient = ['--connect-timeout', '40', '--max-time', '60'];
    const from = performance.now();
    const answers = [await world.fetched(`http://${elsewhere}:8082/`, patient, 70_000)];
    process.stdout.write(`${backend}: a dead line cost ${Math.round(performance.now() - from)} ms\n`);
    for (let n = 0; n < 3; n++)
      answers.push(await world.fetched(`http://${elsewhere}:8082/`, patient, 70_000));

    expect(answers).toEqual(Array.from({ length: 4 }, () => lines.near.edge));
  }, 300_000);

  /** Returns the milliseconds until it holds. */
  async function afterChange(line: Line, to: Quality, holds: () => Promise<boolean>): Promise<number> {
    await uplinks.change(line, to);
    const from = performance.now();
    await until(holds, mostMs);
    return Math.round(performance.now() - from);
  }

  async function usual(): Promise<string | undefined> {
    return (await world.status()).paths.find((path) => path.isDefault)?.id;
  }
}
