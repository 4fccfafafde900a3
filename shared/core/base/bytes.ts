/**
 * Bytes: text forms (hex, base64), comparing without telling where, wiping, numbers in both byte
 * orders. Knows no protocol. Reads and writes past the end are the caller's bug and give zeros.
 */

import { assert } from './assert.ts';

const base64Letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const keyLength = 32;
const base64KeyLength = 44;

/** Lower-case hexadecimal text. */
export function encodeHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += (byte < 16 ? '0' : '') + byte.toString(16);
  return text;
}

/** Strict: whole bytes, digits of either case, nothing else. Undefined where the text is not that. */
export function decodeHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const high = hexDigit(text.charCodeAt(2 * i));
    const low = hexDigit(text.charCodeAt(2 * i + 1));
    if (high < 0 || low < 0) return undefined;
    bytes[i] = (high << 4) | low;
  }
  return bytes;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** Standard base64 with padding (RFC 4648 §4). */
export function encodeBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = (at(bytes, i) << 16) | (at(bytes, i + 1) << 8) | at(bytes, i + 2);
    text += base64Letters.charAt(group >> 18) + base64Letters.charAt((group >> 12) & 63);
    text += left > 1 ? base64Letters.charAt((group >> 6) & 63) : '=';
    text += left > 2 ? base64Letters.charAt(group & 63) : '=';
  }
  return text;
}

/**
 * Strict base64: padded, no white space, unused bits zero, so that every array has exactly one
 * text. Undefined where the text is not that.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const letters = text.length - padding;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let pending = 0;
  let length = 0;
  for (let i = 0; i < letters; i++) {
    const value = base64Value(text.charCodeAt(i));
    if (value < 0) return undefined;
    pending = ((pending << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[length++] = (pending >> bits) & 0xff;
  }
  return (pending & ((1 << bits) - 1)) === 0 ? bytes : undefined;
}

function base64Value(code: number): number {
  if (code >= 65 && code <= 90) return code - 65;
  if (code >= 97 && code <= 122) return code - 71;
  if (code >= 48 && code <= 57) return code + 4;
  if (code === 43) return 62;
  return code === 47 ? 63 : -1;
}

/** A 32-byte key as `wg` writes and takes it: 44 characters of canonical base64. */
export function decodeBase64Key(text: string): Uint8Array | undefined {
  if (text.length !== base64KeyLength) return undefined;
  const key = decodeBase64(text);
  return key?.length === keyLength ? key : undefined;
}

/** The bytes of a text that is plain ASCII. */
export function ascii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    assert(code < 128, 'the text is ASCII');
    bytes[i] = code;
  }
  return bytes;
}

/** All parts, one after the other, in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** True when both hold the same bytes. Takes the same time wherever they differ; lengths are not secret. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= at(a, i) ^ at(b, i);
  return difference === 0;
}

/** True when every byte is zero. Takes the same time whatever the bytes are. */
export function isZero(bytes: Uint8Array): boolean {
  let any = 0;
  for (const byte of bytes) any |= byte;
  return any === 0;
}

/** Overwrites a secret. Copies that the runtime made are out of reach. */
export function wipe(bytes: Uint8Array): void {
  bytes.fill(0);
}

export function readU16BE(bytes: Uint8Array, offset: number): number {
  return (at(bytes, offset) << 8) | at(bytes, offset + 1);
}

export function writeU16BE(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

export function readU32LE(bytes: Uint8Array, offset: number): number {
  const low = at(bytes, offset) | (at(bytes, offset + 1) << 8);
  return (low | (at(bytes, offset + 2) << 16) | (at(bytes, offset + 3) << 24)) >>> 0;
}

export function writeU32LE(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

export function readU32BE(bytes: Uint8Array, offset: number): number {
  const high = (at(bytes, offset) << 24) | (at(bytes, offset + 1) << 16);
  return (high | (at(bytes, offset + 2) << 8) | at(bytes, offset + 3)) >>> 0;
}

export function writeU32BE(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** A 64-bit number, or -1 where it is greater than 2^53 - 1 and so not exact as a JS number. */
export function readU64LE(bytes: Uint8Array, offset: number): number {
  return exact(readU32LE(bytes, offset + 4), readU32LE(bytes, offset));
}

/** `value`: a whole number from 0 to 2^53 - 1. */
export function writeU64LE(bytes: Uint8Array, offset: number, value: number): void {
  // A bitwise operator takes a number modulo 2^32, whatever its size.
  writeU32LE(bytes, offset, value);
  writeU32LE(bytes, offset + 4, Math.floor(value / 0x1_0000_0000));
}

/** A 64-bit number, or -1 where it is greater than 2^53 - 1 and so not exact as a JS number. */
export function readU64BE(bytes: Uint8Array, offset: number): number {
  return exact(readU32BE(bytes, offset), readU32BE(bytes, offset + 4));
}

/** `value`: a whole number from 0 to 2^53 - 1. */
export function writeU64BE(bytes: Uint8Array, offset: number, value: number): void {
  writeU32BE(bytes, offset, Math.floor(value / 0x1_0000_0000));
  writeU32BE(bytes, offset + 4, value);
}

function exact(high: number, low: number): number {
  return high > 0x1f_ffff ? -1 : high * 0x1_0000_0000 + low;
}

function at(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
