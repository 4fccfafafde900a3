import { describe, expect, test } from 'vitest';
import { maxBuckets, RateLimits, sourceOf } from '../../../../edge/registration/rate-limits.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

describe('a rate limit', () => {
  test('allows a burst, then its rate, and never more than the burst after a rest', () => {
    const limits = new RateLimits({ perSecond: 2, burst: 3 });
    const taken = (from: number, count: number, step: number) =>
      Array.from({ length: count }, (_, i) => limits.take('a', monoMs(from + i * step))).filter(Boolean)
        .length;

    expect(taken(0, 10, 0)).toBe(3);
    expect(taken(500, 10, 500)).toBe(10);
    expect(taken(1_000_000, 10, 0)).toBe(3);
  });

  test('keeps keys apart, and says without counting that one is spent', () => {
    const limits = new RateLimits({ perSecond: 1, burst: 1 });
    const now = monoMs(0);

    expect(limits.isSpent('a', now)).toBe(false);
    expect(limits.take('a', now)).toBe(true);
    expect([limits.isSpent('a', now), limits.isSpent('b', now)]).toEqual([true, false]);
    expect(limits.isSpent('a', monoMs(1000))).toBe(false);
  });

  test('is bounded: the one that rested longest is forgotten', () => {
    const limits = new RateLimits({ perSecond: 0.001, burst: 1 });
    for (let i = 0; i < maxBuckets; i++) limits.take(`k${i}`, monoMs(i));
    limits.take('k0', monoMs(maxBuckets));

    limits.take('new', monoMs(maxBuckets));

    expect(limits.size).toBe(maxBuckets);
    expect(limits.isSpent('k0', monoMs(maxBuckets))).toBe(true);
    expect(limits.isSpent('k1', monoMs(maxBuckets))).toBe(false);
  });
});

describe('a source', () => {
  test.each<[string | undefined, string]>([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2ff::1', '20010db8000102'],
    ['2001:db8:1:200::9', '20010db8000102'],
    ['2001:db8:1:300::9', '20010db8000103'],
    ['fe80::1%eth0', 'fe800000000000'],
    [undefined, 'unknown'],
  ])('%s counts as %s', (address, source) => {
    expect(sourceOf(address)).toBe(source);
  });
});
