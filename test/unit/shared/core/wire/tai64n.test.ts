import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type UnixMs, unixMs } from '../../../../../shared/core/base/time.ts';
import { compareTimestamps, nextTimestamp, timestampOf } from '../../../../../shared/core/wire/tai64n.ts';

const runs = { seed: 64, numRuns: 300 };
const moment = fc.integer({ min: -(10 ** 13), max: 10 ** 14 }).map((value) => unixMs(value));

const secondsOf = (timestamp: Uint8Array): bigint => Buffer.from(timestamp).readBigUInt64BE(0);
const nanosecondsOf = (timestamp: Uint8Array): number => Buffer.from(timestamp).readUInt32BE(8);

describe('a timestamp', () => {
  test('counts seconds from 2^62 + 10 on, big-endian', () => {
    expect(timestampOf(unixMs(0))).toEqual(Uint8Array.of(0x40, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0));
    expect(secondsOf(timestampOf(unixMs(1_795_219_200_000)))).toBe(2n ** 62n + 10n + 1_795_219_200n);
  });

  test('has the right second at every moment, before 1970 and after 2106 too', () => {
    fc.assert(
      fc.property(moment, (now) => {
        const timestamp = timestampOf(now);
        expect(timestamp).toHaveLength(12);
        expect(secondsOf(timestamp)).toBe(2n ** 62n + 10n + BigInt(Math.floor(now / 1000)));
        expect(nanosecondsOf(timestamp)).toBeLessThan(1_000_000_000);
      }),
      runs,
    );
  });

  test('shows the time within a second only in steps of 2^24 nanoseconds', () => {
    for (let ms = 0; ms < 1000; ms++) {
      const shown = nanosecondsOf(timestampOf(unixMs(5000 + ms)));
      expect(shown % 2 ** 24).toBe(0);
      expect(ms * 1_000_000 - shown).toBeGreaterThanOrEqual(0);
      expect(ms * 1_000_000 - shown).toBeLessThan(2 ** 24);
    }
  });

  test('grows with time', () => {
    fc.assert(
      fc.property(moment, fc.nat({ max: 10 ** 9 }), (now, later) => {
        const order = compareTimestamps(timestampOf(unixMs(now + later)), timestampOf(now));
        expect(order).toBeGreaterThanOrEqual(0);
        if (later >= 17) expect(order).toBeGreaterThan(0);
      }),
      runs,
    );
  });

  test('is compared as a big-endian number', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        (a, b) => {
          expect(Math.sign(compareTimestamps(a, b))).toBe(Buffer.compare(a, b));
          expect(compareTimestamps(a, a.slice())).toBe(0);
        },
      ),
      runs,
    );
  });
});

describe('the next timestamp', () => {
  test('is that of the clock where the clock went on', () => {
    const last = timestampOf(unixMs(1000));

    expect(nextTimestamp(last, unixMs(2000))).toEqual(timestampOf(unixMs(2000)));
    expect(nextTimestamp(undefined, unixMs(2000))).toEqual(timestampOf(unixMs(2000)));
  });

  test('always grows, whatever the clock does', () => {
    const clock = fc.array(fc.oneof(moment, fc.constantFrom<UnixMs>(unixMs(0), unixMs(-1), unixMs(1))), {
      minLength: 2,
      maxLength: 60,
    });
    fc.assert(
      fc.property(clock, (moments) => {
        let last: Uint8Array | undefined;
        for (const now of moments) {
          const next = nextTimestamp(last, now);
          expect(last === undefined || Buffer.compare(next, last) > 0).toBe(true);
          expect(nanosecondsOf(next)).toBeLessThan(1_000_000_000);
          last = next;
        }
      }),
      runs,
    );
  });

  test('stays in whole granules over the turn of a second while the clock stands', () => {
    const now = unixMs(1_795_219_200_000);
    let last = timestampOf(now);
    for (let i = 0; i < 500; i++) {
      const next = nextTimestamp(last, now);
      expect(Buffer.compare(next, last)).toBe(1);
      expect(nanosecondsOf(next) % 2 ** 24).toBe(0);
      last = next;
    }

    // 500 handshakes at once run the peer's timestamps ahead of the clock by less than nine seconds.
    expect(secondsOf(last) - secondsOf(timestampOf(now))).toBeLessThan(9n);
  });

  test('is greater after the clock was set back by years', () => {
    const wrong = timestampOf(unixMs(2_500_000_000_000));

    expect(compareTimestamps(nextTimestamp(wrong, unixMs(1_795_219_200_000)), wrong)).toBeGreaterThan(0);
  });
});
