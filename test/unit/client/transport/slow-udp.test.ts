/** Seconds of somebody's downloads, and what is said of them. */

import { describe, expect, it } from 'vitest';
import type { Transport } from '../../../../client/transport/race.ts';
import { firstRestMs, SlowUdpWatch, type SlowVerdict } from '../../../../client/transport/slow-udp.ts';
import { after, type MonoMs, minuteMs, monoMs, secondMs } from '../../../../shared/core/base/time.ts';

interface Second {
  readonly received: number;
  readonly lost: number;
}

const packetBytes = 1400;
const throttled: Second = { received: 15, lost: 3 };
const idle: Second = { received: 0, lost: 0 };
const fast: Second = { received: 400, lost: 0 };

/** A tunnel whose seconds are played one after the other. */
class Line {
  readonly watch: SlowUdpWatch;
  now: MonoMs = monoMs(1000);
  transport: Transport = 'udp';
  #rxBytes = 0;
  #received = 0;
  #lost = 0;

  constructor(mostLooks?: number) {
    this.watch = new SlowUdpWatch(mostLooks === undefined ? {} : { mostLooks });
  }

  /** What was said, without the silences. The device announces as it does: four lost, and then once a second. */
  play(second: Second, times = 1): SlowVerdict[] {
    const said: SlowVerdict[] = [];
    for (let i = 0; i < times; i++) {
      this.now = after(this.now, secondMs);
      this.#rxBytes += second.received * packetBytes;
      this.#received += second.received;
      this.#lost += second.lost;
      if (second.lost >= 2) this.watch.handleLoss(this.now);
      if (!this.watch.isAwake) continue;
      const verdict = this.watch.tick(
        { rxBytes: this.#rxBytes, received: this.#received, lost: this.#lost },
        this.transport,
        this.now,
      );
      if (verdict !== 'nothing') said.push(verdict);
    }
    return said;
  }

  /** Until TLS is tried; seconds. */
  untilTrial(second: Second): number {
    for (let i = 1; i <= 30; i++) if (this.play(second).includes('try-tls')) return i;
    return Number.POSITIVE_INFINITY;
  }
}

describe('the watch on slow UDP', () => {
  it('tries TLS after a few seconds of a throttled download, and keeps what carries clearly more', () => {
    const line = new Line();

    const tookS = line.untilTrial(throttled);
    line.transport = 'tls';
    const said = line.play(fast, 3);

    expect(tookS).toBeLessThanOrEqual(5);
    expect(said).toEqual(['keep-tls']);
    expect(line.watch.isAwake).toBe(false);
  });

  it('goes back where TLS carries no more, and lets it rest longer each time', () => {
    const line = new Line();
    const rests: number[] = [];

    line.untilTrial(throttled);
    for (let i = 0; i < 3; i++) {
      line.transport = 'tls';
      expect(line.play({ received: 16, lost: 0 }, 6)).toEqual(['back-to-udp']);
      line.transport = 'udp';
      const from = line.now;
      for (let tries = 0; tries < 20 && line.untilTrial(throttled) === Number.POSITIVE_INFINITY; tries++);
      rests.push(line.now - from);
    }

    expect(rests[0]).toBeGreaterThan(firstRestMs / 2);
    expect(rests[1]).toBeGreaterThan(1.8 * (rests[0] ?? 0));
    expect(rests[2]).toBeGreaterThan(1.8 * (rests[1] ?? 0));
  });

  it('stays where one burst is lost at the start of a download, as on every full link', () => {
    const line = new Line();

    const said = [
      ...line.play({ received: 300, lost: 90 }),
      ...line.play({ received: 900, lost: 30 }),
      ...line.play({ received: 1000, lost: 4 }, 20),
    ];

    expect(said).toEqual([]);
  });

  it('stays where three of a hundred are lost here and there', () => {
    const line = new Line();

    expect(line.play({ received: 970, lost: 30 }, 60)).toEqual([]);
  });

  it('falls asleep where nobody loads anything, and never asks then', () => {
    const line = new Line();

    line.play(throttled, 2);
    const said = line.play(idle, 10);

    expect(said).toEqual([]);
    expect(line.watch.isAwake).toBe(false);
  });

  it('counts the seconds in which something came, also where a pause is between them', () => {
    const line = new Line();
    const said: SlowVerdict[] = [];

    for (let i = 0; i < 5; i++) said.push(...line.play(throttled), ...line.play(idle));

    expect(said).toContain('try-tls');
  });

  it('gives up where TLS cannot be had', () => {
    const line = new Line();

    line.untilTrial(throttled);

    expect(line.play(throttled, 6)).toEqual(['give-up']);
    expect(line.untilTrial(throttled)).toBeGreaterThan(20);
  });

  it('takes a download that ended within the trial for what it was', () => {
    const line = new Line();

    line.untilTrial(throttled);
    line.transport = 'tls';
    line.play(idle);
    const said = [...line.play(fast), ...line.play(idle, 5)];

    expect(said).toEqual(['keep-tls']);
  });

  it('takes a download that ended in the very second of the move for what it was', () => {
    const line = new Line();

    line.untilTrial(throttled);
    line.transport = 'tls';

    expect([...line.play(fast), ...line.play(idle, 8)]).toEqual(['keep-tls']);
  });

  it('leaves UDP again where it is slow after a while, without a rest', () => {
    const line = new Line();
    line.untilTrial(throttled);
    line.transport = 'tls';
    line.play(fast, 3);

    line.transport = 'udp';

    expect(line.untilTrial(throttled)).toBeLessThanOrEqual(5);
  });

  it('forgets a rest in another network', () => {
    const line = new Line();
    line.untilTrial(throttled);
    line.transport = 'tls';
    line.play({ received: 16, lost: 0 }, 8);
    line.transport = 'udp';

    line.watch.handleMove();

    expect(line.untilTrial(throttled)).toBeLessThanOrEqual(5);
  });

  it('looks so often and no more where looking costs something, and then rests', () => {
    const line = new Line(8);

    const said: SlowVerdict[] = [];
    for (let i = 1; i <= 9; i++) {
      line.watch.handleLoss(line.now);
      expect(line.watch.isAwake).toBe(true);
      said.push(...line.play(fast));
    }
    line.watch.handleLoss(line.now);

    expect(said).toEqual([]);
    expect(line.watch.isAwake).toBe(false);
    line.now = after(line.now, firstRestMs);
    line.watch.handleLoss(line.now);
    expect(line.watch.isAwake).toBe(true);
  });

  it('takes no second for one in which the program stood still, or had another tunnel', () => {
    const line = new Line();
    const said: SlowVerdict[] = [];

    for (let i = 0; i < 6; i++) {
      said.push(...line.play(throttled));
      line.now = after(line.now, minuteMs);
    }
    line.watch.handleLoss(line.now);
    line.watch.tick({ rxBytes: 0, received: 0, lost: 0 }, 'udp', line.now);

    expect(said).toEqual([]);
  });
});
