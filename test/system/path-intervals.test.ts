// An edge whose kernel forwards leaves a real line that goes bad within three intervals of probes, counted by the edge
// itself: how fast this machine is does not matter.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Child } from '../../shared/node/lab/child.ts';
import { describeWith } from '../support/requires.ts';
import { PathsWorld, site, until } from './support/paths-world.ts';
import { congested, good, UplinkLines } from './support/uplink-lines.ts';

const bar = 3;
/** Long against what a question to the edge takes, so that one is answered between two probes. */
const everySeconds = 2;
/** What nobody but the probes asks. */
const egress = `paths:
  - { id: near, type: source, interface: near }
  - { id: far, type: source, interface: far }
probe: { every: ${everySeconds}s, targets: ["${site.v4}:8085"] }
`;
/** A move with so many has corrected the first choice; after others a minute passes, of intervals a fifth shorter at least. */
const firstProbes = 2;
const dwellProbes = 40;
const patienceMs = 240_000;

let world: PathsWorld;
let uplinks: UplinkLines;

describeWith({ root: true, namespaces: true, tools: ['nft', 'wg'] }, 'an edge between two lines', () => {
  beforeAll(async () => {
    world = await PathsWorld.up('cvt-intervals');
    uplinks = new UplinkLines(world);
    await uplinks.start();
    await world.startSite();
    const { publicKey } = await world.newKeys();
    world.write(egress, `  - { name: laptop, publicKey: "${publicKey}", allowedIps: [10.83.0.2] }\n`);
  }, 90_000);

  afterAll(async () => {
    await uplinks?.end();
    await world?.down();
  });

  test(`leaves the one that fills up within ${bar} intervals of probes`, async () => {
    await uplinks.change('near', good.near);
    const edge = await world.startEdge();
    try {
      await until(() => isSettled(edge), patienceMs);
      const logged = edge.stderr.length;
      const before = await asked();
      await uplinks.change('near', congested);
      // On a slow machine one may be asked meanwhile, of which nobody knows what it met.
      const after = await asked();

      await until(() => Promise.resolve(probesAtMove(edge, logged) !== undefined), patienceMs);

      const moved = probesAtMove(edge, logged) ?? Number.POSITIVE_INFINITY;
      process.stdout.write(`left after ${moved - after} to ${moved - before} probes\n`);
      expect(moved).toBeGreaterThan(before);
      expect(moved - after).toBeLessThanOrEqual(bar);
      expect((await world.status()).paths.find(({ isDefault }) => isDefault)?.id).toBe('far');
    } finally {
      await edge.end('SIGTERM');
    }
  }, 600_000);
});

async function asked(): Promise<number> {
  return (await world.status()).paths.find(({ id }) => id === 'near')?.probes ?? 0;
}

/**
 * The beginning is over, the near line is taken, and another move may come: the edge moves once a minute at most, but for
 * what its first measurements correct.
 */
async function isSettled(edge: Child): Promise<boolean> {
  const near = (await world.status()).paths.find(({ id }) => id === 'near');
  const moves = [...edge.stderr.matchAll(/"probes":"near (\d+).*"msg":"new flows take another path"/g)];
  const moved = Number(moves.at(-1)?.[1] ?? 0);
  const rest = moved <= firstProbes ? 5 : dwellProbes;
  return near?.isDefault === true && (near.probes ?? 0) >= moved + rest;
}

/** How often the near line had been asked when new flows left it; undefined: they have not. `from`: of what was logged. */
function probesAtMove(edge: Child, from: number): number | undefined {
  const moved = /^\{.*"v4":"far".*"probes":"near (\d+).*"msg":"new flows take another path"/m.exec(
    edge.stderr.slice(from),
  );
  return moved?.[1] === undefined ? undefined : Number(moved[1]);
}
