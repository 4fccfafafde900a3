import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findAddress } from '../../../../edge/peers/addresses.ts';
import { formatAddress, parseAddress, parsePrefix, prefixContains } from '../../../../shared/core/base/ip.ts';
import { poolOf } from '../../../contract/peer-store-arrangement.ts';
import { seededEntropy } from '../../../support/seeded.ts';

describe('addresses for devices', () => {
  test('are every one of a small network but its own, the gateway’s, the broadcast and reserved ones', () => {
    fc.assert(
      fc.property(fc.integer({ min: 22, max: 30 }), fc.nat(), (bits, seed) => {
        const pool = poolOf(`10.20.4.0/${bits}`, '10.20.4.2');
        const taken = new Set<string>();
        const entropy = seededEntropy(seed);
        for (;;) {
          const address = findAddress(pool, entropy, (one) => taken.has(one));
          if (address === undefined) break;
          expect(taken.has(address)).toBe(false);
          expect(prefixContains(pool.prefix, parseAddress(address)!)).toBe(true);
          taken.add(address);
        }
        const first = parsePrefix(`10.20.4.0/${bits}`)!.address;
        const never = [0, 1, 2].map((last) =>
          formatAddress(Uint8Array.of(first[0]!, first[1]!, first[2]!, last)),
        );
        expect(taken.size).toBe(2 ** (32 - bits) - 4);
        expect(never.filter((one) => taken.has(one))).toEqual([]);
      }),
      { seed: 7, numRuns: 15 },
    );
  });

  test('do not begin at the same place each time', () => {
    const pool = poolOf('10.0.0.0/8');
    const found = new Set(
      Array.from({ length: 50 }, (_, seed) => findAddress(pool, seededEntropy(seed), () => false)),
    );

    expect(found.size).toBeGreaterThan(45);
  });

  test('fill an IPv6 network at random, the gateway never', () => {
    const pool = poolOf('fd7c::/64');
    const zeros = { fill: (bytes: Uint8Array) => bytes.fill(0) };

    expect(findAddress(pool, zeros, () => false)).toBe('fd7c::2');
    expect(findAddress(pool, seededEntropy(1), () => false)).toMatch(/^fd7c::\w+:\w+:\w+:\w+$/);
  });

  test('end, in a network where everything is taken', () => {
    expect(findAddress(poolOf('10.0.0.0/31'), seededEntropy(1), () => false)).toBeUndefined();
    expect(findAddress(poolOf('10.0.0.0/24'), seededEntropy(1), () => true)).toBeUndefined();
  });
});
