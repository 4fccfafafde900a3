/**
 * The flow of a packet: addresses, protocol and ports. A hash for tables of a batch, an exact
 * comparison, and an exact key for long-lived maps. Takes packets that ipVersion accepted.
 */

import { findTransport, ipTotalLength } from './ip.ts';
import { ipv4SourceAt } from './ipv4.ts';
import { ipv6SourceAt } from './ipv6.ts';
import { protocolTcp, protocolUdp, transportAt, transportProtocol } from './transport.ts';

/**
 * A cheap 32-bit hash of addresses and ports, `at` being the distance of the transport header from
 * `offset`. Different flows may share it, and strangers can choose flows that do: only for tables
 * that compare with sameFlow and are bounded.
 */
export function flowHash(bytes: Uint8Array, offset: number, at: number): number {
  let hash = readWord(bytes, offset + at);
  const version4 = bytes[offset]! >>> 4 === 4;
  const start = offset + (version4 ? ipv4SourceAt : ipv6SourceAt);
  const end = start + (version4 ? 8 : 32);
  for (let i = start; i < end; i += 4) hash = Math.imul(hash ^ readWord(bytes, i), 0x9e3779b1);
  return hash ^ (hash >>> 15);
}

/** Whether two packets with the transport header at the same distance have the same version, addresses and ports. */
export function sameFlow(bytes: Uint8Array, a: number, b: number, at: number): boolean {
  if (readWord(bytes, a + at) !== readWord(bytes, b + at)) return false;
  const version = bytes[a]! >>> 4;
  if (version !== bytes[b]! >>> 4) return false;
  const start = version === 4 ? ipv4SourceAt : ipv6SourceAt;
  const end = start + (version === 4 ? 8 : 32);
  for (let i = start; i < end; i += 4) {
    if (readWord(bytes, a + i) !== readWord(bytes, b + i)) return false;
  }
  return true;
}

/**
 * An exact key for a Map: protocol, addresses and, for TCP and UDP, ports. Undefined for later
 * fragments without ports, malformed headers and other protocols. Allocates.
 */
export function flowKey(bytes: Uint8Array, offset: number): string | undefined {
  const transport = findTransport(bytes, offset);
  if (transport < 0) return undefined;
  const protocol = transportProtocol(transport);
  const at = transportAt(transport);
  if (protocol !== protocolTcp && protocol !== protocolUdp) return undefined;
  if (at + 4 > ipTotalLength(bytes, offset)) return undefined;
  const version4 = bytes[offset]! >>> 4 === 4;
  const start = offset + (version4 ? ipv4SourceAt : ipv6SourceAt);
  let key = String.fromCharCode(protocol, readPair(bytes, offset + at), readPair(bytes, offset + at + 2));
  const end = start + (version4 ? 8 : 32);
  for (let i = start; i < end; i += 2) key += String.fromCharCode(readPair(bytes, i));
  return key;
}

function readPair(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

function readWord(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}
