/**
 * View over an IPv6 header (RFC 8200) at `offset`, and the walk along its extension headers.
 * Nothing is checked but by checkIpv6: call it first. No jumbograms.
 */

import { readU16, writeU16 } from './checksum.ts';
import { packTransport, protocolFragment } from './transport.ts';

export const ipv6HeaderSize = 40;
export const ipv6SourceAt = 8;
export const ipv6DestinationAt = 24;

/** Extension headers that are walked before a packet counts as malformed. */
const maxExtensionHeaders = 8;

const nextHopByHop = 0;
const nextRouting = 43;
const nextAuthentication = 51;
const nextDestination = 60;

/** Whether `length` bytes at `offset` hold a whole IPv6 packet. Bytes behind it are padding. */
export function checkIpv6(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < ipv6HeaderSize || bytes[offset]! >>> 4 !== 6) return false;
  return ipv6TotalLength(bytes, offset) <= length;
}

/** Header and payload, in bytes. */
export function ipv6TotalLength(bytes: Uint8Array, offset: number): number {
  return ipv6HeaderSize + readU16(bytes, offset + 4);
}

/** Writes the payload length for a packet of `total` bytes, header included. */
export function setIpv6TotalLength(bytes: Uint8Array, offset: number, total: number): void {
  writeU16(bytes, offset + 4, total - ipv6HeaderSize);
}

/** Next-header field of the fixed header. */
export function ipv6NextHeader(bytes: Uint8Array, offset: number): number {
  return bytes[offset + 6]!;
}

/** Explicit congestion notification bits (RFC 3168): 0 not capable, 1 or 2 capable, 3 congestion experienced. */
export function ipv6Ecn(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 1]! >>> 4) & 3;
}

/** Marks congestion experienced. Returns false, and changes nothing, where the sender is not capable of ECN. */
export function setIpv6CongestionExperienced(bytes: Uint8Array, offset: number): boolean {
  if (ipv6Ecn(bytes, offset) === 0) return false;
  bytes[offset + 1]! |= 0x30;
  return true;
}

/**
 * Walks to the transport header of a packet that checkIpv6 accepted: see findTransport in ip.ts for
 * what comes back.
 */
export function findTransport6(bytes: Uint8Array, offset: number): number {
  const total = ipv6TotalLength(bytes, offset);
  let next = ipv6NextHeader(bytes, offset);
  let at = ipv6HeaderSize;
  for (let i = 0; i <= maxExtensionHeaders; i++) {
    const known =
      next === nextHopByHop ||
      next === nextRouting ||
      next === nextDestination ||
      next === nextAuthentication;
    if (!known && next !== protocolFragment) return packTransport(next, at);
    if (at + 8 > total) return -1;
    // The part behind a later fragment's header is not a header of any kind.
    if (next === protocolFragment && readU16(bytes, offset + at + 2) >>> 3 !== 0)
      return packTransport(next, at);
    const length = extensionLength(next, bytes[offset + at + 1]!);
    next = bytes[offset + at]!;
    at += length;
    if (at > total) return -1;
  }
  return -1;
}

function extensionLength(header: number, field: number): number {
  if (header === protocolFragment) return 8;
  return header === nextAuthentication ? (field + 2) * 4 : (field + 1) * 8;
}
