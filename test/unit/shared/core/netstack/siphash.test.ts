// Vectors: length 15 from appendix A of the SipHash paper (Aumasson, Bernstein 2012), the others from an
// independent computation with 64-bit integers.
import { expect, test } from 'vitest';
import { SipHash } from '../../../../../shared/core/netstack/siphash.ts';

const key = Uint8Array.from({ length: 16 }, (_, i) => i);

test.each([
  [0, '726fdb47dd0e0e31'],
  [1, '74f839c593dc67fd'],
  [3, '85676696d7fb7e2d'],
  [7, 'ab0200f58b01d137'],
  [8, '93f5f5799a932462'],
  [15, 'a129ca6149be45e5'],
])('SipHash-2-4 of the first %i numbers', (length, expected) => {
  const hash = new SipHash(key);
  hash.hash(Uint8Array.of(9, 9, 9));
  hash.hash(Uint8Array.from({ length }, (_, i) => i));

  const text = [hash.high, hash.low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');

  expect(text).toBe(expected);
});
