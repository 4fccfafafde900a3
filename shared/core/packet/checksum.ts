/**
 * The internet checksum (RFC 1071) and its incremental update (RFC 1624). Sums are 16-bit
 * ones'-complement numbers in network order; a checksum is the complement of a sum.
 */

import { assert } from '../base/assert.ts';

/** Sums stay exact far beyond any packet; this bound is for callers' bugs. */
const maxRange = 1 << 24;

const twoToMinus32 = 1 / 0x1_0000_0000;

// The view of the memory that was summed last: every batch of a worker shares one memory, so this
// allocates once. A memo of its argument, no state.
let viewed: Uint8Array = new Uint8Array(0);
let view: DataView = new DataView(viewed.buffer);

/** How the sum of a long range is computed; a faster one than `sumRange` gives the same numbers. */
export type RangeSum = (bytes: Uint8Array, offset: number, length: number) => number;

/** Sum of `length` bytes at any `offset`, odd ones too. An odd last byte counts as if a zero followed. */
export function sumRange(bytes: Uint8Array, offset: number, length: number): number {
  assert(offset + length <= bytes.length && length <= maxRange, 'the range lies inside the memory');
  if (bytes !== viewed) {
    viewed = bytes;
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  const v = view;
  // Four independent sums of 32-bit words as doubles, exact to 2^53: faster than 16-bit arithmetic.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = offset;
  const blocksEnd = offset + (length & ~31);
  for (; i < blocksEnd; i += 32) {
    a += v.getUint32(i, true) + v.getUint32(i + 4, true);
    b += v.getUint32(i + 8, true) + v.getUint32(i + 12, true);
    c += v.getUint32(i + 16, true) + v.getUint32(i + 20, true);
    d += v.getUint32(i + 24, true) + v.getUint32(i + 28, true);
  }
  const end = offset + length;
  for (; i + 4 <= end; i += 4) a += v.getUint32(i, true);
  if (i + 2 <= end) {
    b += v.getUint16(i, true);
    i += 2;
  }
  if (i < end) b += v.getUint8(i);
  const sum = a + b + c + d;
  const low = sum >>> 0;
  const high = ((sum - low) * twoToMinus32) | 0;
  const folded = foldSum((low & 0xffff) + (low >>> 16) + (high & 0xffff) + (high >>> 16));
  // Words were read little-endian, which only swaps the two bytes of the sum (RFC 1071 §2 B).
  return ((folded & 0xff) << 8) | (folded >>> 8);
}

/** Brings a sum of a few 16-bit numbers (below 2^31) back to 16 bits. */
export function foldSum(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** Sum of the TCP and UDP pseudo header of the IPv4 packet at `offset` (RFC 9293 §3.1). */
export function pseudoSum4(bytes: Uint8Array, offset: number, protocol: number, length: number): number {
  return foldSum(sumWords(bytes, offset + 12, 8) + protocol + (length & 0xffff) + (length >>> 16));
}

/** The same for the IPv6 packet at `offset` (RFC 8200 §8.1). */
export function pseudoSum6(bytes: Uint8Array, offset: number, protocol: number, length: number): number {
  return foldSum(sumWords(bytes, offset + 8, 32) + protocol + (length & 0xffff) + (length >>> 16));
}

/** `checksum` after the 16-bit word `from` that it covers became `to` (RFC 1624 eqn. 3). */
export function updateChecksum(checksum: number, from: number, to: number): number {
  return ~foldSum((~checksum & 0xffff) + (~from & 0xffff) + to) & 0xffff;
}

/** Reads a 16-bit number in network order. */
export function readU16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

/** Writes a 16-bit number in network order. */
export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

/** Sum of a few words, not folded: for ranges so short that the large loop costs more. */
export function sumWords(bytes: Uint8Array, offset: number, length: number): number {
  let sum = 0;
  for (let i = offset; i < offset + length; i += 2) sum += readU16(bytes, i);
  return sum;
}
