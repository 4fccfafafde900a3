/**
 * View over an IPv4 header (RFC 791) at `offset`. Nothing is checked but by checkIpv4: call it first.
 * No options are interpreted.
 */

import { foldSum, readU16, sumWords, updateChecksum, writeU16 } from './checksum.ts';

export const ipv4HeaderSize = 20;
export const ipv4SourceAt = 12;
export const ipv4DestinationAt = 16;

/** Whether `length` bytes at `offset` hold a whole IPv4 packet. Bytes behind it are padding. */
export function checkIpv4(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < ipv4HeaderSize || bytes[offset]! >>> 4 !== 4) return false;
  const header = ipv4HeaderLength(bytes, offset);
  const total = ipv4TotalLength(bytes, offset);
  return header >= ipv4HeaderSize && header <= total && total <= length;
}

/** Header with options, in bytes. */
export function ipv4HeaderLength(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! & 15) << 2;
}

export function ipv4TotalLength(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset + 2);
}

/** Writes the total length. The header checksum is then wrong until fillIpv4Checksum. */
export function setIpv4TotalLength(bytes: Uint8Array, offset: number, total: number): void {
  writeU16(bytes, offset + 2, total);
}

export function ipv4Id(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset + 4);
}

/** Writes the identification. The header checksum is then wrong until fillIpv4Checksum. */
export function setIpv4Id(bytes: Uint8Array, offset: number, id: number): void {
  writeU16(bytes, offset + 4, id & 0xffff);
}

export function ipv4DontFragment(bytes: Uint8Array, offset: number): boolean {
  return (bytes[offset + 6]! & 0x40) !== 0;
}

/** True for every part of a fragmented packet, the first too. */
export function ipv4IsFragment(bytes: Uint8Array, offset: number): boolean {
  return (readU16(bytes, offset + 6) & 0x3fff) !== 0;
}

/** Where in its packet this fragment begins, in units of 8 bytes. 0 also where it is no fragment. */
export function ipv4FragmentOffset(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset + 6) & 0x1fff;
}

export function ipv4Protocol(bytes: Uint8Array, offset: number): number {
  return bytes[offset + 9]!;
}

/** Explicit congestion notification bits (RFC 3168): 0 not capable, 1 or 2 capable, 3 congestion experienced. */
export function ipv4Ecn(bytes: Uint8Array, offset: number): number {
  return bytes[offset + 1]! & 3;
}

/**
 * Marks congestion experienced and corrects the header checksum. Returns false, and changes
 * nothing, where the packet's sender is not capable of ECN.
 */
export function setIpv4CongestionExperienced(bytes: Uint8Array, offset: number): boolean {
  if (ipv4Ecn(bytes, offset) === 0) return false;
  const from = readU16(bytes, offset);
  bytes[offset + 1]! |= 3;
  const checksum = updateChecksum(readU16(bytes, offset + 10), from, from | 3);
  writeU16(bytes, offset + 10, checksum);
  return true;
}

export function ipv4ChecksumOk(bytes: Uint8Array, offset: number): boolean {
  return foldSum(sumWords(bytes, offset, ipv4HeaderLength(bytes, offset))) === 0xffff;
}

/** Computes and writes the header checksum. */
export function fillIpv4Checksum(bytes: Uint8Array, offset: number): void {
  writeU16(bytes, offset + 10, 0);
  const sum = foldSum(sumWords(bytes, offset, ipv4HeaderLength(bytes, offset)));
  writeU16(bytes, offset + 10, ~sum & 0xffff);
}
