/**
 * View over a TCP header (RFC 9293 §3.1) at `offset`, and the clamp of its MSS option. Nothing is
 * checked but by checkTcp: call it first.
 */

import { readU16, updateChecksum, writeU16 } from './checksum.ts';

export const tcpHeaderSize = 20;
export const tcpChecksumAt = 16;

export const tcpFin = 0x01;
export const tcpSyn = 0x02;
export const tcpPsh = 0x08;
export const tcpAck = 0x10;
export const tcpCwr = 0x80;

const optionEnd = 0;
const optionNothing = 1;
const optionMss = 2;
const mssOptionSize = 4;

/** Whether `length` bytes at `offset` begin with a whole TCP header. */
export function checkTcp(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < tcpHeaderSize) return false;
  const header = tcpHeaderLength(bytes, offset);
  return header >= tcpHeaderSize && header <= length;
}

export function tcpSourcePort(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset);
}

export function tcpDestinationPort(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset + 2);
}

/** Header with options, in bytes. */
export function tcpHeaderLength(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 12]! >>> 4) << 2;
}

/** The eight flag bits from CWR to FIN. */
export function tcpFlags(bytes: Uint8Array, offset: number): number {
  return bytes[offset + 13]!;
}

/** The sequence number as a signed 32-bit number: only sums and differences `| 0` have a meaning. */
export function tcpSequence(bytes: Uint8Array, offset: number): number {
  return (readU16(bytes, offset + 4) << 16) | readU16(bytes, offset + 6);
}

export function setTcpSequence(bytes: Uint8Array, offset: number, sequence: number): void {
  writeU16(bytes, offset + 4, sequence >>> 16);
  writeU16(bytes, offset + 6, sequence & 0xffff);
}

/**
 * Lowers the MSS option of a SYN to `mss` and corrects the checksum. `length` is that of the
 * whole segment. Returns whether something changed; anything but a SYN is left alone.
 */
export function clampMss(bytes: Uint8Array, offset: number, length: number, mss: number): boolean {
  if (!checkTcp(bytes, offset, length) || (tcpFlags(bytes, offset) & tcpSyn) === 0) return false;
  const at = findMss(bytes, offset);
  if (at < 0) return false;
  const from = readU16(bytes, at);
  if (from <= mss) return false;
  writeU16(bytes, at, mss);
  const checksum = readU16(bytes, offset + tcpChecksumAt);
  // At an odd distance the value lies across two words of the sum, so its bytes count swapped.
  const odd = ((at - offset) & 1) === 1;
  const updated = odd
    ? updateChecksum(checksum, swapBytes(from), swapBytes(mss))
    : updateChecksum(checksum, from, mss);
  writeU16(bytes, offset + tcpChecksumAt, updated);
  return true;
}

/** Where the value of the MSS option is, -1 where there is none or the options are malformed. */
function findMss(bytes: Uint8Array, offset: number): number {
  const end = offset + tcpHeaderLength(bytes, offset);
  let at = offset + tcpHeaderSize;
  while (at + 1 < end) {
    const kind = bytes[at]!;
    if (kind === optionEnd) return -1;
    if (kind === optionNothing) {
      at++;
      continue;
    }
    const size = bytes[at + 1]!;
    if (size < 2 || at + size > end) return -1;
    if (kind === optionMss) return size === mssOptionSize ? at + 2 : -1;
    at += size;
  }
  return -1;
}

function swapBytes(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}
