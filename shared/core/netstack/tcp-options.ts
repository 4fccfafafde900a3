/**
 * TCP options: MSS (RFC 9293 §3.7.1), window scale and time stamps (RFC 7323), SACK (RFC 2018).
 * Parsing reads into one object that is used again and again; unknown options are skipped.
 */

import { readU16, writeU16 } from '../packet/checksum.ts';

/** Most SACK blocks that fit into 40 bytes of options. */
export const maxSackBlocks = 4;
/** RFC 7323 §2.3. */
export const maxWindowScale = 14;

export const timestampOptionSize = 12;
export const sackHeaderSize = 4;
export const sackBlockSize = 8;

const kindEnd = 0;
const kindNothing = 1;
const kindMss = 2;
const kindWindowScale = 3;
const kindSackPermitted = 4;
const kindSack = 5;
const kindTimestamps = 8;

/** What a segment's options said. */
export interface TcpOptions {
  /** 0 = absent. */
  mss: number;
  /** -1 = absent. */
  windowScale: number;
  sackPermitted: boolean;
  hasTimestamps: boolean;
  timestampValue: number;
  timestampEcho: number;
  sackCount: number;
  readonly sackStart: Int32Array;
  readonly sackEnd: Int32Array;
}

export function noOptions(): TcpOptions {
  return {
    mss: 0,
    windowScale: -1,
    sackPermitted: false,
    hasTimestamps: false,
    timestampValue: 0,
    timestampEcho: 0,
    sackCount: 0,
    sackStart: new Int32Array(maxSackBlocks),
    sackEnd: new Int32Array(maxSackBlocks),
  };
}

/** Reads the options between `start` and `end` into `into`. False where they are malformed. */
export function parseOptions(bytes: Uint8Array, start: number, end: number, into: TcpOptions): boolean {
  into.mss = 0;
  into.windowScale = -1;
  into.sackPermitted = false;
  into.hasTimestamps = false;
  into.sackCount = 0;
  let at = start;
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === kindEnd) return true;
    if (kind === kindNothing) {
      at++;
      continue;
    }
    if (at + 1 >= end) return false;
    const size = bytes[at + 1]!;
    if (size < 2 || at + size > end) return false;
    parseOne(bytes, at, size, into);
    at += size;
  }
  return true;
}

/** An option of the wrong size is as good as absent. */
function parseOne(bytes: Uint8Array, at: number, size: number, into: TcpOptions): void {
  switch (bytes[at]) {
    case kindMss:
      if (size === 4) into.mss = readU16(bytes, at + 2);
      break;
    case kindWindowScale:
      if (size === 3) into.windowScale = Math.min(bytes[at + 2]!, maxWindowScale);
      break;
    case kindSackPermitted:
      if (size === 2) into.sackPermitted = true;
      break;
    case kindTimestamps:
      if (size !== 10) break;
      into.hasTimestamps = true;
      into.timestampValue = readWord(bytes, at + 2);
      into.timestampEcho = readWord(bytes, at + 6);
      break;
    case kindSack:
      parseSack(bytes, at, size, into);
      break;
    default:
      break;
  }
}

function parseSack(bytes: Uint8Array, at: number, size: number, into: TcpOptions): void {
  if ((size - 2) % sackBlockSize !== 0) return;
  const count = Math.min((size - 2) / sackBlockSize, maxSackBlocks);
  for (let i = 0; i < count; i++) {
    into.sackStart[i] = readWord(bytes, at + 2 + i * sackBlockSize);
    into.sackEnd[i] = readWord(bytes, at + 6 + i * sackBlockSize);
  }
  into.sackCount = count;
}

/** Writes an MSS option (4 bytes) and returns the end. */
export function writeMssOption(bytes: Uint8Array, at: number, mss: number): number {
  bytes[at] = kindMss;
  bytes[at + 1] = 4;
  writeU16(bytes, at + 2, mss);
  return at + 4;
}

/** Writes a window scale option with its padding (4 bytes). */
export function writeWindowScaleOption(bytes: Uint8Array, at: number, shift: number): number {
  bytes[at] = kindNothing;
  bytes[at + 1] = kindWindowScale;
  bytes[at + 2] = 3;
  bytes[at + 3] = shift;
  return at + 4;
}

/** Writes a SACK-permitted option with its padding (4 bytes). */
export function writeSackPermittedOption(bytes: Uint8Array, at: number): number {
  bytes[at] = kindNothing;
  bytes[at + 1] = kindNothing;
  bytes[at + 2] = kindSackPermitted;
  bytes[at + 3] = 2;
  return at + 4;
}

/** Writes a time stamp option with its padding (12 bytes). */
export function writeTimestampOption(bytes: Uint8Array, at: number, value: number, echo: number): number {
  bytes[at] = kindNothing;
  bytes[at + 1] = kindNothing;
  bytes[at + 2] = kindTimestamps;
  bytes[at + 3] = 10;
  writeWord(bytes, at + 4, value);
  writeWord(bytes, at + 8, echo);
  return at + timestampOptionSize;
}

/** Writes the head of a SACK option for `count` blocks; the blocks follow with writeSackBlock. */
export function writeSackHeader(bytes: Uint8Array, at: number, count: number): number {
  bytes[at] = kindNothing;
  bytes[at + 1] = kindNothing;
  bytes[at + 2] = kindSack;
  bytes[at + 3] = 2 + count * sackBlockSize;
  return at + sackHeaderSize;
}

export function writeSackBlock(bytes: Uint8Array, at: number, start: number, end: number): number {
  writeWord(bytes, at, start);
  writeWord(bytes, at + 4, end);
  return at + sackBlockSize;
}

export function readWord(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function writeWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
