/**
 * Segmentation: what a TUN device with offloads gives us → single packets with correct checksums.
 * Believes nothing of the virtio header that the packet does not confirm: bytes may be hostile.
 */

import type { Verdict } from '../base/drop.ts';
import { headroom, type PacketBatch, tailroom } from './batch.ts';
import { foldSum, pseudoSum4, pseudoSum6, type RangeSum, sumRange, writeU16 } from './checksum.ts';
import { findTransport, ipTotalLength, ipVersion } from './ip.ts';
import { fillIpv4Checksum, ipv4Id, ipv4IsFragment, setIpv4Id, setIpv4TotalLength } from './ipv4.ts';
import { setIpv6TotalLength } from './ipv6.ts';
import {
  checkTcp,
  setTcpSequence,
  tcpChecksumAt,
  tcpCwr,
  tcpFin,
  tcpFlags,
  tcpHeaderLength,
  tcpPsh,
  tcpSequence,
} from './tcp.ts';
import { protocolTcp, protocolUdp, transportAt, transportProtocol } from './transport.ts';
import { checkUdp, setUdpLength, udpChecksumAt, udpHeaderSize } from './udp.ts';
import {
  gsoEcn,
  gsoNone,
  gsoTcp4,
  gsoTcp6,
  gsoUdp,
  needsChecksum,
  virtioChecksumOffset,
  virtioChecksumStart,
  virtioFlags,
  virtioGsoSize,
  virtioGsoType,
  virtioHeaderSize,
} from './virtio-header.ts';

/** Largest packet behind a virtio header: an IPv6 header with the largest payload. */
const maxPacketSize = 65_575;

/**
 * Appends the packets that the super-packet at `headerOffset` (virtio header, then `length` bytes
 * of IP packet) stands for. `source` is borrowed and not changed; it may be the batch's own memory
 * where the packet lies outside the free part of its arena, and only then nothing is allocated.
 * On any verdict but 'ok' nothing was appended. 'batch-full' with an empty batch means that the
 * packet will never fit: drop it.
 */
export function segment(
  batch: PacketBatch,
  source: Uint8Array,
  headerOffset: number,
  length: number,
  rangeSum: RangeSum = sumRange,
): Verdict {
  const packet = headerOffset + virtioHeaderSize;
  if (headerOffset < 0 || length < 1 || length > maxPacketSize || packet + length > source.length) {
    return 'malformed-packet';
  }
  const type = virtioGsoType(source, headerOffset);
  if (type === gsoNone) return copyOne(batch, source, headerOffset, length, rangeSum);
  const headers = superHeaders(source, headerOffset, length);
  if (headers === 0) return 'malformed-packet';
  const size = virtioGsoSize(source, headerOffset);
  const payload = length - headers;
  const count = Math.max(1, Math.ceil(payload / size));
  if (!hasRoom(batch, count, headers + Math.min(size, payload))) return 'batch-full';
  const at = virtioChecksumStart(source, headerOffset);
  const protocol = type === gsoUdp ? protocolUdp : protocolTcp;
  for (let i = 0; i < count; i++) {
    const start = i * size;
    const end = Math.min(payload, start + size);
    const to = batch.reserve(headers + end - start);
    copyBytes(batch.bytes, to, source, packet, headers);
    copyBytes(batch.bytes, to + headers, source, packet + headers + start, end - start);
    if (type === gsoUdp) finishUdp(batch.bytes, to, at, headers + end - start);
    else finishTcp(batch.bytes, to + at, start, end === payload);
    finishIp(batch.bytes, to, headers + end - start, i);
    fillTransport(batch.bytes, to, at, headers + end - start, protocol, rangeSum);
    batch.push(to, headers + end - start);
  }
  return 'ok';
}

/** A packet that is no super-packet; its checksum may still be unfinished. */
function copyOne(
  batch: PacketBatch,
  source: Uint8Array,
  headerOffset: number,
  length: number,
  rangeSum: RangeSum,
): Verdict {
  const start = virtioChecksumStart(source, headerOffset);
  const field = start + virtioChecksumOffset(source, headerOffset);
  const unfinished = (virtioFlags(source, headerOffset) & needsChecksum) !== 0;
  if (unfinished && field + 2 > length) return 'malformed-packet';
  if (!hasRoom(batch, 1, length)) return 'batch-full';
  const { bytes } = batch;
  const to = batch.reserve(length);
  copyBytes(bytes, to, source, headerOffset + virtioHeaderSize, length);
  // The field holds the pseudo-header sum, so that the sum over everything is already the whole one.
  if (unfinished) writeChecksum(bytes, to + field, rangeSum(bytes, to + start, length - start));
  batch.push(to, length);
  return 'ok';
}

/** Bytes of all headers of a super-packet, 0 where packet and virtio header do not agree. */
function superHeaders(source: Uint8Array, headerOffset: number, length: number): number {
  const packet = headerOffset + virtioHeaderSize;
  const version = ipVersion(source, packet, length);
  if (version === 0 || ipTotalLength(source, packet) !== length) return 0;
  if (version === 4 && ipv4IsFragment(source, packet)) return 0;
  if (virtioGsoSize(source, headerOffset) === 0) return 0;
  const transport = findTransport(source, packet);
  if (transport < 0) return 0;
  const at = transportAt(transport);
  if (virtioChecksumStart(source, headerOffset) !== at) return 0;
  const type = virtioGsoType(source, headerOffset);
  if (type === gsoUdp) {
    const udp = transportProtocol(transport) === protocolUdp && checkUdp(source, packet + at, length - at);
    return udp ? at + udpHeaderSize : 0;
  }
  if ((type & ~gsoEcn) !== (version === 4 ? gsoTcp4 : gsoTcp6)) return 0;
  const tcp = transportProtocol(transport) === protocolTcp && checkTcp(source, packet + at, length - at);
  return tcp ? at + tcpHeaderLength(source, packet + at) : 0;
}

/** Whether `count` packets of at most `size` bytes fit. */
function hasRoom(batch: PacketBatch, count: number, size: number): boolean {
  if (batch.count + count > batch.capacity) return false;
  // The 7 is for a cursor that is not aligned yet.
  const each = (headroom + size + tailroom + 7) & ~7;
  return batch.cursor + count * each + 7 <= batch.arenaEnd;
}

function copyBytes(
  to: Uint8Array,
  toOffset: number,
  from: Uint8Array,
  fromOffset: number,
  length: number,
): void {
  if (to === from) to.copyWithin(toOffset, fromOffset, fromOffset + length);
  else to.set(from.subarray(fromOffset, fromOffset + length), toOffset);
}

/** Lengths and identification of segment `index`. */
function finishIp(bytes: Uint8Array, offset: number, length: number, index: number): void {
  if (bytes[offset]! >>> 4 === 6) {
    setIpv6TotalLength(bytes, offset, length);
    return;
  }
  setIpv4TotalLength(bytes, offset, length);
  setIpv4Id(bytes, offset, ipv4Id(bytes, offset) + index);
  fillIpv4Checksum(bytes, offset);
}

function finishUdp(bytes: Uint8Array, offset: number, at: number, length: number): void {
  setUdpLength(bytes, offset + at, length - at);
}

/** Sequence and flags of the segment that begins `start` bytes into the payload. */
function finishTcp(bytes: Uint8Array, tcp: number, start: number, last: boolean): void {
  setTcpSequence(bytes, tcp, tcpSequence(bytes, tcp) + start);
  let flags = tcpFlags(bytes, tcp);
  if (!last) flags &= ~(tcpFin | tcpPsh);
  if (start > 0) flags &= ~tcpCwr;
  bytes[tcp + 13] = flags;
}

/** The whole transport checksum of a finished packet. */
function fillTransport(
  bytes: Uint8Array,
  offset: number,
  at: number,
  length: number,
  protocol: number,
  rangeSum: RangeSum,
): void {
  const size = length - at;
  const field = offset + at + (protocol === protocolUdp ? udpChecksumAt : tcpChecksumAt);
  const version4 = bytes[offset]! >>> 4 === 4;
  writeU16(bytes, field, 0);
  const pseudo = version4
    ? pseudoSum4(bytes, offset, protocol, size)
    : pseudoSum6(bytes, offset, protocol, size);
  writeChecksum(bytes, field, foldSum(pseudo + rangeSum(bytes, offset + at, size)));
}

/** 0 would mean "no checksum" for UDP; its twin means the same for all others. */
function writeChecksum(bytes: Uint8Array, field: number, sum: number): void {
  writeU16(bytes, field, sum === 0xffff ? 0xffff : ~sum & 0xffff);
}
