/**
 * Which packets may travel as one super-packet, and how its first header is finished. The rules of
 * generic receive offload: a receiver that splits the super-packet again gets the same packets.
 */

import { foldSum, pseudoSum4, pseudoSum6, type RangeSum, readU16, writeU16 } from './checksum.ts';
import {
  checkIpv4,
  fillIpv4Checksum,
  ipv4ChecksumOk,
  ipv4DontFragment,
  ipv4HeaderLength,
  ipv4HeaderSize,
  ipv4Id,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4TotalLength,
  setIpv4TotalLength,
} from './ipv4.ts';
import { checkIpv6, ipv6HeaderSize, ipv6NextHeader, ipv6TotalLength, setIpv6TotalLength } from './ipv6.ts';
import { checkTcp, tcpAck, tcpChecksumAt, tcpFlags, tcpHeaderLength, tcpPsh, tcpSequence } from './tcp.ts';
import { protocolTcp, protocolUdp } from './transport.ts';
import { checkUdp, setUdpLength, udpChecksum, udpChecksumAt, udpHeaderSize } from './udp.ts';
import {
  gsoTcp4,
  gsoTcp6,
  gsoUdp,
  setVirtioChecksum,
  setVirtioGso,
  virtioHeaderSize,
} from './virtio-header.ts';

/** Not TCP or UDP directly behind a plain IP header. */
export const flowNone = 0;
export const flowTcp4 = 1;
export const flowTcp6 = 2;
export const flowUdp4 = 3;
export const flowUdp6 = 4;

const maxTotal4 = 65_535;
const maxPayload6 = 65_535;

/** The class of a packet whose flow can be told, one of the numbers above. No padding, options or fragments. */
export function flowClass(bytes: Uint8Array, offset: number, length: number): number {
  if (checkIpv4(bytes, offset, length)) {
    if (ipv4HeaderLength(bytes, offset) !== ipv4HeaderSize || ipv4TotalLength(bytes, offset) !== length) {
      return flowNone;
    }
    if (ipv4IsFragment(bytes, offset)) return flowNone;
    const size = length - ipv4HeaderSize;
    return transportClass(bytes, offset + ipv4HeaderSize, size, ipv4Protocol(bytes, offset), flowTcp4);
  }
  if (!checkIpv6(bytes, offset, length) || ipv6TotalLength(bytes, offset) !== length) return flowNone;
  const size = length - ipv6HeaderSize;
  return transportClass(bytes, offset + ipv6HeaderSize, size, ipv6NextHeader(bytes, offset), flowTcp6);
}

/** Distance from the IP header to the transport header. */
export function transportStart(flow: number): number {
  return flow === flowTcp4 || flow === flowUdp4 ? ipv4HeaderSize : ipv6HeaderSize;
}

/** Length of all headers. */
export function headersLength(bytes: Uint8Array, offset: number, flow: number): number {
  const at = transportStart(flow);
  return isTcpClass(flow) ? at + tcpHeaderLength(bytes, offset + at) : at + udpHeaderSize;
}

/** Most bytes that a super-packet of the class may have. */
export function maxSuperLength(flow: number): number {
  return transportStart(flow) === ipv4HeaderSize ? maxTotal4 : ipv6HeaderSize + maxPayload6;
}

/** Whether a packet of the class may be part of a super-packet at all; checksums come later. */
export function isPlain(bytes: Uint8Array, offset: number, length: number, flow: number): boolean {
  if (length <= headersLength(bytes, offset, flow)) return false;
  const transport = offset + transportStart(flow);
  if (!isTcpClass(flow)) return udpChecksum(bytes, transport) !== 0;
  if ((bytes[transport + 12]! & 15) !== 0) return false;
  return (tcpFlags(bytes, transport) & ~tcpPsh) === tcpAck;
}

/** Nothing may follow this packet in its super-packet. */
export function endsGroup(bytes: Uint8Array, offset: number, flow: number): boolean {
  return isTcpClass(flow) && (tcpFlags(bytes, offset + transportStart(flow)) & tcpPsh) !== 0;
}

/** Whether all checksums of a plain packet are right. */
export function checksumsOk(
  bytes: Uint8Array,
  offset: number,
  length: number,
  flow: number,
  rangeSum: RangeSum,
): boolean {
  const at = transportStart(flow);
  if (at === ipv4HeaderSize && !ipv4ChecksumOk(bytes, offset)) return false;
  const sum = pseudoSum(bytes, offset, length, flow) + rangeSum(bytes, offset + at, length - at);
  return foldSum(sum) === 0xffff;
}

/**
 * Whether the headers of `next` continue those of `first` (same flow already known), where `next`
 * would be segment `index` and begins `distance` payload bytes behind the first payload byte.
 */
export function continues(
  bytes: Uint8Array,
  first: number,
  next: number,
  flow: number,
  index: number,
  distance: number,
): boolean {
  const at = transportStart(flow);
  if (at === ipv4HeaderSize ? !continues4(bytes, first, next, index) : !continues6(bytes, first, next)) {
    return false;
  }
  if (!isTcpClass(flow)) return true;
  const a = first + at;
  const b = next + at;
  if (((tcpSequence(bytes, a) + distance) | 0) !== tcpSequence(bytes, b)) return false;
  // Header length, window, acknowledgement and all options; flags differ at most in PSH.
  if (bytes[a + 12] !== bytes[b + 12]) return false;
  return (
    sameBytes(bytes, a + 8, b + 8, 4) &&
    sameBytes(bytes, a + 14, b + 14, 2) &&
    sameBytes(bytes, a + 18, b + 18, tcpHeaderLength(bytes, a) - 18)
  );
}

/** Makes the first packet of a group the head of a super-packet of `total` bytes, virtio header included. */
export function finishSuper(
  bytes: Uint8Array,
  offset: number,
  flow: number,
  total: number,
  gsoSize: number,
  push: boolean,
): void {
  const at = transportStart(flow);
  const tcp = isTcpClass(flow);
  const headers = headersLength(bytes, offset, flow);
  if (at === ipv4HeaderSize) {
    setIpv4TotalLength(bytes, offset, total);
    fillIpv4Checksum(bytes, offset);
  } else {
    setIpv6TotalLength(bytes, offset, total);
  }
  if (tcp && push) bytes[offset + at + 13]! |= tcpPsh;
  if (!tcp) setUdpLength(bytes, offset + at, total - at);
  const field = tcp ? tcpChecksumAt : udpChecksumAt;
  writeU16(bytes, offset + at + field, pseudoSum(bytes, offset, total, flow));
  const gsoType = tcp ? (flow === flowTcp4 ? gsoTcp4 : gsoTcp6) : gsoUdp;
  setVirtioGso(bytes, offset - virtioHeaderSize, gsoType, gsoSize, headers);
  setVirtioChecksum(bytes, offset - virtioHeaderSize, at, field);
}

function isTcpClass(flow: number): boolean {
  return flow === flowTcp4 || flow === flowTcp6;
}

function transportClass(
  bytes: Uint8Array,
  offset: number,
  size: number,
  protocol: number,
  tcp: number,
): number {
  if (protocol === protocolTcp) return checkTcp(bytes, offset, size) ? tcp : flowNone;
  if (protocol !== protocolUdp || !checkUdp(bytes, offset, size)) return flowNone;
  return tcp === flowTcp4 ? flowUdp4 : flowUdp6;
}

function pseudoSum(bytes: Uint8Array, offset: number, length: number, flow: number): number {
  const at = transportStart(flow);
  const protocol = isTcpClass(flow) ? protocolTcp : protocolUdp;
  return at === ipv4HeaderSize
    ? pseudoSum4(bytes, offset, protocol, length - at)
    : pseudoSum6(bytes, offset, protocol, length - at);
}

/** Type of service (ECN included), fragment bits and time to live are the same; identification counts up or means nothing. */
function continues4(bytes: Uint8Array, first: number, next: number, index: number): boolean {
  if (bytes[first + 1] !== bytes[next + 1] || bytes[first + 8] !== bytes[next + 8]) return false;
  if (readU16(bytes, first + 6) !== readU16(bytes, next + 6)) return false;
  // Where fragments are forbidden the identification has no meaning (RFC 6864 §4).
  return ipv4DontFragment(bytes, first) || ((ipv4Id(bytes, first) + index) & 0xffff) === ipv4Id(bytes, next);
}

/** Traffic class (ECN included), flow label and hop limit are the same. */
function continues6(bytes: Uint8Array, first: number, next: number): boolean {
  return sameBytes(bytes, first, next, 4) && bytes[first + 7] === bytes[next + 7];
}

function sameBytes(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    if (bytes[a + i] !== bytes[b + i]) return false;
  }
  return true;
}
