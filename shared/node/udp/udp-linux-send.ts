/**
 * Batched sending for one socket: neighbours of one size become one message (UDP_SEGMENT) without
 * being copied, messages go out many a call (sendmmsg). What the system refuses is dropped and
 * counted, after the tries that are known to help.
 */

import { assert } from '../../core/base/assert.ts';
import { endpointSize } from '../../core/base/endpoint.ts';
import type { Log } from '../../core/base/ports.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';
import { errno, errnoName } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import * as abi from '../ffi/structs.ts';
import type { LinuxSocket } from './udp-linux-socket.ts';

/** Most messages of one call; one more is kept for sending singly. */
const maxMessages = 64;
/** Most datagrams of one train, and most bytes: limits of the kernel (UDP_MAX_SEGMENTS of old ones). */
const maxSegments = 64;
const maxTrainBytes = 65_507;
const vectorCapacity = 2048;
const nameStride = 32;
const controlStride = 128;
/** A full socket is waited for this often in one batch, each time this long. */
const maxWaits = 4;
const waitMs = 2;
/** For how many messages a lesson from a refusal holds: paths and addresses change. */
const lessonMessages = 4096;

export class LinuxSender {
  readonly #libc: Libc;
  readonly #memory: WorkerMemory;
  readonly #log: Log;
  readonly #headers: number;
  readonly #vectors: number;
  readonly #names: number;
  readonly #controls: number;
  readonly #pollfd: number;
  /** Messages that wait for `flush`, and which packets of the batch each carries. */
  #messages = 0;
  #vectorCount = 0;
  readonly #first = new Uint32Array(maxMessages + 1);
  readonly #end = new Uint32Array(maxMessages + 1);
  #waits = 0;
  /** Larger segments do not fit a path of the moment: their datagrams go singly, to be fragmented. */
  #largestSegment = maxTrainBytes;
  #largestSegmentHolds = 0;
  /** A local address (endpoint record bytes 24-39) that is no longer ours. */
  readonly #staleSource = new Uint8Array(16);
  #staleSourceHolds = 0;

  constructor(libc: Libc, memory: WorkerMemory, log: Log) {
    this.#libc = libc;
    this.#memory = memory;
    this.#log = log;
    this.#headers = memory.alloc((maxMessages + 1) * abi.mmsghdr.size);
    this.#vectors = memory.alloc((vectorCapacity + 1) * abi.iovec.size);
    this.#names = memory.alloc((maxMessages + 1) * nameStride);
    this.#controls = memory.alloc((maxMessages + 1) * controlStride);
    this.#pollfd = memory.alloc(abi.pollfd.size);
    for (let m = 0; m <= maxMessages; m++) {
      const header = this.#headers + m * abi.mmsghdr.size;
      memory.putPointer(header + abi.mmsghdr.name, this.#names + m * nameStride);
      memory.putPointer(header + abi.mmsghdr.control, this.#controls + m * controlStride);
    }
  }

  /** A new batch brings new patience with a full socket. */
  beginBatch(): void {
    this.#waits = 0;
  }

  /** Where the train that starts at packet `from` ends. */
  trainEnd(socket: LinuxSocket, batch: PacketBatch, from: number): number {
    const { length, address, tos, count } = batch;
    const size = length[from]!;
    let end = from + 1;
    if (!socket.gso || size === 0 || size > this.#largestSegment) return end;
    const last = Math.min(count, from + maxSegments);
    let total = size;
    while (end < last && address[end] === address[from] && tos[end] === tos[from]) {
      const next = length[end]!;
      total += next;
      if (next > size || next === 0 || total > maxTrainBytes) break;
      end++;
      if (next < size) break;
    }
    return end;
  }

  /** Queues packets `[from, to)` as one message. Returns how many packets were dropped by a flush that made room. */
  add(socket: LinuxSocket, batch: PacketBatch, from: number, to: number): number {
    let dropped = 0;
    if (this.#messages === maxMessages || this.#vectorCount + (to - from) > vectorCapacity) {
      dropped = this.flush(socket, batch);
    }
    const m = this.#messages++;
    this.#first[m] = from;
    this.#end[m] = to;
    this.#putVectors(batch, m);
    this.#putName(batch, m);
    this.#putControls(batch, m, true);
    return dropped;
  }

  /** Sends all that is queued. Returns how many packets were dropped. The queue is empty afterwards. */
  flush(socket: LinuxSocket, batch: PacketBatch): number {
    const count = this.#messages;
    const headers = this.#memory.base + this.#headers;
    let dropped = 0;
    let sent = 0;
    // Each turn sends or refuses a message, or uses up one wait.
    while (sent < count) {
      const at = headers + sent * abi.mmsghdr.size;
      const result = this.#libc.sendmmsg(socket.fd, at, count - sent, 0);
      if (result > 0) {
        sent += result;
        continue;
      }
      const number = this.#libc.errno();
      if (number === errno.EAGAIN || number === errno.EINTR) {
        if (this.#waitWritable(socket)) continue;
        for (let m = sent; m < count; m++) dropped += this.#end[m]! - this.#first[m]!;
        break;
      }
      dropped += this.#afterRefusal(socket, batch, sent, number);
      sent++;
    }
    this.#messages = 0;
    this.#vectorCount = 0;
    this.#forgetLessons(count);
    return dropped;
  }

  #waitWritable(socket: LinuxSocket): boolean {
    if (this.#waits === maxWaits) return false;
    this.#waits++;
    const { view, base } = this.#memory;
    view.setInt32(this.#pollfd, socket.fd, true);
    view.setUint32(this.#pollfd + abi.pollfd.events, abi.POLLOUT, true);
    return this.#libc.poll(base + this.#pollfd, 1, waitMs) > 0;
  }

  /** One message was refused: tries what may help. Returns how many of its packets were dropped. */
  #afterRefusal(socket: LinuxSocket, batch: PacketBatch, m: number, refusal: number): number {
    let number = refusal;
    if (this.#hasSource(batch, m) && isSourceRefusal(number)) {
      this.#learnStaleSource(batch, m);
      this.#putControls(batch, m, false);
      const header = this.#memory.base + this.#headers + m * abi.mmsghdr.size;
      if (this.#libc.sendmmsg(socket.fd, header, 1, 0) === 1) return 0;
      number = this.#libc.errno();
    }
    const first = this.#first[m]!;
    const end = this.#end[m]!;
    if (end - first > 1) {
      if (number === errno.EIO) {
        // The device cannot checksum segments: no train will ever leave through this socket.
        socket.gso = false;
        this.#log.info('udp segmentation offload is off: the device refuses it', { family: socket.family });
        return this.#sendSingly(socket, batch, m);
      }
      if (number === errno.EINVAL || number === errno.EMSGSIZE) {
        this.#largestSegment = Math.min(this.#largestSegment, batch.length[first]! - 1);
        this.#largestSegmentHolds = lessonMessages;
        return this.#sendSingly(socket, batch, m);
      }
    }
    this.#log.debug('datagrams refused', { count: end - first, why: errnoName(number) });
    return end - first;
  }

  /** Sends the packets of message `m` as messages of one, by the spare message. Returns how many were dropped. */
  #sendSingly(socket: LinuxSocket, batch: PacketBatch, m: number): number {
    const header = this.#memory.base + this.#headers + maxMessages * abi.mmsghdr.size;
    const vectorsInUse = this.#vectorCount;
    const end = this.#end[m]!;
    let dropped = 0;
    for (let i = this.#first[m]!; i < end; i++) {
      this.#first[maxMessages] = i;
      this.#end[maxMessages] = i + 1;
      this.#vectorCount = vectorCapacity;
      this.#putVectors(batch, maxMessages);
      this.#putName(batch, maxMessages);
      this.#putControls(batch, maxMessages, true);
      if (this.#libc.sendmmsg(socket.fd, header, 1, 0) === 1) continue;
      const again = this.#libc.errno() === errno.EAGAIN && this.#waitWritable(socket);
      if (!again || this.#libc.sendmmsg(socket.fd, header, 1, 0) !== 1) dropped++;
    }
    this.#vectorCount = vectorsInUse;
    return dropped;
  }

  #putVectors(batch: PacketBatch, m: number): void {
    const memory = this.#memory;
    const start = this.#vectors + this.#vectorCount * abi.iovec.size;
    const end = this.#end[m]!;
    let vectors = 0;
    let adjacent = -1;
    for (let i = this.#first[m]!; i < end; i++) {
      const offset = batch.offset[i]!;
      const length = batch.length[i]!;
      assert(offset + length <= memory.bytes.length, 'a packet lies inside the memory');
      if (offset === adjacent) {
        memory.words[(start + (vectors - 1) * abi.iovec.size + abi.iovec.length) >>> 2]! += length;
      } else {
        const vector = start + vectors * abi.iovec.size;
        memory.putPointer(vector, offset);
        memory.putSize(vector + abi.iovec.length, length);
        vectors++;
      }
      adjacent = offset + length;
    }
    const header = this.#headers + m * abi.mmsghdr.size;
    memory.putPointer(header + abi.mmsghdr.vectors, start);
    memory.putSize(header + abi.mmsghdr.vectorCount, vectors);
    this.#vectorCount += vectors;
  }

  #putName(batch: PacketBatch, m: number): void {
    const { bytes, words, view } = this.#memory;
    const record = batch.addresses;
    const from = batch.address[this.#first[m]!]! * endpointSize;
    const name = this.#names + m * nameStride;
    const is4 = record[from] === 4;
    view.setUint16(name, is4 ? abi.AF_INET : abi.AF_INET6, true);
    bytes[name + 2] = record[from + 2]!;
    bytes[name + 3] = record[from + 3]!;
    if (is4) {
      for (let k = 0; k < 4; k++) bytes[name + abi.sockaddrIn.address + k] = record[from + 4 + k]!;
      words[(name + 8) >>> 2] = 0;
      words[(name + 12) >>> 2] = 0;
    } else {
      words[(name + abi.sockaddrIn6.flow) >>> 2] = 0;
      for (let k = 0; k < 16; k++) bytes[name + abi.sockaddrIn6.address + k] = record[from + 4 + k]!;
      words[(name + abi.sockaddrIn6.scope) >>> 2] = big32(record, from + 20);
    }
    const header = this.#headers + m * abi.mmsghdr.size;
    words[(header + abi.mmsghdr.nameLength) >>> 2] = is4 ? abi.sockaddrIn.size : abi.sockaddrIn6.size;
  }

  #putControls(batch: PacketBatch, m: number, withSource: boolean): void {
    const { view, words } = this.#memory;
    const first = this.#first[m]!;
    const start = this.#controls + m * controlStride;
    const is4 = batch.addresses[batch.address[first]! * endpointSize] === 4;
    let at = start;
    if (withSource && this.#hasSource(batch, m) && !this.#isStale(batch, m)) {
      at = this.#putSource(at, batch.addresses, batch.address[first]! * endpointSize);
    }
    const tos = batch.tos[first]!;
    if (tos !== 0) {
      this.#putControlHeader(
        at,
        4,
        is4 ? abi.IPPROTO_IP : abi.IPPROTO_IPV6,
        is4 ? abi.IP_TOS : abi.IPV6_TCLASS,
      );
      view.setInt32(at + abi.cmsghdr.size, tos, true);
      at += abi.controlSpace(4);
    }
    if (this.#end[m]! - first > 1) {
      this.#putControlHeader(at, 2, abi.IPPROTO_UDP, abi.UDP_SEGMENT);
      view.setUint16(at + abi.cmsghdr.size, batch.length[first]!, true);
      at += abi.controlSpace(2);
    }
    const header = this.#headers + m * abi.mmsghdr.size;
    words[(header + abi.mmsghdr.controlLength) >>> 2] = at - start;
  }

  /**
   * Only the address is pinned: with the interface pinned too, answers would stay on a network that
   * the routes have left. A link-local address means nothing without its interface.
   */
  #putSource(at: number, record: Uint8Array, from: number): number {
    const { bytes, words } = this.#memory;
    const payload = at + abi.cmsghdr.size;
    if (record[from] === 4) {
      this.#putControlHeader(at, abi.inPktinfo.size, abi.IPPROTO_IP, abi.IP_PKTINFO);
      words[payload >>> 2] = 0;
      for (let k = 0; k < 4; k++) bytes[payload + abi.inPktinfo.source + k] = record[from + 24 + k]!;
      words[(payload + abi.inPktinfo.destination) >>> 2] = 0;
      return at + abi.controlSpace(abi.inPktinfo.size);
    }
    this.#putControlHeader(at, abi.in6Pktinfo.size, abi.IPPROTO_IPV6, abi.IPV6_PKTINFO);
    for (let k = 0; k < 16; k++) bytes[payload + k] = record[from + 24 + k]!;
    const linkLocal = record[from + 24] === 0xfe && (record[from + 25]! & 0xc0) === 0x80;
    words[(payload + abi.in6Pktinfo.interface) >>> 2] = linkLocal ? big32(record, from + 40) : 0;
    return at + abi.controlSpace(abi.in6Pktinfo.size);
  }

  #putControlHeader(at: number, payload: number, level: number, type: number): void {
    const memory = this.#memory;
    const { words } = memory;
    memory.putSize(at, abi.cmsghdr.size + payload);
    words[(at + abi.cmsghdr.level) >>> 2] = level;
    words[(at + abi.cmsghdr.type) >>> 2] = type;
  }

  #hasSource(batch: PacketBatch, m: number): boolean {
    const from = batch.address[this.#first[m]!]! * endpointSize + 24;
    for (let k = 0; k < 16; k++) {
      if (batch.addresses[from + k] !== 0) return true;
    }
    return false;
  }

  #isStale(batch: PacketBatch, m: number): boolean {
    if (this.#staleSourceHolds === 0) return false;
    const from = batch.address[this.#first[m]!]! * endpointSize + 24;
    for (let k = 0; k < 16; k++) {
      if (batch.addresses[from + k] !== this.#staleSource[k]) return false;
    }
    return true;
  }

  #learnStaleSource(batch: PacketBatch, m: number): void {
    const from = batch.address[this.#first[m]!]! * endpointSize + 24;
    for (let k = 0; k < 16; k++) this.#staleSource[k] = batch.addresses[from + k]!;
    this.#staleSourceHolds = lessonMessages;
  }

  #forgetLessons(messages: number): void {
    this.#staleSourceHolds = Math.max(0, this.#staleSourceHolds - messages);
    this.#largestSegmentHolds = Math.max(0, this.#largestSegmentHolds - messages);
    if (this.#largestSegmentHolds === 0) this.#largestSegment = maxTrainBytes;
  }
}

/** Refusals that a source address which is gone, or no longer fits the route, can cause. */
function isSourceRefusal(number: number): boolean {
  return (
    number === errno.EINVAL ||
    number === errno.EADDRNOTAVAIL ||
    number === errno.ENETUNREACH ||
    number === errno.EHOSTUNREACH ||
    number === errno.ENODEV
  );
}

function big32(from: Uint8Array, at: number): number {
  return ((from[at]! << 24) | (from[at + 1]! << 16) | (from[at + 2]! << 8) | from[at + 3]!) >>> 0;
}
