// Prefixes as sets, against the naive question "is this address in it?".
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { effectivePrefixes } from '../../../../client/split/effective.ts';
import { covers, difference, intersection, narrowest } from '../../../../client/split/prefix-set.ts';
import { parseRules, type SplitRule } from '../../../../client/split/rules.ts';
import { formatPrefix, maskAddress, type Prefix, parsePrefix } from '../../../../shared/core/base/ip.ts';

function prefixes(...texts: string[]): Prefix[] {
  return texts.map((text) => parsePrefix(text)!);
}

function texts(list: readonly Prefix[] | undefined): string[] {
  return (list ?? []).map(formatPrefix);
}

function rules(text: string): readonly SplitRule[] {
  const read = parseRules(text);
  if ('problems' in read) throw new Error(JSON.stringify(read.problems));
  return read;
}

/** Few first bits, so that prefixes meet; any length. */
const prefix: fc.Arbitrary<Prefix> = fc
  .tuple(fc.constantFrom(4, 16), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat())
  .map(([size, bytes, length]) => {
    const address = bytes.slice(0, size);
    address[0]! &= 0xc0;
    address[1]! &= 0x03;
    const bits = length % (size * 8 + 1);
    maskAddress(address, bits);
    return { address, bits };
  });

const several = fc.array(prefix, { maxLength: 8 });

/** Addresses where something could go wrong: first, last and just beside each prefix. */
function corners(list: readonly Prefix[]): Uint8Array[] {
  return list.flatMap(({ address, bits }) => {
    const last = address.map((byte, i) => byte | (0xff >> Math.min(8, Math.max(0, bits - i * 8))));
    return [address, last, step(address, -1), step(last, 1)];
  });
}

function step(address: Uint8Array, by: number): Uint8Array {
  const next = address.slice();
  for (let i = next.length - 1; i >= 0; i--) {
    next[i] = next[i]! + by;
    if (next[i] !== (by > 0 ? 0 : 255)) break;
  }
  return next;
}

/** No overlap, in order, and no two halves that could be one. */
function expectCanonical(list: readonly Prefix[]): void {
  for (const [i, one] of list.entries()) {
    for (const other of list.slice(i + 1)) {
      expect(covers([one], other.address) || covers([other], one.address)).toBe(false);
      if (one.bits !== other.bits || one.address.length !== other.address.length || one.bits === 0) continue;
      const parents = [one, other].map(({ address, bits }) => {
        const parent = address.slice();
        maskAddress(parent, bits - 1);
        return parent.join();
      });
      expect(parents[0]).not.toBe(parents[1]);
    }
  }
}

describe('the difference', () => {
  test.each([
    [['0.0.0.0/0'], ['10.0.0.0/8'], 8],
    [['0.0.0.0/0', '::/0'], ['192.0.2.1/32', '2001:db8::1/128'], 160],
    [['10.0.0.0/8'], ['10.0.0.0/8'], 0],
    [['10.0.0.0/8'], ['11.0.0.0/8'], 1],
    [['10.0.0.0/9', '10.128.0.0/9'], [], 1],
    [['10.0.0.0/9', '10.128.0.0/9', '10.1.0.0/16'], ['10.200.0.0/16'], 8],
    [[], ['0.0.0.0/0'], 0],
  ])('of %j and %j has %i prefixes', (included, excluded, count) => {
    const result = difference(prefixes(...included), prefixes(...excluded));

    expect(texts(result)).toHaveLength(count);
  });

  test('is what WireGuard users know for "everything but the local network"', () => {
    expect(texts(difference(prefixes('0.0.0.0/0'), prefixes('192.168.0.0/16')))).toMatchSnapshot();
  });

  test('holds exactly the addresses that the naive model holds, in the shortest form', () => {
    fc.assert(
      fc.property(several, several, several, (included, excluded, others) => {
        const result = difference(included, excluded)!;
        for (const address of corners([...included, ...excluded, ...others, ...result])) {
          expect(covers(result, address)).toBe(covers(included, address) && !covers(excluded, address));
        }
        expectCanonical(result);
      }),
      { seed: 21, numRuns: 400 },
    );
  });

  test('likewise the intersection', () => {
    fc.assert(
      fc.property(several, several, (a, b) => {
        const result = intersection(a, b)!;
        for (const address of corners([...a, ...b, ...result])) {
          expect(covers(result, address)).toBe(covers(a, address) && covers(b, address));
        }
        expectCanonical(result);
      }),
      { seed: 22, numRuns: 400 },
    );
  });

  test('says so where it would be too long, instead of trying', () => {
    const many = Array.from({ length: 1000 }, (_, i) => {
      const address = new Uint8Array(16).fill(0x55);
      address[0] = i >> 8;
      address[1] = i & 255;
      return { address, bits: 128 };
    });

    expect(difference(prefixes('::/0'), many)).toBeUndefined();
  });
});

describe('what rules and AllowedIPs come to', () => {
  const all = ['0.0.0.0/0', '::/0'];

  test('is everything, without rules', () => {
    expect(effectivePrefixes(all, [])).toEqual({ tunnel: all, routes: all, around: [], scope: 'everything' });
  });

  test('opens around the tunnel what is excluded, and nothing else of either family', () => {
    const effective = effectivePrefixes(['0.0.0.0/0'], rules('exclude ip 192.168.0.0/16'))!;

    expect(effective.around).toEqual(['192.168.0.0/16']);
    expect(effective.scope).toContain('::/0');
    expect(effective.scope).not.toContain('0.0.0.0/0');
    expect(effective.tunnel).not.toContain('::/0');
  });

  test('sends only what is included, and leaves the rest as it was', () => {
    const list = rules('include ip 10.0.0.0/8\nexclude ip 10.9.0.0/16\ninclude ip fd00::/8');
    const effective = effectivePrefixes(['0.0.0.0/0'], list)!;

    expect(effective.tunnel).toHaveLength(8);
    expect(effective.tunnel.every((prefix) => prefix.startsWith('10.'))).toBe(true);
    // The edge has no IPv6, but the user wants it protected: it is closed, not leaked.
    expect(effective.scope).toContain('fd00::/8');
  });

  test('includes nothing that the edge does not carry', () => {
    const effective = effectivePrefixes(
      ['10.0.0.0/8'],
      rules('include ip 0.0.0.0/0\nexclude ip 10.1.0.0/16'),
    )!;

    expect(effective.scope).toEqual(effective.tunnel);
    expect(effective.around).toEqual(['10.1.0.0/16']);
  });

  test('takes in addresses that were learned for names', () => {
    const exclude = prefixes('203.0.113.9');
    const effective = effectivePrefixes(all, rules('exclude host a.example'), { include: [], exclude })!;

    expect(effective.around).toEqual(['203.0.113.9/32']);
  });

  test('agrees with the naive model for any rules', () => {
    const rule: fc.Arbitrary<SplitRule> = fc
      .tuple(prefix, fc.constantFrom('include' as const, 'exclude' as const))
      .map(([one, mode]) => ({ kind: 'ip', mode, prefix: one }));
    fc.assert(
      fc.property(several, fc.array(rule, { maxLength: 6 }), (allowed, list) => {
        const { tunnel, routes, around, scope } = effectivePrefixes(allowed.map(formatPrefix), list)!;
        const of = (mode: string): Prefix[] =>
          list.flatMap((one) => (one.kind === 'ip' && one.mode === mode ? [one.prefix] : []));
        const [included, excluded] = [of('include'), of('exclude')];
        for (const address of corners([...allowed, ...included, ...excluded])) {
          const wanted = included.length === 0 || covers(included, address);
          const isOut = covers(excluded, address);
          const carried = covers(allowed, address);
          expect(covers(prefixes(...tunnel), address)).toBe(carried && wanted && !isOut);
          expect(covers(prefixes(...around), address)).toBe(carried && isOut);
          // By the kernel's rule: the longest prefix decides, and what is thrown goes on to the main table.
          const way = narrowest(prefixes(...routes), address)?.bits ?? -1;
          const thrown = narrowest(prefixes(...around), address)?.bits ?? -1;
          expect(way > thrown).toBe(carried && wanted && !isOut);
          // Never open what should be in the tunnel, never close what was excluded.
          const closed = scope === 'everything' || covers(prefixes(...scope), address);
          if (carried && wanted && !isOut) expect(closed).toBe(true);
          if (isOut) expect(closed).toBe(false);
        }
      }),
      { seed: 23, numRuns: 300 },
    );
  });
});
