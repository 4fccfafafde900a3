// The path of new flows where the edge chooses and the kernel forwards: left at once where it fails, kept otherwise.
import { describe, expect, test } from 'vitest';
import { PathReports } from '../../../../edge/egress/report.ts';
import type { SelectablePath } from '../../../../edge/egress/select.ts';
import { AutomaticPath } from '../../../../edge/host/automatic-path.ts';
import { type MonoMs, monoMs } from '../../../../shared/core/base/time.ts';

class World {
  readonly reports = new PathReports(['a', 'b']);
  readonly troubles = new Map<string, string>();
  readonly automatic: AutomaticPath;
  #now = 1000;

  constructor(isProbed = true) {
    const path = (id: string): SelectablePath => ({
      id,
      type: 'direct',
      carries: () => true,
      trouble: () => this.troubles.get(id),
    });
    const { reports } = this;
    this.automatic = new AutomaticPath({ paths: [path('a'), path('b')], reports, family: 4, isProbed });
  }

  get now(): MonoMs {
    return monoMs(this.#now);
  }

  answer(id: string, ms: number): void {
    this.reports.noteProbe(id, ms, this.now);
  }

  fail(id: string): void {
    this.reports.noteFailure({ path: id, keys: [], startedAt: this.now, isCertain: false }, this.now);
  }

  /** What new flows take after so long. */
  after(ms: number): string | undefined {
    this.#now += ms;
    return this.automatic.reconsider(this.now)?.id;
  }
}

/** Both answer, `a` faster; `a` is taken. */
function settled(): World {
  const world = new World();
  world.answer('a', 20);
  world.answer('b', 24);
  expect(world.after(500)).toBe('a');
  return world;
}

describe('the path of new flows', () => {
  test('is left with the first probe that fails', () => {
    const world = settled();

    world.fail('a');

    expect(world.after(500)).toBe('b');
  });

  test('is not taken again before it has answered, though nothing more is heard', () => {
    const world = settled();
    world.fail('a');
    world.after(500);
    world.answer('b', 24);

    const taken = Array.from({ length: 20 }, () => world.after(500));

    expect(new Set(taken)).toEqual(new Set(['b']));
  });

  test('is taken again soon after a single failure', () => {
    const world = settled();
    world.fail('a');
    world.after(500);

    world.answer('a', 20);

    expect(world.after(500)).toBe('a');
  });

  test('does not move for a small gain', () => {
    const world = settled();
    const taken: (string | undefined)[] = [];
    for (let i = 0; i < 60; i++) {
      world.answer('a', 20);
      world.answer('b', i % 2 === 0 ? 17 : 19);
      taken.push(world.after(500));
    }

    expect(new Set(taken)).toEqual(new Set(['a']));
  });

  test('moves for a clear gain that lasts', () => {
    const world = settled();
    for (let i = 0; i < 60; i++) {
      world.answer('a', 60);
      world.answer('b', 15);
      world.after(500);
    }

    expect(world.after(500)).toBe('b');
  });

  test('leaves a path whose uplink is gone, and does not hurry back where nothing is known to be better', () => {
    const world = new World(false);
    expect(world.after(500)).toBe('a');
    world.troubles.set('a', 'there is no interface eth1 with an address');

    expect(world.after(500)).toBe('b');
    world.troubles.clear();
    expect(world.after(500)).toBe('b');
    expect(world.after(11_000)).toBe('b');
  });

  test('avoids a path that is being drained, unless there is no other', () => {
    const world = settled();
    world.automatic.setDrained('a', true);
    expect(world.after(500)).toBe('b');

    world.automatic.setDrained('b', true);

    expect(['a', 'b']).toContain(world.after(500));
  });

  test('is nothing where no path carries the family', () => {
    const reports = new PathReports([]);
    const automatic = new AutomaticPath({ paths: [], reports, family: 16, isProbed: true });

    expect(automatic.reconsider(monoMs(1000))).toBeUndefined();
  });
});
