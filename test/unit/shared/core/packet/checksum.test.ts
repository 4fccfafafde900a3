import fc from 'fast-check';
import { expect, test } from 'vitest';
import { foldSum, sumRange, sumWords, updateChecksum } from '../../../../../shared/core/packet/checksum.ts';
import { naiveChecksum } from '../../../../support/packets.ts';

const seed = 21;

test('computes the example of RFC 1071', () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);

  expect(sumRange(bytes, 0, 8)).toBe(0xddf2);
});

test('sums any range at any offset as the naive way does', () => {
  const range = fc.record({
    bytes: fc.uint8Array({ minLength: 0, maxLength: 300 }),
    before: fc.nat(9),
    after: fc.nat(9),
  });
  fc.assert(
    fc.property(range, ({ bytes, before, after }) => {
      const memory = new Uint8Array(before + bytes.length + after).fill(0xa5);
      memory.set(bytes, before);

      expect(~sumRange(memory, before, bytes.length) & 0xffff).toBe(naiveChecksum(bytes));
    }),
    { seed, numRuns: 500 },
  );
});

test('stays exact for the largest packet of the largest words', () => {
  expect(sumRange(new Uint8Array(65_535).fill(0xff), 0, 65_534)).toBe(0xffff);
  expect(sumRange(new Uint8Array(65_535).fill(0xff), 0, 65_535)).toBe(0xff00);
});

test('notices when another array is summed, also one that shares the memory', () => {
  const memory = Uint8Array.from({ length: 64 }, (_, i) => i);

  const whole = sumRange(memory, 16, 8);
  const part = sumRange(memory.subarray(16), 0, 8);
  const other = sumRange(new Uint8Array(64), 16, 8);

  expect(part).toBe(whole);
  expect(other).toBe(0);
});

test('calls a range outside of the memory a bug', () => {
  expect(() => sumRange(new Uint8Array(10), 4, 7)).toThrow();
});

test('sums short ranges like long ones', () => {
  const bytes = Uint8Array.from({ length: 40 }, (_, i) => i * 31);

  expect(foldSum(sumWords(bytes, 3, 36))).toBe(sumRange(bytes, 3, 36));
});

test('updates a checksum as if it were computed again', () => {
  const word = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(9), word, (bytes, at, to) => {
      // The rest of a header is never all zeros; the two zeros of ones' complement need no care then.
      bytes[at === 0 ? 19 : 0] = 1;
      const from = bytes[2 * at]! * 256 + bytes[2 * at + 1]!;
      const before = naiveChecksum(bytes);
      bytes[2 * at] = to >> 8;
      bytes[2 * at + 1] = to;

      expect(updateChecksum(before, from, to)).toBe(naiveChecksum(bytes));
    }),
    { seed },
  );
});
