// The choice among paths in a synthetic Internet under virtual time, against an oracle and against simpler ways to choose.
import { describe, expect, test } from 'vitest';
import type { EgressRule } from '../../../edge/egress/rules.ts';
import { compare, type FlowRecord, type PathScript, PathWorld, targetEnd } from './path-world.ts';

const minute = 60_000;
const hour = 60 * minute;

function steady(id: string, rttMs: number, loss = 0): PathScript {
  return { id, at: () => ({ rttMs, loss }) };
}

function wave(
  id: string,
  rttMs: number,
  periodMs: number,
  phase: number,
  heightMs: number,
  loss = 0,
): PathScript {
  return {
    id,
    at: (now) => {
      const height = Math.sin(2 * Math.PI * (now / periodMs + phase));
      return { rttMs: rttMs + heightMs * Math.max(0, (height - 0.3) / 0.7), loss: height > 0.5 ? loss : 0 };
    },
  };
}

/** Dead in these spans. */
function mortal(
  id: string,
  rttMs: number,
  spans: readonly (readonly [from: number, to: number])[],
): PathScript {
  return {
    id,
    at: (now) => ({ rttMs, loss: 0, isDead: spans.some(([from, to]) => now >= from && now < to) }),
  };
}

const waves: readonly PathScript[] = [
  wave('a', 20, 20 * minute, 0, 200, 0.05),
  wave('b', 35, 33 * minute, 0.4, 300, 0.03),
  steady('c', 60, 0.005),
];
/** Congestion, deaths, and a path that is bad for one destination only. */
const degrading: readonly PathScript[] = [
  {
    id: 'a',
    at: (now, destination) => {
      const isDead = (now > 10 * minute && now < 12 * minute) || (now > 40 * minute && now < 43 * minute);
      return { rttMs: destination % 4 === 1 ? 320 : 20, loss: now > 50 * minute ? 0.08 : 0, isDead };
    },
  },
  wave('b', 35, 17 * minute, 0.1, 250, 0.05),
  wave('c', 50, 29 * minute, 0.6, 200, 0.05),
];

/** How often the path of one destination's flows changed, and the times. */
function moves(records: readonly FlowRecord[], destination: number): readonly number[] {
  const mine = records.filter((record) => record.destination === destination && record.path !== undefined);
  return mine.filter((record, i) => i > 0 && record.path !== mine[i - 1]?.path).map((record) => record.at);
}

/** Most of the times that lie within any minute. */
function mostInAMinute(times: readonly number[]): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + minute).length));
}

describe.each([1, 2, 3])('with seed %i', (seed) => {
  test('under waves of congestion flows connect within a tenth of what an oracle could have', async () => {
    const world = new PathWorld({ paths: waves, seed, keepSiteMs: 0 });

    await world.run(hour);

    const { mean, oracle, fixed } = compare(world);
    expect(mean / oracle).toBeLessThan(1.1);
    expect(mean).toBeLessThan(Math.min(...fixed.values()) * 0.75);
    expect(world.records.filter((record) => record.path === undefined)).toEqual([]);
  });

  test('keeping the exit of every site costs a little, and moves a site seldom', async () => {
    const world = new PathWorld({ paths: waves, seed });

    await world.run(hour);

    const { mean, oracle } = compare(world);
    expect(mean / oracle).toBeLessThan(1.2);
    for (let destination = 1; destination < 6; destination++) {
      expect(moves(world.records, destination).length).toBeLessThan(16);
    }
  });

  test('where paths degrade it is a third better than static choice, lowest ping and a periodic test', async () => {
    const world = new PathWorld({ paths: degrading, seed, keepSiteMs: 0 });

    await world.run(hour);

    const { mean, fixed } = compare(world);
    const rivals = [Math.min(...fixed.values()), rival(world, 10_000, 0), rival(world, 3 * minute, 50)];
    expect(mean).toBeLessThan(0.7 * Math.min(...rivals));
  });

  test('a path that dies costs no flow its connection and is left at once', async () => {
    const paths = [mortal('a', 20, [[10 * minute, 30 * minute]]), steady('b', 45), steady('c', 70)];
    const world = new PathWorld({ paths, seed });

    await world.run(40 * minute);

    const during = world.records.filter(({ at }) => at >= 10 * minute && at < 30 * minute);
    expect(world.records.filter((record) => record.path === undefined)).toEqual([]);
    expect(during.filter((record) => record.path === 'a')).toEqual([]);
    // Only those that met the death itself waited for a second path.
    expect(during.filter((record) => record.ms > 400).length).toBeLessThan(12);
    expect(Math.max(...during.map((record) => record.ms))).toBeLessThan(1600);
  });

  test('a path that says itself that it is broken costs a flow no time', async () => {
    const paths: PathScript[] = [
      { id: 'a', at: (now) => ({ rttMs: 20, loss: 0, isBroken: now > 5 * minute }) },
      steady('b', 45),
    ];
    const world = new PathWorld({ paths, seed });

    await world.run(10 * minute);

    const after = world.records.filter(({ at }) => at > 5 * minute);
    expect(after.every((record) => record.path === 'b' && record.ms < 200)).toBe(true);
  });

  test('a path that goes bad is left within three probes, though nobody uses it but probes', async () => {
    const paths: PathScript[] = [
      { id: 'a', at: (now) => ({ rttMs: now > 10 * minute ? 250 : 20, loss: 0 }) },
      steady('b', 60),
    ];
    const world = new PathWorld({ paths, seed, everyMs: 4 * minute, keepSiteMs: 0 });
    await world.run(10 * minute);
    expect(world.selector.defaultPath).toBe('a');

    await world.time.runUntil(10 * minute + 30_000 * 1.2);
    const record = world.open(7);
    await world.time.runUntil(11 * minute);

    expect((await record).path).toBe('b');
  });

  test.each([20_000, 40_000, 70_000, 130_000, 300_000])(
    'a path that flaps every %i ms moves the default at most once a minute, and no flow fails',
    async (halfMs) => {
      const flapping: PathScript = {
        id: 'a',
        at: (now) => ({ rttMs: 20, loss: 0, isDead: Math.floor(now / halfMs) % 2 === 1 }),
      };
      const world = new PathWorld({ paths: [flapping, steady('b', 45)], seed });
      const times: number[] = [];
      let before = 0;
      for (let at = 0; at < hour; at += 1000) {
        world.time.after(at, () => {
          const { switches } = world.selector;
          for (; before < switches; before++) times.push(at);
        });
      }

      await world.run(hour);

      expect(mostInAMinute(times)).toBeLessThanOrEqual(1);
      expect(world.records.filter((record) => record.path === undefined)).toEqual([]);
      expect(Math.max(...world.records.slice(20).map((record) => record.ms))).toBeLessThan(1450);
    },
  );

  test('congestion that comes and goes every half minute moves the default at most once a minute', async () => {
    const waving: PathScript = {
      id: 'a',
      at: (now) => ({ rttMs: Math.floor(now / 30_000) % 2 === 1 ? 300 : 20, loss: 0 }),
    };
    const world = new PathWorld({ paths: [waving, steady('b', 45)], seed });

    await world.run(hour);

    expect(world.selector.switches).toBeLessThan(20);
  });

  test('a path that is bad for one destination is left for that one only', async () => {
    const paths: PathScript[] = [
      { id: 'a', at: (_now, destination) => ({ rttMs: destination === 3 ? 320 : 20, loss: 0 }) },
      steady('b', 45),
    ];
    const world = new PathWorld({ paths, seed, keepSiteMs: 0 });

    await world.run(20 * minute);

    const late = world.records.filter(({ at }) => at > 5 * minute);
    const there = late.filter((record) => record.destination === 3);
    const elsewhere = late.filter((record) => record.destination !== 3);
    expect(there.filter((record) => record.path === 'b').length).toBeGreaterThan(there.length * 0.95);
    expect(elsewhere.filter((record) => record.path === 'a').length).toBeGreaterThan(elsewhere.length * 0.95);
  });

  test('a destination that one path cannot reach at all is reached by the other, and the path is not blamed', async () => {
    const paths: PathScript[] = [
      { id: 'a', at: (_now, destination) => ({ rttMs: 20, loss: 0, isDead: destination === 3 }) },
      steady('b', 45),
    ];
    const world = new PathWorld({ paths, seed, keepSiteMs: 0 });

    await world.run(20 * minute);

    expect(world.records.filter((record) => record.path === undefined)).toEqual([]);
    expect(world.selector.switches).toBe(0);
    expect(world.reports.health('a', world.time.now())).toBe('good');
    const elsewhere = world.records.filter((record) => record.destination !== 3);
    expect(elsewhere.filter((record) => record.path === 'a').length).toBeGreaterThan(elsewhere.length * 0.95);
  });

  test('where every path is bad or dead flows still try, and recover when one does', async () => {
    const spans = [[5 * minute, 10 * minute]] as const;
    const world = new PathWorld({ paths: [mortal('a', 20, spans), mortal('b', 45, spans)], seed });

    await world.run(15 * minute);

    const after = world.records.filter(({ at }) => at > 11 * minute);
    expect(after.length).toBeGreaterThan(100);
    expect(after.filter((record) => record.path === undefined)).toEqual([]);
  });

  test('measuring stays within its budget, and beside flows within a small share of them', async () => {
    const world = new PathWorld({ paths: waves, seed, everyMs: 100 });

    await world.run(20 * minute);

    expect(world.budget.spent / (20 * 60)).toBeLessThan(10_000);
    const dialled = world.paths.reduce((sum, path) => sum + path.dialled, 0);
    const probes = 3 * 20 * 6 * 1.6;
    expect((dialled - probes) / world.records.length).toBeLessThan(1.08);
  });
});

test('a clock that jumps by a night of sleep moves no default by itself and fails no flow', async () => {
  const world = new PathWorld({ paths: [steady('a', 20), steady('b', 45)] });
  await world.run(5 * minute);
  const before = world.records.length;

  world.time.sleep(8 * hour);
  await world.run(8 * hour + 10 * minute);

  const after = world.records.slice(before);
  expect(after.length).toBeGreaterThan(100);
  expect(after.filter((record) => record.path !== 'a')).toEqual([]);
  expect(world.selector.switches).toBe(0);
});

test('a running flow is never moved nor ended by anything that happens to its path', async () => {
  const world = new PathWorld({
    paths: [mortal('a', 20, [[minute, hour]]), steady('b', 45)],
    flowLifeMs: hour,
  });
  await world.run(50_000);
  const { flows } = world.chooser.pins.load('a');
  expect(flows).toBeGreaterThan(50);

  world.selector.setDrained('a', true);
  await world.run(5 * minute);

  expect(world.chooser.pins.load('a').flows).toBe(flows);
});

test('a drained path gets no new flows, and gets them again afterwards', async () => {
  const world = new PathWorld({ paths: [steady('a', 20), steady('b', 45)] });
  await world.run(minute);

  world.selector.setDrained('a', true);
  await world.run(2 * minute);
  world.selector.setDrained('a', false);
  const drained = world.records.filter(({ at }) => at > minute);

  expect(drained.length).toBeGreaterThan(100);
  expect(drained.every((record) => record.path === 'b')).toBe(true);
});

describe('a flow that must take one path', () => {
  const must: readonly EgressRule[] = [{ match: { port: 443 }, use: 'a' }];

  async function endsAfter(world: PathWorld, destination: number): Promise<number> {
    const from = world.time.now();
    let endedAt = Number.POSITIVE_INFINITY;
    const note = async (): Promise<void> => {
      await world.open(destination);
      endedAt = world.time.now();
    };
    void note();
    await world.time.runUntil(from + minute);
    return endedAt - from;
  }

  test.each([0, 1, 7, 30, 600])(
    'is refused within five seconds where that path has been dead for %i s',
    async (seconds) => {
      const world = new PathWorld({
        paths: [mortal('a', 20, [[minute, hour]]), steady('b', 45)],
        rules: must,
      });
      await world.time.runUntil(minute + seconds * 1000);

      expect(await endsAfter(world, 3)).toBeLessThanOrEqual(5500);
      expect(world.records.map((record) => record.path)).toEqual([undefined]);
    },
  );

  test('may take its time where only the place does not answer', async () => {
    const paths: PathScript[] = [
      { id: 'a', at: (_now, destination) => ({ rttMs: 20, loss: 0, isDead: destination === 3 }) },
      steady('b', 45),
    ];
    const world = new PathWorld({ paths, rules: must });
    await world.time.runUntil(minute);

    expect(await endsAfter(world, 3)).toBe(20_000);
  });

  test('may take its time where no path answers: the targets of probes may be gone', async () => {
    const spans = [[minute, hour]] as const;
    const world = new PathWorld({ paths: [mortal('a', 20, spans), mortal('b', 45, spans)], rules: must });
    await world.time.runUntil(2 * minute);

    expect(await endsAfter(world, 3)).toBe(20_000);
  });
});

test('the same seed gives the same flows', async () => {
  const [first, second] = [
    new PathWorld({ paths: waves, seed: 9 }),
    new PathWorld({ paths: waves, seed: 9 }),
  ];

  await first.run(5 * minute);
  await second.run(5 * minute);

  expect(first.records).toEqual(second.records);
});

/** What the flows would have cost by a choice at intervals: the lowest round trip, unless the gain is too small. */
function rival(world: PathWorld, everyMs: number, toleranceMs: number): number {
  let current: string | undefined;
  let decidedAt = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (const { at, destination } of world.records) {
    if (at - decidedAt >= everyMs) {
      decidedAt = at;
      const pings = world.paths.map(({ id }) => ({ id, ms: world.expectedMs(id, at, 0) }));
      const best = pings.reduce((a, b) => (b.ms < a.ms ? b : a));
      const mine = pings.find((one) => one.id === current);
      if (mine === undefined || best.ms + toleranceMs < mine.ms) current = best.id;
    }
    sum += world.expectedMs(current ?? '', at, destination);
  }
  return sum / world.records.length;
}

test('the synthetic targets have networks of their own', () => {
  expect(targetEnd(3).address).toEqual(Uint8Array.of(198, 18, 3, 1));
});
