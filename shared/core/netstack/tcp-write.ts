/** Writing TCP segments into the outgoing batch: headers, options, content, checksum. Decides nothing. */

import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { foldSum, sumRange, writeU16 } from '../packet/checksum.ts';
import { tcpAck, tcpHeaderSize, tcpSyn } from '../packet/tcp.ts';
import { reservePacket } from './context.ts';
import { type IpPath, writeIpHeader } from './ip-output.ts';
import { timestampTickMs } from './limits.ts';
import { distance, later } from './sequence.ts';
import type { Tcb } from './tcb.ts';
import {
  maxSackBlocks,
  sackBlockSize,
  sackHeaderSize,
  timestampOptionSize,
  writeMssOption,
  writeSackBlock,
  writeSackHeader,
  writeSackPermittedOption,
  writeTimestampOption,
  writeWindowScaleOption,
  writeWord,
} from './tcp-options.ts';

const synOptionSize = 4;
const maxWindowField = 0xffff;

/** One segment to write. The content is `length` bytes of the send queue from `position`. */
export interface SegmentPlan {
  flags: number;
  sequence: number;
  position: number;
  length: number;
}

/** Our time stamp clock (RFC 7323 §5.4). */
export function timestampAt(tcb: Tcb, now: MonoMs): number {
  return (Math.floor(now / timestampTickMs) + tcb.timestampOffset) | 0;
}

/** Writes the segment and takes note of what it acknowledged. False where the batch is full. */
export function writeSegment(tcb: Tcb, plan: SegmentPlan, now: MonoMs, out: PacketBatch): boolean {
  const { flags, length } = plan;
  const isSyn = (flags & tcpSyn) !== 0;
  const sackCount = isSyn || length > 0 ? 0 : countSackBlocks(tcb);
  const options = isSyn ? synOptionsSize(tcb) : plainOptionsSize(tcb, sackCount);
  const header = tcpHeaderSize + options;
  const { path } = tcb;
  const offset = reservePacket(out, path.headerSize + header + length);
  if (offset < 0) return false;
  const { bytes } = out;
  const at = offset + path.headerSize;
  writeIpHeader(path, bytes, offset, header + length);
  writeHeader(tcb, plan, bytes, at, header);
  writeWindow(tcb, isSyn, bytes, at);
  let end = at + tcpHeaderSize;
  if (isSyn) end = writeSynOptions(tcb, bytes, end);
  if (isSyn ? tcb.offersTimestamps : tcb.hasTimestamps) {
    const echo = (flags & tcpAck) !== 0 ? tcb.recentTimestamp : 0;
    end = writeTimestampOption(bytes, end, timestampAt(tcb, now), echo);
  }
  if (sackCount > 0) writeSackBlocks(tcb, sackCount, bytes, end);
  if (length > 0) tcb.sendQueue.copyTo(plan.position, length, bytes, at + header);
  fillTcpChecksum(path, bytes, at, header + length);
  out.push(offset, path.headerSize + header + length);
  tcb.segmentsSent++;
  if ((flags & tcpAck) !== 0) noteAcknowledged(tcb);
  return true;
}

/** Pseudo header sum from the path, then the segment itself. */
export function fillTcpChecksum(path: IpPath, bytes: Uint8Array, at: number, size: number): void {
  writeU16(bytes, at + 16, 0);
  writeU16(bytes, at + 16, ~foldSum(path.pseudo + size + sumRange(bytes, at, size)) & 0xffff);
}

function writeHeader(tcb: Tcb, plan: SegmentPlan, bytes: Uint8Array, at: number, header: number): void {
  writeU16(bytes, at, tcb.localPort);
  writeU16(bytes, at + 2, tcb.remotePort);
  writeWord(bytes, at + 4, plan.sequence);
  writeWord(bytes, at + 8, (plan.flags & tcpAck) !== 0 ? tcb.receive.next : 0);
  bytes[at + 12] = (header >>> 2) << 4;
  bytes[at + 13] = plan.flags;
  writeU16(bytes, at + 18, 0);
}

/** Announces the window; never takes back what was announced (RFC 9293 §3.8.6). */
function writeWindow(tcb: Tcb, isSyn: boolean, bytes: Uint8Array, at: number): void {
  const { receive } = tcb;
  const unit = isSyn ? 1 : 2 ** tcb.receiveScale;
  const announced = distance(receive.next, receive.edge);
  let field = Math.floor(distance(receive.next, openEdgeToAnnounce(tcb)) / unit);
  if (field * unit < announced) field = Math.ceil(announced / unit);
  field = Math.min(field, maxWindowField);
  receive.edge = later(receive.edge, (receive.next + field * unit) | 0);
  writeU16(bytes, at + 14, field);
}

/** Receiver's silly window avoidance (RFC 9293 §3.8.6.2.2): small openings are kept back. */
export function openEdgeToAnnounce(tcb: Tcb): number {
  const { receive } = tcb;
  const open = receive.openEdge;
  const gain = (open - receive.edge) | 0;
  return gain >= Math.min(receive.limit / 2, tcb.maxSegment) ? open : receive.edge;
}

function noteAcknowledged(tcb: Tcb): void {
  tcb.ackNow = false;
  tcb.unackedSegments = 0;
  tcb.lastAckSent = tcb.receive.next;
  tcb.receive.hasDuplicate = false;
  tcb.timers.clear('delayed-ack');
}

function synOptionsSize(tcb: Tcb): number {
  let size = synOptionSize;
  if (tcb.offersScale) size += synOptionSize;
  if (tcb.offersSack) size += synOptionSize;
  return size + (tcb.offersTimestamps ? timestampOptionSize : 0);
}

function writeSynOptions(tcb: Tcb, bytes: Uint8Array, at: number): number {
  let end = writeMssOption(bytes, at, tcb.pathMtu - tcb.path.headerSize - tcpHeaderSize);
  if (tcb.offersScale) end = writeWindowScaleOption(bytes, end, tcb.receiveScale);
  if (tcb.offersSack) end = writeSackPermittedOption(bytes, end);
  return end;
}

function plainOptionsSize(tcb: Tcb, sackCount: number): number {
  const sack = sackCount > 0 ? sackHeaderSize + sackCount * sackBlockSize : 0;
  return sack + (tcb.hasTimestamps ? timestampOptionSize : 0);
}

function countSackBlocks(tcb: Tcb): number {
  if (!tcb.hasSack) return 0;
  const { receive } = tcb;
  const most = tcb.hasTimestamps ? maxSackBlocks - 1 : maxSackBlocks;
  return Math.min(most, receive.rangeCount + (receive.hasDuplicate ? 1 : 0));
}

function writeSackBlocks(tcb: Tcb, count: number, bytes: Uint8Array, at: number): void {
  const { receive } = tcb;
  let end = writeSackHeader(bytes, at, count);
  let left = count;
  if (receive.hasDuplicate) {
    end = writeSackBlock(bytes, end, receive.duplicateStart, receive.duplicateEnd);
    left--;
  }
  for (let i = 0; i < left; i++) end = writeSackBlock(bytes, end, receive.rangeStart(i), receive.rangeEnd(i));
}
