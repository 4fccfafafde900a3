/**
 * A received TCP segment, read once into one object that is used for every packet. Borrowed until
 * the next one is read.
 */

import { foldSum, pseudoSum4, pseudoSum6, readU16, sumRange } from '../packet/checksum.ts';
import { checkTcp, tcpAck, tcpFin, tcpFlags, tcpHeaderLength, tcpHeaderSize, tcpSyn } from '../packet/tcp.ts';
import { protocolTcp } from '../packet/transport.ts';
import { noOptions, parseOptions, readWord, type TcpOptions } from './tcp-options.ts';

export const tcpRst = 0x04;

export interface Segment {
  bytes: Uint8Array;
  /** Where the IP header begins. */
  packetAt: number;
  /** Where the TCP header begins. */
  headerAt: number;
  flags: number;
  sequence: number;
  acknowledgement: number;
  /** As on the wire, not scaled. */
  window: number;
  payloadAt: number;
  payloadLength: number;
  readonly options: TcpOptions;
}

export function emptySegment(): Segment {
  return {
    bytes: new Uint8Array(0),
    packetAt: 0,
    headerAt: 0,
    flags: 0,
    sequence: 0,
    acknowledgement: 0,
    window: 0,
    payloadAt: 0,
    payloadLength: 0,
    options: noOptions(),
  };
}

/**
 * Reads the segment of the IP packet at `offset`, whose TCP header is `at` bytes further and whose whole
 * length is `total`. False where it is malformed or its checksum is wrong.
 */
export function readSegment(
  into: Segment,
  bytes: Uint8Array,
  offset: number,
  at: number,
  total: number,
): boolean {
  const start = offset + at;
  const length = total - at;
  if (!checkTcp(bytes, start, length)) return false;
  const pseudo =
    bytes[offset]! >>> 4 === 4
      ? pseudoSum4(bytes, offset, protocolTcp, length)
      : pseudoSum6(bytes, offset, protocolTcp, length);
  if (foldSum(pseudo + sumRange(bytes, start, length)) !== 0xffff) return false;
  const header = tcpHeaderLength(bytes, start);
  if (!parseOptions(bytes, start + tcpHeaderSize, start + header, into.options)) return false;
  into.bytes = bytes;
  into.packetAt = offset;
  into.headerAt = start;
  into.flags = tcpFlags(bytes, start);
  into.sequence = readWord(bytes, start + 4);
  into.acknowledgement = readWord(bytes, start + 8);
  into.window = readU16(bytes, start + 14);
  into.payloadAt = start + header;
  into.payloadLength = length - header;
  return true;
}

export function has(segment: Segment, flag: number): boolean {
  return (segment.flags & flag) !== 0;
}

/** Payload, and one for each of SYN and FIN (SEG.LEN of RFC 9293). */
export function sequenceLength(segment: Segment): number {
  return segment.payloadLength + (has(segment, tcpSyn) ? 1 : 0) + (has(segment, tcpFin) ? 1 : 0);
}

export function hasAck(segment: Segment): boolean {
  return has(segment, tcpAck);
}
