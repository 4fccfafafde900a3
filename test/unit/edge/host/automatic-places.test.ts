// Places that leave by a path of their own where the kernel forwards: where the usual path does not lead there, or where
// another is much better; and they stay while they are used.
import { describe, expect, test } from 'vitest';
import type { RankedPath } from '../../../../edge/egress/default-path.ts';
import { PathReports } from '../../../../edge/egress/report.ts';
import { destinationKeys } from '../../../../edge/egress/site.ts';
import { AutomaticPlaces, maxMovedPlaces, type PlaceMove } from '../../../../edge/host/automatic-places.ts';
import { type MonoMs, minuteMs, monoMs } from '../../../../shared/core/base/time.ts';

const here = Uint8Array.of(203, 0, 113, 10);
const keys = destinationKeys(here, undefined);

class World {
  readonly reports = new PathReports(['a', 'b']);
  readonly ranks: Record<string, number> = { a: 0, b: 0 };
  readonly places: AutomaticPlaces;
  usual: string | undefined = 'a';
  ids = ['a', 'b'];
  #now = 1000;

  constructor() {
    for (const id of this.ids) this.reports.noteProbe(id, 20, this.now);
    const { reports } = this;
    this.places = new AutomaticPlaces({
      rank: (address, now) => this.#rank(address, now),
      usual: () => this.usual,
      fails: (path, its, now) => reports.fails(path, its, now),
      isMeasured: (path, its, now) => Number.isFinite(reports.ageAt(path, its[0] ?? '', now)),
    });
  }

  get now(): MonoMs {
    return monoMs(this.#now);
  }

  after(ms: number): readonly PlaceMove[] {
    this.#now += ms;
    return this.places.reconsider(this.now);
  }

  /** Connected after so long by each path; undefined: not at all. */
  measured(by: Readonly<Record<string, number | undefined>>, address = here): void {
    for (const [path, ms] of Object.entries(by)) {
      const its = destinationKeys(address, undefined);
      if (ms === undefined) this.reports.noteUnreached(path, its, this.now);
      else this.reports.noteConnect(path, its, ms, this.now);
    }
    this.places.noteMeasured(address, this.now);
  }

  #rank(address: Uint8Array, now: MonoMs): readonly RankedPath[] {
    const its = destinationKeys(address, undefined);
    return this.ids
      .map((id) => ({ id, rank: this.ranks[id] ?? 0, costMs: this.reports.expect(id, its, now).costMs }))
      .toSorted((one, other) => one.rank - other.rank || one.costMs - other.costMs);
  }
}

function moved(): World {
  const world = new World();
  world.measured({ a: undefined, b: 20 });
  expect(world.after(500)).toHaveLength(1);
  return world;
}

describe('a place', () => {
  test('leaves the usual path at once where that does not lead there and another does', () => {
    const world = new World();

    world.measured({ a: undefined, b: 60 });

    expect(world.after(500)).toEqual([
      { prefix: '203.0.113.0/24', address: Uint8Array.of(203, 0, 113, 0), from: 'a', to: 'b' },
    ]);
    expect(world.places.moved).toEqual([{ prefix: '203.0.113.0/24', path: 'b' }]);
    expect(world.places.find(here)).toMatchObject({ path: 'b', why: 'fails-here' });
    expect(world.places.find(Uint8Array.of(203, 0, 114, 10))).toBeUndefined();
  });

  test('leaves it also for a far slower one: a connection that fails is worth nothing', () => {
    const world = new World();

    world.measured({ a: undefined, b: 900 });

    expect(world.after(500)).toHaveLength(1);
  });

  test('says nothing about the path itself', () => {
    const world = moved();

    expect(world.reports.health('a', world.now)).toBe('good');
    expect(world.reports.report('a', world.now).lossPercent).toBe(0);
  });

  test('leaves it for one that is much better there, and not for one that is a little better', () => {
    const world = new World();

    world.measured({ a: 60, b: 50 });
    const little = world.after(500);
    for (let i = 0; i < 10; i++) world.measured({ a: 160, b: 30 });

    expect(little).toEqual([]);
    expect(world.after(500)).toMatchObject([{ from: 'a', to: 'b' }]);
    expect(world.places.find(here)?.why).toBe('better-here');
  });

  test('stays where it is while it is used, though the usual path leads there again', () => {
    const world = moved();

    for (let i = 0; i < 100; i++) {
      world.measured({ a: 20, b: 20 });
      expect(world.after(minuteMs)).toEqual([]);
    }

    expect(world.places.find(here)?.path).toBe('b');
  });

  test('goes back to the usual path after half an hour without a flow', () => {
    const world = moved();

    expect(world.after(29 * minuteMs)).toEqual([]);
    expect(world.after(2 * minuteMs)).toMatchObject([{ from: 'b', to: 'a' }]);
    expect(world.places.moved).toEqual([]);
  });

  test('leaves a path that goes bad as a whole, and one that no longer leads there', () => {
    const world = moved();
    world.ranks['b'] = 3;

    expect(world.after(500)).toMatchObject([{ from: 'b', to: 'a' }]);

    const other = moved();
    other.measured({ a: 20 });
    other.after(2 * minuteMs);
    other.measured({ a: 20, b: undefined });
    expect(other.after(500)).toMatchObject([{ from: 'b', to: 'a' }]);
  });

  test('does not leave a path that leads there for one that does not because one probe was lost', () => {
    const world = moved();
    world.ranks['b'] = 1;

    expect(world.after(500)).toEqual([]);
  });

  test('shows no other address because one probe was lost', () => {
    const world = moved();
    world.measured({ a: 20 });
    world.after(2 * minuteMs);
    world.ranks['b'] = 1;

    expect(world.after(500)).toEqual([]);
    world.ranks['b'] = 2;
    expect(world.after(500)).toMatchObject([{ from: 'b', to: 'a' }]);
  });

  test('waits for another path to be fit', () => {
    const world = new World();
    world.ranks['b'] = 1;
    world.measured({ a: undefined, b: 20 });
    expect(world.after(500)).toEqual([]);

    world.ranks['b'] = 0;

    expect(world.after(500)).toMatchObject([{ from: 'a', to: 'b' }]);
  });

  test('follows the usual path when that moves, unless it does not lead there', () => {
    const world = new World();
    world.measured({ a: 20, b: undefined });
    expect(world.after(500)).toEqual([]);

    world.usual = 'b';

    expect(world.after(500)).toMatchObject([{ from: 'b', to: 'a' }]);
  });

  test('is moved once a minute at most where both paths fail in turns', () => {
    const world = new World();
    let moves = 0;

    for (let second = 0; second < 600; second++) {
      const isA = second % 10 < 5;
      world.measured(isA ? { a: undefined, b: 20 } : { a: 20, b: undefined });
      moves += world.after(1000).length;
    }

    expect(moves).toBeGreaterThan(0);
    expect(moves).toBeLessThanOrEqual(11);
  });

  test('is left alone where no path leads there, where there is one path, and where nobody chose', () => {
    const world = new World();
    world.measured({ a: undefined, b: undefined });
    expect(world.after(500)).toEqual([]);

    world.ids = ['a'];
    world.measured({ a: undefined });
    expect(world.after(500)).toEqual([]);

    world.usual = undefined;
    world.measured({ a: undefined });
    expect(world.after(500)).toEqual([]);
  });

  test('goes to the usual path where its own is drained', () => {
    const world = moved();
    world.ids = ['a'];

    expect(world.after(500)).toMatchObject([{ from: 'b', to: 'a' }]);
  });
});

describe('places', () => {
  test('are moved up to a bound, and the kernel is told no more', () => {
    const world = new World();

    for (let i = 0; i < 2 * maxMovedPlaces; i++) {
      world.measured({ a: undefined, b: 20 }, Uint8Array.of(198, i >> 8, i & 255, 1));
    }
    world.after(500);

    expect(world.places.moved).toHaveLength(maxMovedPlaces);
  });

  test('that were measured are remembered up to a bound, those that are moved for certain', () => {
    const world = moved();

    for (let i = 0; i < 5000; i++) world.measured({ a: 20, b: 20 }, Uint8Array.of(198, i >> 8, i & 255, 1));

    expect(world.places.find(here)?.path).toBe('b');
  });

  test('of IPv6 are /48', () => {
    const world = new World();
    const address = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

    world.measured({ a: undefined, b: 20 }, address);
    world.after(500);

    expect(world.places.moved).toEqual([{ prefix: '2001:db8:5::/48', path: 'b' }]);
    expect(keys).toHaveLength(1);
  });
});
