import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bucketIdleMs,
  handshakeBurst,
  handshakesPerSecond,
  RateLimiter,
  rateLimiterCapacity,
} from '../../../../../shared/core/admission/rate-limiter.ts';
import { endpointSize } from '../../../../../shared/core/base/endpoint.ts';
import { monoMs } from '../../../../../shared/core/base/time.ts';

const start = 5_000;

function ipv4(last: number, port = 1000): Uint8Array {
  const record = new Uint8Array(endpointSize);
  const view = new DataView(record.buffer);
  record[0] = 4;
  view.setUint16(2, port);
  view.setUint32(4, 0x0a000000 + last);
  return record;
}

function ipv6(network: number, host: number, port = 1000): Uint8Array {
  const record = new Uint8Array(endpointSize);
  const view = new DataView(record.buffer);
  record[0] = 6;
  view.setUint16(2, port);
  view.setUint32(4, 0x20010db8);
  view.setUint32(8, network);
  view.setUint32(16, host);
  return record;
}

function ask(limiter: RateLimiter, record: Uint8Array, ms: number): boolean {
  return limiter.allow(record, 0, monoMs(start + ms));
}

describe('the rate limiter', () => {
  test('lets a burst of five through, then one every 50 ms', () => {
    const limiter = new RateLimiter();
    const answers = Array.from({ length: 7 }, () => ask(limiter, ipv4(1), 0));

    expect(answers).toEqual([true, true, true, true, true, false, false]);
    expect(ask(limiter, ipv4(1), 49)).toBe(false);
    expect(ask(limiter, ipv4(1), 50)).toBe(true);
    expect(ask(limiter, ipv4(1), 99)).toBe(false);
    expect(ask(limiter, ipv4(1), 100)).toBe(true);
  });

  test('never lets through more than the burst and twenty a second, however it is asked', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 120 }), { minLength: 1, maxLength: 300 }), (waits) => {
        const limiter = new RateLimiter();
        let now = 0;
        let passed = 0;
        for (const wait of waits) {
          now += wait;
          if (ask(limiter, ipv4(1), now)) passed++;
        }
        expect(passed).toBeLessThanOrEqual(handshakeBurst + (now * handshakesPerSecond) / 1000);
        expect(passed).toBeGreaterThan(0);
      }),
      { seed: 20, numRuns: 100 },
    );
  });

  test('counts an IPv4 address with all its ports as one, and each address by itself', () => {
    const limiter = new RateLimiter();
    for (let i = 0; i < handshakeBurst; i++) ask(limiter, ipv4(1, 2000 + i), 0);

    expect(ask(limiter, ipv4(1, 4000), 0)).toBe(false);
    expect(ask(limiter, ipv4(2), 0)).toBe(true);
  });

  test('counts an IPv6 /64 as one, and each by itself', () => {
    const limiter = new RateLimiter();
    for (let i = 0; i < handshakeBurst; i++) ask(limiter, ipv6(1, i), 0);

    expect(ask(limiter, ipv6(1, 99), 0)).toBe(false);
    expect(ask(limiter, ipv6(2, 0), 0)).toBe(true);
  });

  test('does not take an IPv4 address for an IPv6 network with the same bytes', () => {
    const limiter = new RateLimiter();
    const four = ipv4(1);
    const six = four.slice();
    six[0] = 6;
    for (let i = 0; i < handshakeBurst; i++) ask(limiter, four, 0);

    expect(ask(limiter, six, 0)).toBe(true);
  });

  test('reads the record it is told of', () => {
    const limiter = new RateLimiter();
    const records = new Uint8Array(2 * endpointSize);
    records.set(ipv4(1));
    records.set(ipv4(2), endpointSize);
    for (let i = 0; i < handshakeBurst; i++) limiter.allow(records, 0, monoMs(start));

    expect(limiter.allow(records, 0, monoMs(start))).toBe(false);
    expect(limiter.allow(records, endpointSize, monoMs(start))).toBe(true);
  });

  test('refuses new sources where its table is full, still serves known ones, and recovers', () => {
    const limiter = new RateLimiter();
    for (let i = 0; i < rateLimiterCapacity; i++) expect(ask(limiter, ipv4(i), 0)).toBe(true);

    expect(ask(limiter, ipv4(rateLimiterCapacity), bucketIdleMs - 1)).toBe(false);
    expect(limiter.size).toBe(rateLimiterCapacity);
    expect(ask(limiter, ipv4(0), bucketIdleMs - 1)).toBe(true);
    expect(ask(limiter, ipv4(rateLimiterCapacity), bucketIdleMs)).toBe(true);
    expect(limiter.size).toBeLessThanOrEqual(rateLimiterCapacity);
  });

  test('forgets the idle ones, oldest first, as others ask', () => {
    const limiter = new RateLimiter();
    for (let i = 0; i < 100; i++) ask(limiter, ipv4(i), 0);
    for (let i = 0; i < 100; i++) ask(limiter, ipv4(1000), bucketIdleMs + i);

    expect(limiter.size).toBe(1);
  });

  test('gives nothing for an idle source beyond a full burst', () => {
    for (const idleMs of [bucketIdleMs - 1, bucketIdleMs, 100 * bucketIdleMs]) {
      const limiter = new RateLimiter();
      ask(limiter, ipv4(1), 0);

      const answers = Array.from({ length: 7 }, () => ask(limiter, ipv4(1), idleMs));

      expect(answers.filter(Boolean)).toHaveLength(handshakeBurst);
    }
  });

  test('gives no credit where its clock stands or wavers', () => {
    const limiter = new RateLimiter();
    for (let i = 0; i < handshakeBurst; i++) ask(limiter, ipv4(1), 90);

    for (let i = 0; i < 10; i++) expect(ask(limiter, ipv4(1), i % 2 === 0 ? 0 : 90)).toBe(false);
  });
});
