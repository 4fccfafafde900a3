/** Writing UDP datagrams and echo messages into the outgoing batch, cut into fragments where they are larger than the path. */

import type { PacketBatch } from '../packet/batch.ts';
import { foldSum, sumRange, writeU16 } from '../packet/checksum.ts';
import { protocolFragment } from '../packet/transport.ts';
import { udpHeaderSize } from '../packet/udp.ts';
import { reservePacket } from './context.ts';
import type { DatagramQueue } from './datagram-queue.ts';
import { markFragment4, writeIpHeader } from './ip-output.ts';
import { writeWord } from './tcp-options.ts';
import { echoHeaderSize, type UdpSocket } from './udp-socket.ts';

const fragmentHeaderSize = 8;
/** Types of echo request and reply, RFC 792 and RFC 4443. */
const echoTypes = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;
/** Room for one datagram with its headers. */
export const datagramScratchSize: number = 65_535 + 64;

/** Writes the next leaving datagram. False where `out` has no room for all of it. */
export function writeDatagram(
  socket: UdpSocket,
  scratch: () => Uint8Array,
  id: number,
  out: PacketBatch,
): boolean {
  const size = socket.leavingSize;
  const { path } = socket;
  if (path.headerSize + size > socket.mtu) return writeFragments(socket, scratch(), id, out);
  const offset = reservePacket(out, path.headerSize + size);
  if (offset < 0) return false;
  writeIpHeader(path, out.bytes, offset, size);
  writeContent(socket, out.bytes, offset + path.headerSize);
  return out.push(offset, path.headerSize + size);
}

/**
 * The datagram that arrived first, as the packet it was, for an ICMP error about it; where all were read already,
 * one without content: senders look at the ports. Returns its length.
 */
export function rebuildArrived(socket: UdpSocket, to: Uint8Array): number {
  const { path, arrived, lastEcho } = socket;
  const size = lastEcho?.length ?? Math.max(0, arrived.nextLength) + udpHeaderSize;
  // The path is ours; the packet was theirs: swap the addresses.
  writeIpHeader(path, to, 0, size);
  const at = path.version === 4 ? 12 : 8;
  to.set(path.remote, at);
  to.set(path.local, at + path.remote.length);
  if (lastEcho !== undefined) to.set(lastEcho, path.headerSize);
  else writeUdp(socket, arrived, false, to, path.headerSize);
  return path.headerSize + size;
}

/** The next leaving datagram, with its header. */
function writeContent(socket: UdpSocket, bytes: Uint8Array, at: number): void {
  if (socket.kind === 'udp') writeUdp(socket, socket.leaving, true, bytes, at);
  else writeEcho(socket, bytes, at);
}

/** Whoever asks sends requests, whoever was asked replies. */
function writeEcho(socket: UdpSocket, bytes: Uint8Array, at: number): void {
  const { path, leaving, local, source } = socket;
  const size = Math.max(echoHeaderSize, leaving.nextLength);
  const types = echoTypes[path.version];
  leaving.copyPart(0, size, bytes, at);
  bytes[at] = source === undefined ? types.request : types.reply;
  bytes[at + 1] = 0;
  writeU16(bytes, at + 2, 0);
  writeU16(bytes, at + 4, local.port);
  const pseudo = path.version === 4 ? 0 : path.pseudo + size;
  writeU16(bytes, at + 2, ~foldSum(pseudo + sumRange(bytes, at, size)) & 0xffff);
}

function writeUdp(
  socket: UdpSocket,
  queue: DatagramQueue,
  isOurs: boolean,
  bytes: Uint8Array,
  at: number,
): void {
  const size = Math.max(0, queue.nextLength) + udpHeaderSize;
  const { local, remote, path } = socket;
  writeU16(bytes, at, isOurs ? local.port : remote.port);
  writeU16(bytes, at + 2, isOurs ? remote.port : local.port);
  writeU16(bytes, at + 4, size);
  writeU16(bytes, at + 6, 0);
  queue.copyPart(0, size - udpHeaderSize, bytes, at + udpHeaderSize);
  const sum = ~foldSum(path.pseudo + size + sumRange(bytes, at, size)) & 0xffff;
  // Zero would mean "none" (RFC 768).
  writeU16(bytes, at + 6, sum === 0 ? 0xffff : sum);
}

/** All fragments or none. */
function writeFragments(socket: UdpSocket, scratch: Uint8Array, id: number, out: PacketBatch): boolean {
  const { path } = socket;
  const total = socket.leavingSize;
  writeContent(socket, scratch, 0);
  const extra = path.version === 4 ? 0 : fragmentHeaderSize;
  const most = (socket.mtu - path.headerSize - extra) & ~7;
  const { count, cursor } = out;
  for (let at = 0; at < total; at += most) {
    const size = Math.min(most, total - at);
    const offset = reservePacket(out, path.headerSize + extra + size);
    if (offset < 0) {
      out.count = count;
      out.cursor = cursor;
      return false;
    }
    const more = at + size < total;
    writeIpHeader(path, out.bytes, offset, extra + size);
    if (path.version === 4) markFragment4(out.bytes, offset, id, at >>> 3, more);
    else writeFragmentHeader6(out.bytes, offset, path.headerSize, (at & ~7) | (more ? 1 : 0), id);
    out.bytes.set(scratch.subarray(at, at + size), offset + path.headerSize + extra);
    out.push(offset, path.headerSize + extra + size);
  }
  return true;
}

function writeFragmentHeader6(
  bytes: Uint8Array,
  offset: number,
  at: number,
  field: number,
  id: number,
): void {
  bytes[offset + at] = bytes[offset + 6]!;
  bytes[offset + 6] = protocolFragment;
  bytes[offset + at + 1] = 0;
  writeU16(bytes, offset + at + 2, field);
  writeWord(bytes, offset + at + 4, id);
}
