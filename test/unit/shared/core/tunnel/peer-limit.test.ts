/** A token bucket in virtual time, and the end of a peer's counters. */

import { describe, expect, test } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import {
  burstMs,
  leastBurstBytes,
  limitsAnything,
  PeerLimiter,
  RateBucket,
} from '../../../../../shared/core/tunnel/peer-limit.ts';

/** Bytes that pass of a sender who offers a packet of `size` every `everyMs`. */
function passed(bucket: RateBucket, size: number, everyMs: number, durationMs: number): number {
  let bytes = 0;
  for (let now = 0; now < durationMs; now += everyMs) if (bucket.take(size, monoMs(now))) bytes += size;
  return bytes;
}

const send = (limiter: PeerLimiter, length: number, now = 0): string =>
  limiter.send(new Uint8Array(length), 0, length, monoMs(now));

describe('the rate of a peer', () => {
  test.each([
    [100_000, 1420],
    [1_000_000, 1420],
    [12_500_000, 1420],
    [12_500_000, 64],
    [125_000_000, 1420],
  ])('of %i bytes a second is exact to a packet, whatever is offered (%i bytes each)', (rate, size) => {
    const seconds = 20;
    const offered = 3 * rate;
    const burst = Math.max(leastBurstBytes, (rate * burstMs) / 1000);

    const bytes = passed(new RateBucket(rate), size, (size / offered) * 1000, seconds * 1000);

    expect(bytes).toBeGreaterThan(rate * seconds + burst - 3 * size);
    expect(bytes).toBeLessThanOrEqual(rate * seconds + burst + size);
  });

  test('never keeps more than the burst for later, and takes back nothing when the clock stands still', () => {
    const bucket = new RateBucket(1_000_000);
    const burst = 250_000;

    expect(bucket.take(burst, monoMs(0))).toBe(true);
    expect(bucket.take(1, monoMs(0))).toBe(false);
    expect(bucket.take(burst, monoMs(3_600_000))).toBe(true);
    expect(bucket.take(1, monoMs(3_600_000))).toBe(false);
    expect(bucket.take(1, monoMs(3_599_000))).toBe(false);
  });

  test('lets the largest packet pass however slow the peer is', () => {
    expect(new RateBucket(1).take(65_535, monoMs(0))).toBe(true);
  });

  test('holds in each direction by itself', () => {
    const limiter = new PeerLimiter({ rateBytes: 1000, allowanceBytes: undefined }, { bytes: 0 });

    expect(limiter.mayReceive(leastBurstBytes, monoMs(0))).toBe(true);
    expect(send(limiter, leastBurstBytes)).toBe('ok');
    expect(limiter.mayReceive(1, monoMs(0))).toBe(false);
    expect(send(limiter, 1)).toBe('waits');
  });

  test('that is told again fills no bucket; another one does', () => {
    const limiter = new PeerLimiter({ rateBytes: 1000, allowanceBytes: undefined }, { bytes: 0 });
    send(limiter, leastBurstBytes);

    limiter.change({ rateBytes: 1000, allowanceBytes: 5 });
    expect(send(limiter, 1000)).toBe('waits');
    limiter.change({ rateBytes: 2000, allowanceBytes: 5 });
    expect(send(limiter, 1000)).toBe('ok');
  });
});

describe('what is too fast for a peer', () => {
  test('waits in its order, a tenth of a second of the rate at most, and goes when its time has come', () => {
    const budget = { bytes: 0 };
    const limiter = new PeerLimiter({ rateBytes: 1_000_000, allowanceBytes: undefined }, budget);
    send(limiter, 250_000);

    const verdicts = Array.from({ length: 101 }, () => send(limiter, 1000));

    expect(verdicts.filter((verdict) => verdict === 'waits')).toHaveLength(100);
    expect(verdicts.at(-1)).toBe('over-rate');
    expect(budget.bytes).toBe(100_000);
    expect(limiter.waitMs()).toBeCloseTo(1);
    expect(limiter.nextWaiting(monoMs(0.9))).toBeUndefined();
    let gone = 0;
    for (
      let packet = limiter.nextWaiting(monoMs(50));
      packet !== undefined;
      packet = limiter.nextWaiting(monoMs(50))
    ) {
      limiter.sent(packet, monoMs(50));
      gone++;
    }
    expect(gone).toBe(50);
    // A fast one does not pass by those that wait.
    expect(send(limiter, 1, 50)).toBe('waits');
    limiter.clear();
    expect(budget.bytes).toBe(0);
    expect(limiter.waitMs()).toBeUndefined();
  });

  test('is lost where all peers together hold back too much', () => {
    const limiter = new PeerLimiter(
      { rateBytes: 1000, allowanceBytes: undefined },
      { bytes: 64 * 1024 * 1024 },
    );
    send(limiter, leastBurstBytes);

    expect(send(limiter, 1)).toBe('over-rate');
  });
});

describe('the allowance of a peer', () => {
  test('may be reached to the byte; what would pass it ends everything, small packets too', () => {
    const limiter = new PeerLimiter({ rateBytes: 0, allowanceBytes: 1000 }, { bytes: 0 });

    expect(limiter.hasAllowance(1000)).toBe(true);
    expect(limiter.isSpent).toBe(false);
    expect(limiter.hasAllowance(1001)).toBe(false);
    expect(limiter.isSpent).toBe(true);
    expect(limiter.hasAllowance(1)).toBe(false);
  });

  test('can be raised, and taken away', () => {
    const limiter = new PeerLimiter({ rateBytes: 0, allowanceBytes: 10 }, { bytes: 0 });
    limiter.hasAllowance(11);

    limiter.change({ rateBytes: 0, allowanceBytes: 20 });
    expect(limiter.hasAllowance(11)).toBe(true);
    limiter.change({ rateBytes: 0, allowanceBytes: undefined });
    expect(limiter.hasAllowance(1e15)).toBe(true);
    expect(limitsAnything(limiter.limits)).toBe(false);
  });
});
