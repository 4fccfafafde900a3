/** What the two versions of IP have in common, for code that does not care which it is. Hostile input welcome. */

import {
  checkIpv4,
  ipv4DestinationAt,
  ipv4Ecn,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4SourceAt,
  ipv4TotalLength,
  setIpv4CongestionExperienced,
} from './ipv4.ts';
import {
  checkIpv6,
  findTransport6,
  ipv6DestinationAt,
  ipv6Ecn,
  ipv6SourceAt,
  ipv6TotalLength,
  setIpv6CongestionExperienced,
} from './ipv6.ts';
import { packTransport, protocolFragment } from './transport.ts';

/** 4, 6, or 0 where `length` bytes at `offset` are no whole IP packet (padding behind it is fine). */
export function ipVersion(bytes: Uint8Array, offset: number, length: number): 0 | 4 | 6 {
  if (checkIpv4(bytes, offset, length)) return 4;
  return checkIpv6(bytes, offset, length) ? 6 : 0;
}

/** Bytes of a packet that ipVersion accepted, without padding. */
export function ipTotalLength(bytes: Uint8Array, offset: number): number {
  return isVersion4(bytes, offset) ? ipv4TotalLength(bytes, offset) : ipv6TotalLength(bytes, offset);
}

/** Where the source address begins, from the start of `bytes`. */
export function ipSourceOffset(bytes: Uint8Array, offset: number): number {
  return offset + (isVersion4(bytes, offset) ? ipv4SourceAt : ipv6SourceAt);
}

/** Where the destination address begins, from the start of `bytes`. */
export function ipDestinationOffset(bytes: Uint8Array, offset: number): number {
  return offset + (isVersion4(bytes, offset) ? ipv4DestinationAt : ipv6DestinationAt);
}

/** ECN bits of a packet that ipVersion accepted. */
export function ipEcn(bytes: Uint8Array, offset: number): number {
  return isVersion4(bytes, offset) ? ipv4Ecn(bytes, offset) : ipv6Ecn(bytes, offset);
}

/** Marks congestion experienced; false where the sender is not capable of ECN (RFC 6040 §4.2: such a packet is dropped). */
export function setIpCongestionExperienced(bytes: Uint8Array, offset: number): boolean {
  return isVersion4(bytes, offset)
    ? setIpv4CongestionExperienced(bytes, offset)
    : setIpv6CongestionExperienced(bytes, offset);
}

/**
 * Protocol and position of the transport header (transport.ts) of a packet that ipVersion accepted.
 * A fragment that is not the first gives protocolFragment. -1 where the extension headers are
 * malformed or too many.
 */
export function findTransport(bytes: Uint8Array, offset: number): number {
  if (!isVersion4(bytes, offset)) return findTransport6(bytes, offset);
  const later = ipv4FragmentOffset(bytes, offset) !== 0;
  return packTransport(
    later ? protocolFragment : ipv4Protocol(bytes, offset),
    ipv4HeaderLength(bytes, offset),
  );
}

function isVersion4(bytes: Uint8Array, offset: number): boolean {
  return bytes[offset]! >>> 4 === 4;
}
