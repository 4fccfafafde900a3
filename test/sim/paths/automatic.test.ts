// The path of new flows where the kernel forwards and nobody sees how they fare: probes alone, in virtual time.
import { describe, expect, test } from 'vitest';
import { AutomaticPath } from '../../../edge/host/automatic-path.ts';
import { type PathScript, PathWorld, type Weather } from './path-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const tickMs = 500;

interface Move {
  readonly at: number;
  readonly to: string | undefined;
}

/** Lets probes alone run until then, as the edge does; what the choice was, and when it moved. */
async function moves(
  paths: readonly PathScript[],
  options: { readonly everyMs: number; readonly until: number; readonly seed: number },
): Promise<readonly Move[]> {
  const { everyMs, until, seed } = options;
  const world = new PathWorld({ paths, seed, probeEveryMs: everyMs });
  const automatic = new AutomaticPath({
    paths: world.paths,
    reports: world.reports,
    family: 4,
    isProbed: true,
  });
  const found: Move[] = [];
  const tick = (): void => {
    const to = automatic.reconsider(world.time.now())?.id;
    if (to !== found.at(-1)?.to) found.push({ at: world.time.now(), to });
    world.time.after(tickMs, tick);
  };
  tick();
  await world.time.runUntil(until);
  return found;
}

/** `a` is the best until `from`, then as `weather` says. */
function until(from: number, weather: Partial<Weather>): readonly PathScript[] {
  return [
    { id: 'a', at: (now) => ({ rttMs: 20, loss: 0, ...(now >= from ? weather : {}) }) },
    { id: 'b', at: () => ({ rttMs: 45, loss: 0 }) },
  ];
}

describe.each([1000, 2000, 10_000, 60_000])('with a probe every %i ms', (everyMs) => {
  test.each([1, 2, 3, 4, 5])(
    'a path that swallows everything is left within three probe intervals (seed %i)',
    async (seed) => {
      const from = 10 * minute + seed * 137;

      const found = await moves(until(from, { isDead: true }), { everyMs, until: from + hour / 2, seed });

      const [first, ...more] = found.filter(({ at }) => at >= from);
      expect(first?.to).toBe('b');
      expect((first?.at ?? 0) - from).toBeLessThanOrEqual(3 * everyMs);
      expect(more).toEqual([]);
    },
  );

  test.each([1, 2, 3, 4, 5])('so is one that turns slow (seed %i)', async (seed) => {
    const from = 10 * minute + seed * 137;

    const found = await moves(until(from, { rttMs: 300 }), { everyMs, until: from + 10 * everyMs, seed });

    const [first] = found.filter(({ at }) => at >= from);
    expect(first?.to).toBe('b');
    expect((first?.at ?? 0) - from).toBeLessThanOrEqual(3 * everyMs + tickMs);
  });
});

test.each([500, 1500, 4000, 20_000, 40_000, 130_000])(
  'one that falls silent and answers every %i ms is left at once, and come back to once a minute at most',
  async (halfMs) => {
    const a: PathScript = {
      id: 'a',
      at: (now) => ({ rttMs: 20, loss: 0, isDead: now > minute && Math.floor(now / halfMs) % 2 === 1 }),
    };
    const b: PathScript = { id: 'b', at: () => ({ rttMs: 45, loss: 0 }) };

    const found = await moves([a, b], { everyMs: 1000, until: hour, seed: 1 });

    const returns = found.filter(({ at, to }) => at > minute && to === 'a').map(({ at }) => at);
    const gaps = returns.slice(1).map((at, i) => at - (returns[i] ?? 0));
    expect(found.length).toBeGreaterThan(1);
    expect(Math.min(Number.POSITIVE_INFINITY, ...gaps)).toBeGreaterThanOrEqual(minute);
  },
);

test.each([1, 2, 3])('a packet lost now and then moves little (seed %i)', async (seed) => {
  const paths = until(0, { loss: 0.003 });

  const found = await moves(paths, { everyMs: 1000, until: 20 * minute, seed });

  expect(found.length).toBeLessThanOrEqual(5);
});
