// The cache: what is kept, for how long, and what goes first.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MonoMs, monoMs } from '../../../../../shared/core/base/time.ts';
import { AnswerCache, type CacheLimits, cacheKey, dressingOf } from '../../../../../shared/core/dns/cache.ts';
import { rcode, recordType } from '../../../../../shared/core/dns/types.ts';
import { a, parsed, soa, testAnswer, testQuery } from '../../../../support/dns-messages.ts';

const { a: typeA, aaaa } = recordType;
const limits: CacheLimits = { maxEntries: 100, maxBytes: 1_000_000, maxStaleMs: 3_600_000 };
const at = (seconds: number): MonoMs => monoMs(seconds * 1000);
const positive = (name: string, ttl = 60) =>
  parsed(testAnswer({ name, type: typeA, answers: [a(name, '192.0.2.1', ttl)] }));
const negative = (name: string, code: number, minimum = 60) =>
  parsed(testAnswer({ name, type: typeA, rcode: code, authority: [soa('example', 3600, minimum)] }));

function freshUntil(cache: AnswerCache, key: string): number {
  let seconds = 0;
  while (seconds < 1e6 && cache.lookup(key, at(seconds))?.freshness === 'fresh') seconds++;
  return seconds;
}

describe('an answer', () => {
  test('is fresh for its TTL and stale for a while after', () => {
    const cache = new AnswerCache(limits);
    cache.put('k', positive('x.example'), at(0));

    expect(cache.lookup('k', at(59.9))).toMatchObject({ freshness: 'fresh', ageSeconds: 59 });
    expect(cache.lookup('k', at(60))).toMatchObject({ freshness: 'stale' });
    expect(cache.lookup('k', at(60 + 3599))).toMatchObject({ freshness: 'stale' });
    expect(cache.lookup('k', at(60 + 3600))).toBeUndefined();
    expect(cache.entries).toBe(0);
  });

  test('is found by those who want only what is fresh, and a miss of theirs is not counted', () => {
    const cache = new AnswerCache(limits);
    cache.put('k', positive('x.example'), at(0));

    expect(cache.lookupFresh('k', at(59.9))).toMatchObject({ freshness: 'fresh', ageSeconds: 59 });
    expect(cache.lookupFresh('k', at(60))).toBeUndefined();
    expect(cache.lookupFresh('other', at(0))).toBeUndefined();
    expect(cache.counts).toMatchObject({ hits: 1, misses: 0 });
  });

  test.each([
    ['more than a day is a day', positive('x.example', 1_000_000), 86_400],
    ['no such name', negative('x.example', rcode.nxDomain), 60],
    ['nothing of this type', negative('x.example', rcode.noError), 60],
    ['"there is nothing" for three hours at most', negative('x.example', rcode.nxDomain, 90_000), 3600],
    ['a TTL of nothing', positive('x.example', 0), 0],
    ['"no such name" without SOA', parsed(testAnswer({ name: 'x.example', type: typeA, rcode: 3 })), 0],
    ['a server that failed', parsed(testAnswer({ name: 'x.example', type: typeA, rcode: 2 })), 0],
    ['a server that refused', parsed(testAnswer({ name: 'x.example', type: typeA, rcode: 5 })), 0],
    [
      'what was cut',
      parsed(
        testAnswer({ name: 'x.example', type: typeA, flags: 0x8380, answers: [a('x.example', '192.0.2.1')] }),
      ),
      0,
    ],
  ])('is kept in seconds: %s', (_what, answer, seconds) => {
    const cache = new AnswerCache(limits);
    cache.put('k', answer, at(0));

    expect(freshUntil(cache, 'k')).toBe(seconds);
  });

  test('that is malformed is not even given on', () => {
    const cache = new AnswerCache(limits);
    const cut = parsed(positive('x.example').bytes.subarray(0, 40));

    expect(cache.put('k', cut, at(0))).toBeUndefined();
    expect(cache.entries).toBe(0);
  });

  test('past its time says so in TTL and extended error', () => {
    const cache = new AnswerCache(limits);
    cache.put('k', positive('x.example'), at(0));
    cache.put('n', negative('y.example', rcode.nxDomain), at(0));

    expect(dressingOf(cache.lookup('k', at(30))!)).toEqual({ ageSeconds: 30 });
    expect(dressingOf(cache.lookup('k', at(90))!)).toMatchObject({
      staleTtl: 30,
      extendedError: { code: 3 },
    });
    expect(dressingOf(cache.lookup('n', at(90))!)).toMatchObject({ extendedError: { code: 19 } });
  });

  test('that is popular is asked for again, once, before its time is over', () => {
    const cache = new AnswerCache(limits);
    cache.put('k', positive('x.example', 100), at(0));

    expect(cache.lookup('k', at(50))?.wantsRefresh).toBe(false);
    expect(cache.lookup('k', at(95))?.wantsRefresh).toBe(true);
    expect(cache.lookup('k', at(96))?.wantsRefresh).toBe(false);
  });
});

describe('a failure', () => {
  test('is remembered for a second, then two, four, five at most', () => {
    const cache = new AnswerCache(limits);
    let now = 0;
    const pauses = [1, 2, 4, 5, 5].map((_pause) => {
      cache.putFailure('k', at(now));
      const from = now;
      while (cache.lookup('k', at(now)) !== undefined) now += 0.5;
      return now - from;
    });

    expect(pauses).toEqual([1, 2, 4, 5, 5]);
  });

  test('leaves the older answer in place and says not to ask again yet', () => {
    const cache = new AnswerCache(limits);
    cache.put('k', positive('x.example'), at(0));
    cache.putFailure('k', at(61));

    expect(cache.lookup('k', at(61.5))).toMatchObject({ freshness: 'failed', answer: expect.anything() });
    expect(cache.lookup('k', at(63))).toMatchObject({ freshness: 'stale' });
    expect(cache.lookup('other', at(61))).toBeUndefined();
  });

  test('does not hide an answer that is fresh', () => {
    const cache = new AnswerCache(limits);
    cache.put('k', positive('x.example'), at(0));
    cache.putFailure('k', at(10));

    expect(cache.lookup('k', at(10))?.freshness).toBe('fresh');
  });

  test('is forgotten with the next answer', () => {
    const cache = new AnswerCache(limits);
    cache.putFailure('k', at(0));
    cache.put('k', positive('x.example', 0), at(0.1));

    expect(cache.lookup('k', at(0.2))).toBeUndefined();
  });

  test.each([10_000])('costs bounded memory: %i names', (count) => {
    const cache = new AnswerCache(limits);
    for (let i = 0; i < count; i++) cache.putFailure(`k${i}`, at(0));

    expect(cache.lookup('k0', at(0))).toBeUndefined();
    expect(cache.lookup(`k${count - 1}`, at(0))?.freshness).toBe('failed');
  });
});

describe('the key', () => {
  test('tells type, DO and CD apart, not the case and not the id', () => {
    const base = cacheKey(testQuery('x.example', typeA));

    expect(cacheKey(testQuery('X.eXample', typeA, { id: 9, edns: { udpSize: 512 } }))).toBe(base);
    const others = [
      testQuery('y.example', typeA),
      testQuery('x.example', aaaa),
      testQuery('x.example', typeA, { class: 3 }),
      testQuery('x.example', typeA, { checkingDisabled: true }),
      testQuery('x.example', typeA, { edns: { udpSize: 512, dnssecOk: true } }),
      testQuery('x.example', typeA, { checkingDisabled: true, edns: { udpSize: 512, dnssecOk: true } }),
    ].map(cacheKey);

    expect(new Set([base, ...others]).size).toBe(others.length + 1);
  });
});

describe('another network or other upstreams', () => {
  test('forget what was missing, or everything, and what was asked before', () => {
    const cache = new AnswerCache(limits);
    cache.put('p', positive('x.example'), at(0));
    cache.put('n', negative('y.example', rcode.nxDomain), at(0));
    cache.putFailure('f', at(0));
    const before = cache.generation;

    cache.forgetNegative();
    expect(cache.lookup('p', at(1))?.freshness).toBe('fresh');
    expect(cache.lookup('n', at(1))).toBeUndefined();
    expect(cache.lookup('f', at(0.5))).toBeUndefined();

    cache.clear();
    expect(cache.lookup('p', at(1))).toBeUndefined();
    expect(cache.put('late', positive('z.example'), at(1), before)).toBeDefined();
    expect(cache.lookup('late', at(1))).toBeUndefined();
    expect(cache.sizeBytes).toBe(0);
  });
});

describe('a full cache', () => {
  test('gives up what nobody looked up lately', () => {
    const cache = new AnswerCache({ ...limits, maxEntries: 3 });
    for (const name of ['a', 'b', 'c']) cache.put(name, positive(`${name}.example`), at(0));
    cache.lookup('a', at(1));
    cache.put('d', positive('d.example'), at(2));

    expect(cache.lookup('a', at(3))).toBeDefined();
    expect(cache.lookup('b', at(3))).toBeUndefined();
    expect(cache.counts.evicted).toBe(1);
  });

  test('never holds more entries or bytes than its limits, and counts its bytes right', () => {
    const step = fc.tuple(fc.nat(40), fc.nat(3), fc.nat(100));
    const small = { maxEntries: 12, maxBytes: 6000, maxStaleMs: 1000 };
    const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const cache = new AnswerCache(small);
      let now = 0;
      for (const [name, what, seconds] of steps) {
        now += seconds / 10;
        const key = `k${name}`;
        if (what === 0) cache.lookup(key, at(now));
        else if (what === 1) cache.putFailure(key, at(now));
        else cache.put(key, positive(`${'x'.repeat(name + 1)}.example`, seconds), at(now));
        expect(cache.entries).toBeLessThanOrEqual(small.maxEntries);
        expect(cache.sizeBytes).toBeLessThanOrEqual(small.maxBytes);
      }
      now += 1000;
      for (let i = 0; i <= 40; i++) cache.lookup(`k${i}`, at(now));
      expect(cache.entries).toBe(0);
      expect(cache.sizeBytes).toBe(0);
    });

    fc.assert(property, { seed: 20261120, numRuns: 100 });
  });
});
