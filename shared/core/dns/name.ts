/**
 * Names: text ↔ wire (RFC 1035 §3.1, §4.1.4, §5.1). Any byte may stand in a label; text escapes what is not
 * plain. Decompression follows pointers only backwards, so that hostile bytes cost bounded work.
 */

import { assert } from '../base/assert.ts';

const maxNameLength = 255;
const maxLabelLength = 63;
/** Longest text of a name: every byte of it escaped. */
const maxTextLength = 4 * maxNameLength;
/** A name has 127 labels at most, and an honest pointer ends one or more of them. */
const maxPointers = 127;
/** Where names are put together: what is returned is always a copy of the right size. */
const scratch: Uint8Array = new Uint8Array(maxNameLength);
const dot = 46;
const backslash = 92;

/**
 * Wire form of 'example.com', with or without the last dot; '.' is the root. `\.` and `\DDD` stand for bytes.
 * Undefined where it is no name: an empty label, more than 63 or 255 bytes, characters outside ASCII (use
 * punycode). Case is kept.
 */
export function encodeName(text: string): Uint8Array | undefined {
  if (text === '.') return Uint8Array.of(0);
  if (text.length === 0 || text.length > maxTextLength) return undefined;
  const wire = scratch;
  let labelAt = 0;
  let length = 1;
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    if (code === dot) {
      if (!closeLabel(wire, labelAt, length)) return undefined;
      labelAt = length;
      length++;
      at++;
    } else {
      const byte = code === backslash ? escapedByte(text, at + 1) : code > 127 ? -1 : code;
      if (byte < 0 || length >= maxNameLength) return undefined;
      wire[length++] = byte;
      at += code !== backslash ? 1 : isDigit(text.charCodeAt(at + 1)) ? 4 : 2;
    }
  }
  // After a last dot nothing is open, and the byte behind it is the root's.
  const isOpen = length > labelAt + 1;
  if (isOpen && !closeLabel(wire, labelAt, length)) return undefined;
  const whole = isOpen ? length + 1 : length;
  if (whole > maxNameLength) return undefined;
  wire[whole - 1] = 0;
  return wire.slice(0, whole);
}

function closeLabel(wire: Uint8Array, labelAt: number, end: number): boolean {
  const size = end - labelAt - 1;
  if (size < 1 || size > maxLabelLength) return false;
  wire[labelAt] = size;
  return true;
}

/** The byte that an escape stands for: three decimal digits, or any other ASCII character. -1 where it is neither. */
function escapedByte(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (!isDigit(code)) return code <= 127 ? code : -1;
  const digits = text.slice(at, at + 3);
  return /^[0-9]{3}$/.test(digits) && Number(digits) <= 255 ? Number(digits) : -1;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** Text of the name at `offset`, without the last dot ('.' for the root), case kept. Undefined where it is malformed. */
export function decodeName(bytes: Uint8Array, offset: number): string | undefined {
  const wire = expandName(bytes, offset);
  return wire === undefined ? undefined : formatName(wire);
}

/** Text of a whole uncompressed name. */
export function formatName(wire: Uint8Array): string {
  let text = '';
  for (let at = 0; at < wire.length; ) {
    const size = wire[at]!;
    if (size === 0) break;
    if (at > 0) text += '.';
    for (let i = at + 1; i <= at + size && i < wire.length; i++) text += formatByte(wire[i]!);
    at += size + 1;
  }
  return text === '' ? '.' : text;
}

function formatByte(code: number): string {
  if (code === dot || code === backslash) return `\\${String.fromCharCode(code)}`;
  if (code > 32 && code < 127) return String.fromCharCode(code);
  return `\\${String(code).padStart(3, '0')}`;
}

/** The offset behind the name at `offset`, -1 where it runs out of `bytes`. Follows no pointer. */
export function skipName(bytes: Uint8Array, offset: number): number {
  let at = offset;
  while (at < bytes.length) {
    const size = bytes[at]!;
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2 <= bytes.length ? at + 2 : -1;
    if (size > maxLabelLength) return -1;
    at += size + 1;
    if (at - offset >= maxNameLength) return -1;
  }
  return -1;
}

/** The name at `offset` without compression, in a new array, case kept. Undefined where it is malformed. */
export function expandName(bytes: Uint8Array, offset: number): Uint8Array | undefined {
  const wire = scratch;
  const cursor: Cursor = { at: offset, floor: offset, pointers: 0 };
  let length = 0;
  for (;;) {
    const size = nextLabel(bytes, cursor);
    if (size < 0 || length + size + 1 > maxNameLength) return undefined;
    wire[length++] = size;
    if (size === 0) return wire.slice(0, length);
    for (let i = 0; i < size; i++) wire[length++] = bytes[cursor.at++]!;
  }
}

/** Where a walk over a compressed name is. Pointers must lead before `floor`, so a walk ends. */
interface Cursor {
  at: number;
  floor: number;
  pointers: number;
}

/** Size of the next label, whose bytes `cursor.at` then points to; 0 at the end, -1 where it is malformed. */
function nextLabel(bytes: Uint8Array, cursor: Cursor): number {
  for (;;) {
    const size = bytes[cursor.at] ?? -1;
    if (size >= 0 && size <= maxLabelLength) {
      cursor.at++;
      return cursor.at + size <= bytes.length ? size : -1;
    }
    const low = bytes[cursor.at + 1];
    if (size < 0xc0 || low === undefined || ++cursor.pointers > maxPointers) return -1;
    const target = ((size & 0x3f) << 8) | low;
    if (target >= cursor.floor) return -1;
    cursor.floor = target;
    cursor.at = target;
  }
}

/** True when both names are the same but for case (RFC 4343). Malformed names equal nothing. */
export function sameName(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  const left: Cursor = { at: aOffset, floor: aOffset, pointers: 0 };
  const right: Cursor = { at: bOffset, floor: bOffset, pointers: 0 };
  for (let length = 0; length < maxNameLength; ) {
    const size = nextLabel(a, left);
    if (size < 0 || size !== nextLabel(b, right)) return false;
    if (size === 0) return true;
    length += size + 1;
    for (let i = 0; i < size; i++) {
      if (lowerByte(a[left.at++]!) !== lowerByte(b[right.at++]!)) return false;
    }
  }
  return false;
}

/** Lower case for ASCII letters, everything else as it is. */
export function lowerByte(code: number): number {
  return code >= 65 && code <= 90 ? code + 32 : code;
}

/** A copy of a whole uncompressed name in lower case; sizes of labels are below 64 and so never letters. */
export function lowerName(wire: Uint8Array): Uint8Array {
  return wire.map(lowerByte);
}

/** Text in lower case and without the last dot, to compare names that people wrote. */
export function canonicalText(text: string): string {
  const lower = text.toLowerCase();
  return lower.length > 1 && lower.endsWith('.') && !lower.endsWith('\\.') ? lower.slice(0, -1) : lower;
}

/**
 * True when `wire` (uncompressed) is `suffix` (uncompressed, lower case) or stands below it. Compares whole
 * labels.
 */
export function isBelow(wire: Uint8Array, suffix: Uint8Array): boolean {
  let at = 0;
  while (wire.length - at > suffix.length) at += wire[at]! + 1;
  if (wire.length - at !== suffix.length) return false;
  for (let i = 0; i < suffix.length; i++) {
    if (lowerByte(wire[at + i]!) !== suffix[i]) return false;
  }
  return true;
}

/** Wire form of a name that stands in our own code: lower case. */
export function nameOf(text: string): Uint8Array {
  const wire = encodeName(text);
  assert(wire !== undefined, 'a name in our own code is one');
  return lowerName(wire);
}
