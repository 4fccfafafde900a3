/**
 * Batched receiving: recvmmsg(2) into the arena of a PacketBatch, trains (UDP_GRO) split where they
 * lie. A message gets a small slot and, behind it in the vector, a large overflow area, so that
 * lone packets lie close together and a train costs one copy of its first 2 KiB.
 */

import { endpointSize } from '../../core/base/endpoint.ts';
import { headroom, type PacketBatch, tailroom } from '../../core/packet/batch.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import * as abi from '../ffi/structs.ts';
import type { LinuxSocket } from './udp-linux-socket.ts';

/** Most messages of one call. */
const maxMessages = 32;
/** Most datagrams that the kernel puts into one train. */
const maxSegments = 64;
const slotBytes = 2048;
const largestDatagram = 65_535;
const slotStride = headroom + slotBytes + tailroom;
const overflowStride = (headroom + largestDatagram + tailroom + 7) & ~7;
/** Arena that one message may need at most. */
const messageStride = slotStride + overflowStride;
const nameStride = 32;
const controlStride = 128;

/** What a batch for `readBatch` should have: a good balance of few calls and a warm cache. */
export const recommendedUdpRead: {
  readonly arenaBytes: number;
  readonly capacity: number;
  readonly addressCapacity: number;
} = {
  arenaBytes: 16 * messageStride,
  capacity: 16 * maxSegments,
  addressCapacity: 256,
};

export class LinuxReceiver {
  readonly #libc: Libc;
  readonly #memory: WorkerMemory;
  readonly #headers: number;
  readonly #vectors: number;
  readonly #names: number;
  readonly #controls: number;
  readonly #record = new Uint8Array(endpointSize);
  /** Where the vectors point now: arena offset and number of messages. */
  #preparedAt = -1;
  #prepared = 0;
  #segmentSize = 0;
  #tos = 0;
  /** Datagrams lost because a batch had no room for all of a train, or because they came truncated. */
  dropped = 0;

  constructor(libc: Libc, memory: WorkerMemory) {
    this.#libc = libc;
    this.#memory = memory;
    this.#headers = memory.alloc(maxMessages * abi.mmsghdr.size);
    this.#vectors = memory.alloc(maxMessages * 2 * abi.iovec.size);
    this.#names = memory.alloc(maxMessages * nameStride);
    this.#controls = memory.alloc(maxMessages * controlStride);
    for (let i = 0; i < maxMessages; i++) {
      const header = this.#headers + i * abi.mmsghdr.size;
      memory.putPointer(header + abi.mmsghdr.name, this.#names + i * nameStride);
      memory.putPointer(header + abi.mmsghdr.vectors, this.#vectors + i * 2 * abi.iovec.size);
      memory.putSize(header + abi.mmsghdr.vectorCount, 2);
      memory.putPointer(header + abi.mmsghdr.control, this.#controls + i * controlStride);
      this.#rearm(i);
    }
  }

  /** Appends what waits at the socket until the batch is full or nothing is left. */
  read(socket: LinuxSocket, batch: PacketBatch): number {
    const before = batch.count;
    // Each turn fills all its messages or is the last; each message takes an address or arena.
    for (;;) {
      const start = batch.cursor;
      const wanted = this.#room(socket, batch);
      if (wanted === 0) break;
      this.#prepare(start, wanted);
      const { base } = this.#memory;
      const received = this.#libc.recvmmsg(socket.fd, base + this.#headers, wanted, 0, 0);
      // EAGAIN is the normal end. Anything else is an event of the network, over with this call.
      if (received <= 0) break;
      batch.cursor = this.#take(batch, start, received);
      if (received < wanted) break;
    }
    return batch.count - before;
  }

  /** How many messages the batch surely has room for. */
  #room(socket: LinuxSocket, batch: PacketBatch): number {
    const slots = batch.capacity - batch.count;
    const addresses = batch.addresses.length / endpointSize - batch.addressCount;
    const arena = Math.floor((batch.arenaEnd - batch.cursor) / messageStride);
    let messages = slots;
    if (socket.gro) {
      messages = Math.floor(slots / maxSegments);
      // A batch that is too small for a whole train still gets something.
      if (messages === 0 && batch.count === 0) messages = slots > 0 ? 1 : 0;
    }
    return Math.min(maxMessages, messages, addresses, arena);
  }

  /** Points `count` messages at the arena from `start` on. Slots first, overflow areas behind all slots. */
  #prepare(start: number, count: number): void {
    if (this.#preparedAt === start && this.#prepared === count) return;
    const memory = this.#memory;
    const overflow = start + count * slotStride;
    for (let i = 0; i < count; i++) {
      const vector = this.#vectors + i * 2 * abi.iovec.size;
      memory.putPointer(vector, start + i * slotStride + headroom);
      memory.putSize(vector + abi.iovec.length, slotBytes);
      const second = vector + abi.iovec.size;
      memory.putPointer(second, overflow + i * overflowStride + headroom + slotBytes);
      memory.putSize(second + abi.iovec.length, largestDatagram - slotBytes);
    }
    this.#preparedAt = start;
    this.#prepared = count;
  }

  /** Puts the received messages into the batch and returns the first arena byte that stays free. */
  #take(batch: PacketBatch, start: number, received: number): number {
    const { words } = this.#memory;
    const overflow = start + this.#prepared * slotStride;
    let end = start + received * slotStride;
    for (let i = 0; i < received; i++) {
      const header = this.#headers + i * abi.mmsghdr.size;
      const length = words[(header + abi.mmsghdr.moved) >>> 2]!;
      const truncated = (words[(header + abi.mmsghdr.flags) >>> 2]! & abi.MSG_TRUNC) !== 0;
      const known = !truncated && this.#readName(i);
      if (known) this.#readControls(i, words[(header + abi.mmsghdr.controlLength) >>> 2]!);
      this.#rearm(i);
      if (!known) {
        this.dropped++;
        continue;
      }
      let at = start + i * slotStride + headroom;
      if (length > slotBytes) {
        const large = overflow + i * overflowStride + headroom;
        batch.bytes.copyWithin(large, at, at + slotBytes);
        at = large;
        end = (large + length + tailroom + 7) & ~7;
      }
      this.#pushTrain(batch, at, length);
    }
    return end;
  }

  #pushTrain(batch: PacketBatch, at: number, length: number): void {
    const address = batch.addAddress(this.#record, 0);
    if (address < 0) {
      this.dropped++;
      return;
    }
    const segment = this.#segmentSize > 0 ? this.#segmentSize : length;
    if (segment >= length) {
      if (!batch.push(at, length, address, this.#tos)) this.dropped++;
      return;
    }
    const end = at + length;
    for (let from = at; from < end; from += segment) {
      const size = from + segment > end ? end - from : segment;
      if (!batch.push(from, size, address, this.#tos)) this.dropped++;
    }
  }

  /** The sender's address into the record; false where it is of no family we know. */
  #readName(i: number): boolean {
    const { bytes, view } = this.#memory;
    const record = this.#record;
    const name = this.#names + i * nameStride;
    record.fill(0);
    record[2] = bytes[name + 2]!;
    record[3] = bytes[name + 3]!;
    const family = bytes[name]!;
    if (family === abi.AF_INET) {
      record[0] = 4;
      for (let k = 0; k < 4; k++) record[4 + k] = bytes[name + abi.sockaddrIn.address + k]!;
      return true;
    }
    if (family !== abi.AF_INET6) return false;
    record[0] = 6;
    for (let k = 0; k < 16; k++) record[4 + k] = bytes[name + abi.sockaddrIn6.address + k]!;
    putBig32(record, 20, view.getUint32(name + abi.sockaddrIn6.scope, true));
    return true;
  }

  /** Our own address into the record; type of service and segment size into fields. */
  #readControls(i: number, length: number): void {
    const { bytes, words } = this.#memory;
    const start = this.#controls + i * controlStride;
    const end = start + Math.min(length, controlStride);
    this.#segmentSize = 0;
    this.#tos = 0;
    let at = start;
    while (at + abi.cmsghdr.size <= end) {
      const size = words[at >>> 2]!;
      if (size < abi.cmsghdr.size || at + size > end) break;
      const level = words[(at + abi.cmsghdr.level) >>> 2]!;
      const type = words[(at + abi.cmsghdr.type) >>> 2]!;
      const payload = at + abi.cmsghdr.size;
      if (level === abi.IPPROTO_UDP && type === abi.UDP_GRO) {
        this.#segmentSize = words[payload >>> 2]! & 0xffff;
      } else if (level === abi.IPPROTO_IP && type === abi.IP_PKTINFO) {
        const source = payload + abi.inPktinfo.source;
        for (let k = 0; k < 4; k++) this.#record[24 + k] = bytes[source + k]!;
        putBig32(this.#record, 40, words[payload >>> 2]!);
      } else if (level === abi.IPPROTO_IPV6 && type === abi.IPV6_PKTINFO) {
        for (let k = 0; k < 16; k++) this.#record[24 + k] = bytes[payload + k]!;
        putBig32(this.#record, 40, words[(payload + abi.in6Pktinfo.interface) >>> 2]!);
      } else if (
        (level === abi.IPPROTO_IP && type === abi.IP_TOS) ||
        (level === abi.IPPROTO_IPV6 && type === abi.IPV6_TCLASS)
      ) {
        this.#tos = bytes[payload]!;
      }
      at += (size + 7) & ~7;
    }
  }

  /** The kernel overwrites these on receipt. */
  #rearm(i: number): void {
    const header = this.#headers + i * abi.mmsghdr.size;
    const { words } = this.#memory;
    words[(header + abi.mmsghdr.nameLength) >>> 2] = abi.sockaddrIn6.size;
    words[(header + abi.mmsghdr.controlLength) >>> 2] = controlStride;
    words[(header + abi.mmsghdr.controlLength + 4) >>> 2] = 0;
    words[(header + abi.mmsghdr.flags) >>> 2] = 0;
  }
}

function putBig32(to: Uint8Array, at: number, value: number): void {
  to[at] = value >>> 24;
  to[at + 1] = value >>> 16;
  to[at + 2] = value >>> 8;
  to[at + 3] = value;
}
