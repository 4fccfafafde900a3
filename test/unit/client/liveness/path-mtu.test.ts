// The search for the largest packet that passes, against paths that lose the larger ones without a word.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { floorMtu, largestInner, PathMtu, segmentSize } from '../../../../client/liveness/path-mtu.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { seededRandom } from '../../../support/seeded.ts';

class Path {
  now = 0;
  sent: number[] = [];
  carries: number;
  loss = 0;
  readonly machine: PathMtu;
  readonly #random = seededRandom(5);

  constructor(carries: number, options: { most?: number; hint?: number } = {}) {
    this.carries = carries;
    this.machine = new PathMtu({ most: 1420, ...options }, monoMs(0));
  }

  /** Runs until `until`, or until nothing is left to do. Round trips take 30 ms. */
  run(until: number): this {
    for (let steps = 0; steps < 10_000; steps++) {
      const probe = this.machine.takeProbe();
      if (probe !== undefined) {
        this.sent.push(probe.size);
        if (probe.size <= this.carries && this.#random() >= this.loss) {
          this.now += 30;
          this.machine.handleAnswer(probe.id, monoMs(this.now));
          continue;
        }
      }
      const next = this.machine.nextTimeout();
      if (next === undefined || next.at > until) break;
      this.now = next.at;
      this.machine.handleTimeout(monoMs(this.now));
    }
    this.now = until;
    return this;
  }
}

describe('the search', () => {
  test('takes two probes on an ordinary path, and then is silent for good', () => {
    const path = new Path(1500).run(100_000);

    expect(path.sent).toEqual([1280, 1420]);
    expect(path.machine).toMatchObject({ mtu: 1420, phase: 'complete' });
    expect(path.machine.nextTimeout()).toBeUndefined();
  });

  test.each([1280, 1281, 1287, 1300, 1372, 1412, 1419, 1420])('comes within a step of %i', (carries) => {
    const path = new Path(carries).run(60_000);

    expect(path.machine.phase).toBe('complete');
    expect(path.machine.mtu).toBeLessThanOrEqual(carries);
    expect(carries - path.machine.mtu).toBeLessThan(8);
  });

  test('tries first what worked on this network before', () => {
    const path = new Path(1372, { hint: 1372 }).run(60_000);

    expect(path.sent.slice(0, 2)).toEqual([1280, 1372]);
    expect(path.machine.mtu).toBe(1372);
  });

  test('tries again after ten minutes, since paths become wider', () => {
    const path = new Path(1350).run(60_000);
    path.carries = 1500;

    path.run(700_000);

    expect(path.machine.mtu).toBe(1420);
  });

  test('forgives a lost probe', () => {
    const path = new Path(1500);
    path.loss = 0.2;

    expect(path.run(300_000).machine.mtu).toBeGreaterThanOrEqual(1400);
  });

  test('says so where not even the floor passes, stays at it, and tries again', () => {
    const path = new Path(1200).run(30_000);
    expect(path.machine).toMatchObject({ mtu: floorMtu, phase: 'broken' });

    path.carries = 1420;

    expect(path.run(130_000).machine).toMatchObject({ mtu: 1420, phase: 'complete' });
  });

  test('has nothing to search where the interface carries no more than the floor', () => {
    const path = new Path(1500, { most: 1200 }).run(10_000);

    expect(path.sent).toEqual([1280]);
    expect(path.machine).toMatchObject({ mtu: 1280, phase: 'complete' });
  });
});

describe('a black hole', () => {
  test('is left within two seconds of the suspicion, for the floor, and then for what passes', () => {
    const path = new Path(1420).run(10_000);
    path.carries = 1340;

    path.machine.handleSuspicion(monoMs(path.now));
    path.run(11_600);
    expect(path.machine.mtu).toBe(floorMtu);

    path.run(60_000);
    expect(path.machine.mtu).toBeGreaterThan(1332);
    expect(path.machine.mtu).toBeLessThanOrEqual(1340);
  });

  test('that is none costs one probe', () => {
    const path = new Path(1420).run(10_000);
    const before = path.sent.length;

    path.machine.handleSuspicion(monoMs(10_000));
    path.run(12_000);
    path.machine.handleSuspicion(monoMs(12_000));
    path.run(20_000);

    expect(path.sent.length - before).toBe(1);
    expect(path.machine).toMatchObject({ mtu: 1420, phase: 'complete' });
  });

  test('in the next network is found by confirming, not by losing packets for long', () => {
    const path = new Path(1420).run(10_000);
    path.carries = 1300;

    path.machine.handleNetworkChange({ most: 1420 }, monoMs(10_000));
    path.run(11_600);
    expect(path.machine.mtu).toBe(floorMtu);
    expect(path.run(60_000).machine.mtu).toBeGreaterThan(1292);
  });

  test('cannot be where the next interface carries less: the floor holds at once', () => {
    const path = new Path(1420).run(10_000);

    path.machine.handleNetworkChange({ most: 1400 }, monoMs(10_000));

    expect(path.machine.mtu).toBe(floorMtu);
    expect(path.run(20_000).machine.mtu).toBe(1400);
  });
});

describe('what a router says', () => {
  test('lowers at once, and is proven before it is used', () => {
    const path = new Path(1420).run(10_000);
    path.carries = 1392;

    path.machine.handleTooBig(1392, monoMs(10_000));
    expect(path.machine.mtu).toBe(floorMtu);
    path.run(10_100);

    expect(path.machine.mtu).toBe(1392);
  });

  test.each([0, 68, 1279, 1420, 1421, 65_535])('is not believed where it is %i', (size) => {
    const path = new Path(1420).run(10_000);

    path.machine.handleTooBig(size, monoMs(10_000));

    expect(path.machine.mtu).toBe(1420);
  });
});

test('keeps its promises whatever happens: floor, proof, bounds, an end', () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('run' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
    fc.record({ kind: fc.constant('path' as const), carries: fc.integer({ min: 1100, max: 1500 }) }),
    fc.record({ kind: fc.constant('suspicion' as const) }),
    fc.record({ kind: fc.constant('too-big' as const), size: fc.integer({ min: 0, max: 1600 }) }),
    fc.record({ kind: fc.constant('network' as const), most: fc.integer({ min: 1000, max: 1440 }) }),
    fc.record({ kind: fc.constant('stray' as const), id: fc.integer({ min: 0, max: 50 }) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const path = new Path(1420);
      let most = 1420;
      for (const one of events) {
        const now = monoMs(path.now);
        const before = path.sent.length;
        if (one.kind === 'run') path.run(path.now + one.ms);
        else if (one.kind === 'path') path.carries = one.carries;
        else if (one.kind === 'suspicion') path.machine.handleSuspicion(now);
        else if (one.kind === 'too-big') path.machine.handleTooBig(one.size, now);
        else if (one.kind === 'network') {
          most = Math.max(floorMtu, one.most);
          path.machine.handleNetworkChange({ most: one.most }, now);
        } else if (path.machine.takeProbe()?.id !== one.id) path.machine.handleAnswer(0, now);
        expect(path.machine.mtu).toBeGreaterThanOrEqual(floorMtu);
        expect(path.machine.mtu).toBeLessThanOrEqual(most);
        expect(path.sent.slice(before).every((size) => size >= floorMtu && size <= most)).toBe(true);
      }
      path.carries = 1350;
      path.machine.handleNetworkChange({ most: 1420 }, monoMs(path.now));
      path.run(path.now + 200_000);
      expect(path.machine.phase).toBe('complete');
      expect(path.machine.mtu).toBeLessThanOrEqual(1350);
      expect(path.machine.mtu).toBeGreaterThan(1342);
    }),
    { seed: 3, numRuns: 300 },
  );
});

test('knows what WireGuard adds, and what TCP then may send', () => {
  expect([largestInner(1500, 4), largestInner(1500, 6), largestInner(1300, 6)]).toEqual([1440, 1420, 1280]);
  expect([segmentSize(1420, 4), segmentSize(1280, 6)]).toEqual([1380, 1220]);
});
