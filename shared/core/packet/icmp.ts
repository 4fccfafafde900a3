/**
 * ICMP and ICMPv6: error replies about a packet that cannot be delivered (RFC 792, 1122 §3.2.2,
 * 4443 §2.4) and echo replies. Whether an error may be sent now (rate limits) is the caller's.
 */

import { foldSum, pseudoSum6, readU16, sumRange, updateChecksum, writeU16 } from './checksum.ts';
import { findTransport, ipTotalLength, ipVersion } from './ip.ts';
import {
  fillIpv4Checksum,
  ipv4DestinationAt,
  ipv4HeaderSize,
  ipv4SourceAt,
  setIpv4TotalLength,
} from './ipv4.ts';
import { ipv6DestinationAt, ipv6HeaderSize, ipv6SourceAt, setIpv6TotalLength } from './ipv6.ts';
import {
  protocolFragment,
  protocolIcmp,
  protocolIcmp6,
  transportAt,
  transportProtocol,
} from './transport.ts';

/** Room that an error reply may need. */
export const maxIcmpErrorSize = 1280;

const icmpHeaderSize = 8;
/** Largest IPv4 error (RFC 1812 §4.3.2.3) and IPv6 error (RFC 4443 §2.4 c), whole packet. */
const maxErrorSize4 = 576;
const maxErrorSize6 = maxIcmpErrorSize;
const hopLimit = 64;
/** Errors travel as internetwork control (RFC 1812 §4.3.2.5). */
const errorTos = 0xc0;

/** The packet that an error is about, and where the error goes. */
export interface IcmpErrorRequest {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
  /** Memory for the reply: maxIcmpErrorSize bytes at `toOffset`, not overlapping the packet. */
  readonly to: Uint8Array;
  readonly toOffset: number;
  /** Our address of the packet's family, 4 or 16 bytes; without one the reply comes from the packet's destination. */
  readonly source?: Uint8Array | undefined;
}

/** One kind of error, for both families. */
interface ErrorKind {
  readonly type4: number;
  readonly code4: number;
  readonly type6: number;
  readonly code6: number;
}

/** Host unreachable, address unreachable. */
const unreachable: ErrorKind = { type4: 3, code4: 1, type6: 1, code6: 3 };
/** Nobody listens on that port. */
const portUnreachable: ErrorKind = { type4: 3, code4: 3, type6: 1, code6: 4 };
/** Fragmentation needed, packet too big. */
const tooBig: ErrorKind = { type4: 3, code4: 4, type6: 2, code6: 0 };

/** Whoever is in between does not allow it. */
const prohibited: ErrorKind = { type4: 3, code4: 13, type6: 1, code6: 1 };
/** Too many hops. */
const timeExceeded: ErrorKind = { type4: 11, code4: 0, type6: 3, code6: 0 };

/** Writes "destination unreachable". Returns the length of the reply, 0 where none may be sent. */
export function writeUnreachable(request: IcmpErrorRequest): number {
  return writeError(request, unreachable, 0);
}

/** Writes "port unreachable". Returns the length of the reply, 0 where none may be sent. */
export function writePortUnreachable(request: IcmpErrorRequest): number {
  return writeError(request, portUnreachable, 0);
}

/** Writes "packet too big" ("fragmentation needed") with the MTU that fits. Returns the length, or 0. */
export function writeTooBig(request: IcmpErrorRequest, mtu: number): number {
  return writeError(request, tooBig, mtu);
}

/** Writes "administratively prohibited". Returns the length of the reply, 0 where none may be sent. */
export function writeProhibited(request: IcmpErrorRequest): number {
  return writeError(request, prohibited, 0);
}

/** Writes "time exceeded in transit". Returns the length of the reply, 0 where none may be sent. */
export function writeTimeExceeded(request: IcmpErrorRequest): number {
  return writeError(request, timeExceeded, 0);
}

/** Turns an echo request into its reply, in place. Returns false, and changes nothing, where it is none. */
export function turnIntoEchoReply(bytes: Uint8Array, offset: number, length: number): boolean {
  const version = ipVersion(bytes, offset, length);
  if (version === 0) return false;
  const transport = findTransport(bytes, offset);
  if (transport < 0) return false;
  const at = transportAt(transport);
  const request = version === 4 ? 8 : 128;
  const reply = version === 4 ? 0 : 129;
  if (transportProtocol(transport) !== (version === 4 ? protocolIcmp : protocolIcmp6)) return false;
  if (at + icmpHeaderSize > ipTotalLength(bytes, offset) || readU16(bytes, offset + at) !== request << 8) {
    return false;
  }
  // A reply to many, or to nobody, is never right.
  if (
    !isSingleHost(bytes, offset, sourceAt(version)) ||
    !isSingleHost(bytes, offset, destinationAt(version))
  ) {
    return false;
  }
  swapAddresses(bytes, offset + sourceAt(version), version === 4 ? 4 : 16);
  const checksum = readU16(bytes, offset + at + 2);
  bytes[offset + at] = reply;
  writeU16(bytes, offset + at + 2, updateChecksum(checksum, request << 8, reply << 8));
  bytes[offset + (version === 4 ? 8 : 7)] = hopLimit;
  if (version === 4) fillIpv4Checksum(bytes, offset);
  return true;
}

function writeError(request: IcmpErrorRequest, kind: ErrorKind, mtu: number): number {
  const { bytes, offset, length, to, toOffset } = request;
  const version = ipVersion(bytes, offset, length);
  if (version === 0 || !mayAnswer(bytes, offset, version, kind)) return 0;
  const header = version === 4 ? ipv4HeaderSize : ipv6HeaderSize;
  const limit = version === 4 ? maxErrorSize4 : maxErrorSize6;
  const quoted = Math.min(ipTotalLength(bytes, offset), limit - header - icmpHeaderSize);
  const total = header + icmpHeaderSize + quoted;
  if (toOffset + total > to.length) return 0;
  to.fill(0, toOffset, toOffset + header + icmpHeaderSize);
  to.set(bytes.subarray(offset, offset + quoted), toOffset + header + icmpHeaderSize);
  writeAddresses(request, version);
  const icmp = toOffset + header;
  to[icmp] = version === 4 ? kind.type4 : kind.type6;
  to[icmp + 1] = version === 4 ? kind.code4 : kind.code6;
  if (version === 4) writeU16(to, icmp + 6, Math.min(mtu, 0xffff));
  else writeMtu6(to, icmp + 4, mtu);
  const size = icmpHeaderSize + quoted;
  if (version === 4) finishHeader4(to, toOffset, total);
  else finishHeader6(to, toOffset, total);
  const pseudo = version === 4 ? 0 : pseudoSum6(to, toOffset, protocolIcmp6, size);
  writeU16(to, icmp + 2, ~foldSum(pseudo + sumRange(to, icmp, size)) & 0xffff);
  return total;
}

/** Whether an error about this packet is allowed at all. */
function mayAnswer(bytes: Uint8Array, offset: number, version: 4 | 6, kind: ErrorKind): boolean {
  if (!isSingleHost(bytes, offset, sourceAt(version))) return false;
  // Only "too big" may be about IPv6 multicast, for path MTU discovery (RFC 4443 §2.4 e.3).
  const about = isSingleHost(bytes, offset, destinationAt(version));
  if (!about && !(version === 6 && kind === tooBig && bytes[offset + ipv6DestinationAt] === 0xff))
    return false;
  const transport = findTransport(bytes, offset);
  if (transport < 0) return false;
  const protocol = transportProtocol(transport);
  if (protocol === protocolFragment) return false;
  if (protocol !== (version === 4 ? protocolIcmp : protocolIcmp6)) return true;
  const at = transportAt(transport);
  // An ICMP message without a type might be an error.
  if (at >= ipTotalLength(bytes, offset)) return false;
  return !isErrorType(bytes[offset + at]!, version);
}

/** Error messages and redirects. */
function isErrorType(type: number, version: 4 | 6): boolean {
  if (version === 6) return type < 128 || type === 137;
  return type === 3 || type === 4 || type === 5 || type === 11 || type === 12;
}

/** False for unspecified, loopback, multicast and broadcast addresses. */
function isSingleHost(bytes: Uint8Array, offset: number, at: number): boolean {
  const first = bytes[offset + at]!;
  if (bytes[offset]! >>> 4 === 4) return first !== 0 && first !== 127 && first < 224;
  if (first === 0xff) return false;
  for (let i = 0; i < 15; i++) {
    if (bytes[offset + at + i] !== 0) return true;
  }
  return bytes[offset + at + 15]! > 1;
}

function writeAddresses(request: IcmpErrorRequest, version: 4 | 6): void {
  const { bytes, offset, to, toOffset, source } = request;
  const size = version === 4 ? 4 : 16;
  const own = source?.length === size ? source : undefined;
  for (let i = 0; i < size; i++) {
    to[toOffset + sourceAt(version) + i] = own?.[i] ?? bytes[offset + destinationAt(version) + i]!;
    to[toOffset + destinationAt(version) + i] = bytes[offset + sourceAt(version) + i]!;
  }
}

function finishHeader4(to: Uint8Array, offset: number, total: number): void {
  to[offset] = 0x45;
  to[offset + 1] = errorTos;
  setIpv4TotalLength(to, offset, total);
  to[offset + 6] = 0x40;
  to[offset + 8] = hopLimit;
  to[offset + 9] = protocolIcmp;
  fillIpv4Checksum(to, offset);
}

function finishHeader6(to: Uint8Array, offset: number, total: number): void {
  to[offset] = 0x60;
  setIpv6TotalLength(to, offset, total);
  to[offset + 6] = protocolIcmp6;
  to[offset + 7] = hopLimit;
}

function writeMtu6(to: Uint8Array, offset: number, mtu: number): void {
  writeU16(to, offset, mtu >>> 16);
  writeU16(to, offset + 2, mtu & 0xffff);
}

function swapAddresses(bytes: Uint8Array, source: number, size: number): void {
  for (let i = 0; i < size; i++) {
    const kept = bytes[source + i]!;
    bytes[source + i] = bytes[source + size + i]!;
    bytes[source + size + i] = kept;
  }
}

function sourceAt(version: 4 | 6): number {
  return version === 4 ? ipv4SourceAt : ipv6SourceAt;
}

function destinationAt(version: 4 | 6): number {
  return version === 4 ? ipv4DestinationAt : ipv6DestinationAt;
}
