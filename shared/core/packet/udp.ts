/** View over a UDP header (RFC 768) at `offset`. Nothing is checked but by checkUdp: call it first. */

import { readU16, writeU16 } from './checksum.ts';

export const udpHeaderSize = 8;
export const udpChecksumAt = 6;

/** Whether `length` bytes at `offset` are exactly one UDP datagram. */
export function checkUdp(bytes: Uint8Array, offset: number, length: number): boolean {
  return length >= udpHeaderSize && udpLength(bytes, offset) === length;
}

export function udpSourcePort(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset);
}

export function udpDestinationPort(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset + 2);
}

/** Header and payload, in bytes. */
export function udpLength(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset + 4);
}

export function setUdpLength(bytes: Uint8Array, offset: number, length: number): void {
  writeU16(bytes, offset + 4, length);
}

/** 0 means that the sender computed none. */
export function udpChecksum(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset + udpChecksumAt);
}
