/** Answers to TCP segments that have no connection: a reset, or ICMP about a SYN. */

import type { PacketBatch } from '../packet/batch.ts';
import { readU16, writeU16 } from '../packet/checksum.ts';
import { maxIcmpErrorSize, writeUnreachable } from '../packet/icmp.ts';
import { tcpAck, tcpHeaderSize, tcpSyn } from '../packet/tcp.ts';
import { protocolTcp } from '../packet/transport.ts';
import { reservePacket } from './context.ts';
import { type IpPath, ipPath, writeIpHeader } from './ip-output.ts';
import type { Tcb } from './tcb.ts';
import { writeWord } from './tcp-options.ts';
import { hasAck, type Segment, sequenceLength, tcpRst } from './tcp-segment.ts';
import { fillTcpChecksum } from './tcp-write.ts';

interface BareSegment {
  readonly from: number;
  readonly to: number;
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgement: number;
}

/** RFC 9293 §3.10.7.1. False where the batch is full. */
export function answerWithReset(segment: Segment, out: PacketBatch): boolean {
  const { bytes, packetAt, headerAt } = segment;
  const width = bytes[packetAt]! >>> 4 === 4 ? 4 : 16;
  const source = packetAt + (width === 4 ? 12 : 8);
  const offset = reservePacket(out, (width === 4 ? 20 : 40) + tcpHeaderSize);
  if (offset < 0) return false;
  const theirs = bytes.subarray(source, source + width);
  const ours = bytes.subarray(source + width, source + 2 * width);
  const isAnswer = hasAck(segment);
  const length = writeBare(ipPath(ours, theirs, protocolTcp), out.bytes, offset, {
    from: readU16(bytes, headerAt + 2),
    to: readU16(bytes, headerAt),
    flags: isAnswer ? tcpRst : tcpRst | tcpAck,
    sequence: isAnswer ? segment.acknowledgement : 0,
    acknowledgement: isAnswer ? 0 : (segment.sequence + sequenceLength(segment)) | 0,
  });
  return out.push(offset, length);
}

/** "Host unreachable" about the SYN of a pending connection, rebuilt from what is known of it. False where the batch is full. */
export function writeSynUnreachable(tcb: Tcb, out: PacketBatch): boolean {
  const offset = reservePacket(out, maxIcmpErrorSize);
  if (offset < 0) return false;
  const { path } = tcb;
  const syn = new Uint8Array(path.headerSize + tcpHeaderSize);
  const length = writeBare(ipPath(path.remote, path.local, protocolTcp), syn, 0, {
    from: tcb.remotePort,
    to: tcb.localPort,
    flags: tcpSyn,
    sequence: tcb.initialReceive,
    acknowledgement: 0,
  });
  const size = writeUnreachable({ bytes: syn, offset: 0, length, to: out.bytes, toOffset: offset });
  return size === 0 || out.push(offset, size);
}

function writeBare(path: IpPath, bytes: Uint8Array, offset: number, bare: BareSegment): number {
  const at = offset + path.headerSize;
  writeIpHeader(path, bytes, offset, tcpHeaderSize);
  writeU16(bytes, at, bare.from);
  writeU16(bytes, at + 2, bare.to);
  writeWord(bytes, at + 4, bare.sequence);
  writeWord(bytes, at + 8, bare.acknowledgement);
  bytes[at + 12] = (tcpHeaderSize >>> 2) << 4;
  bytes[at + 13] = bare.flags;
  writeU16(bytes, at + 14, 0);
  writeU16(bytes, at + 18, 0);
  fillTcpChecksum(path, bytes, at, tcpHeaderSize);
  return path.headerSize + tcpHeaderSize;
}
