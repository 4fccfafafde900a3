/**
 * Integers of variable length (RFC 9000 §16): the first two bits say whether it takes 1, 2, 4 or 8 bytes. Pure.
 */

import { assert } from '../base/assert.ts';

/** Greater numbers are read as Infinity: nothing here may be that long. */
const longestExact = Number.MAX_SAFE_INTEGER;
const most1 = 0x3f;
const most2 = 0x3fff;
const most4 = 0x3fff_ffff;
/** The upper half of eight bytes, without the two bits of the length. */
const upperMask = 0x3fff_ffff;
const half = 0x1_0000_0000;

/** Bytes that the integer takes that begins with this byte. */
export function varintSize(first: number): 1 | 2 | 4 | 8 {
  return (1 << (first >> 6)) as 1 | 2 | 4 | 8;
}

/** The integer at `bytes[at]`, all of whose bytes are there. Infinity where it is beyond 2^53 - 1. */
export function readVarint(bytes: Uint8Array, at: number): number {
  const first = bytes[at]! & 0x3f;
  switch (varintSize(bytes[at]!)) {
    case 1:
      return first;
    case 2:
      return first * 0x100 + bytes[at + 1]!;
    case 4:
      return readUint32(bytes, at) & upperMask;
    case 8: {
      const value = (readUint32(bytes, at) & upperMask) * half + readUint32(bytes, at + 4);
      return value <= longestExact ? value : Number.POSITIVE_INFINITY;
    }
  }
}

/** Bytes that `value` takes in its shortest form. */
export function varintSizeOf(value: number): 1 | 2 | 4 | 8 {
  if (value <= most1) return 1;
  if (value <= most2) return 2;
  return value <= most4 ? 4 : 8;
}

/** Writes the shortest form of `value` (an integer of 0 to 2^53 - 1) and returns its size. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, 'a number that can be written');
  const size = varintSizeOf(value);
  let rest = value;
  for (let i = size - 1; i >= 0; i--) {
    bytes[at + i] = rest % 0x100;
    rest = Math.floor(rest / 0x100);
  }
  // 1, 2, 4, 8 → 0, 1, 2, 3 in the two upper bits.
  bytes[at] = bytes[at]! | ((31 - Math.clz32(size)) << 6);
  return size;
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
