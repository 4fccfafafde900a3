/**
 * Coalescing: single packets → super-packets for a TUN device with offloads, as lists of slices for
 * writev. Nothing is copied: a super-packet is its first packet, with a changed header, followed by
 * the payloads of the others where they lie. Order within a flow is kept; flows may overtake.
 */

import { assert } from '../base/assert.ts';
import type { PacketBatch } from './batch.ts';
import { type RangeSum, sumRange } from './checksum.ts';
import { flowHash, sameFlow } from './flow.ts';
import {
  checksumsOk,
  continues,
  endsGroup,
  finishSuper,
  flowClass,
  flowNone,
  flowTcp4,
  flowTcp6,
  flowUdp4,
  flowUdp6,
  headersLength,
  isPlain,
  maxSuperLength,
  transportStart,
} from './merge-rules.ts';
import { clearVirtioHeader, virtioHeaderSize } from './virtio-header.ts';

/** Flows that may be growing at a time; the search is linear. */
export const maxOpenFlows = 32;

/** Most packets in one super-packet. */
export const maxSegments = 64;

/** Classes of packets that the kernel takes as super-packets. */
export interface CoalescerOptions {
  /** Most packets of a batch. */
  readonly capacity: number;
  readonly tcp4: boolean;
  readonly tcp6: boolean;
  readonly udp4: boolean;
  readonly udp6: boolean;
  /** Default: the one in plain TypeScript. */
  readonly rangeSum?: RangeSum;
}

const none = -1;

export class Coalescer {
  /** Groups of the last plan: what one write each takes. */
  groupCount = 0;
  /** Slices of group `g`: from groupStart[g] to groupStart[g + 1]. */
  readonly groupStart: Uint32Array;
  /** Packets in group `g`, for counting what a failed write lost. */
  readonly groupPackets: Uint32Array;
  /** Where slice `s` begins in the batch's bytes. The first of a group begins at its virtio header. */
  readonly sliceOffset: Uint32Array;
  readonly sliceLength: Uint32Array;

  readonly #capacity: number;
  readonly #enabled: readonly boolean[];
  readonly #rangeSum: RangeSum;
  // By packet: the next one of its group.
  readonly #next: Int32Array;
  // By group, while planning.
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  /** Bytes of the super-packet so far. */
  readonly #total: Int32Array;
  readonly #headers: Int32Array;
  readonly #gsoSize: Int32Array;
  readonly #flow: Uint8Array;
  /** 1 where the checksums of the first packet are known to be right. */
  readonly #verified: Uint8Array;
  // Open flows: the group that grows, and the hash to find it by.
  #openCount = 0;
  readonly #openGroup: Int32Array = new Int32Array(maxOpenFlows);
  readonly #openHash: Int32Array = new Int32Array(maxOpenFlows);
  /** The open flow that makes room for the next one when all are taken. */
  #victim = 0;

  constructor(options: CoalescerOptions) {
    const { capacity } = options;
    this.#capacity = capacity;
    this.groupStart = new Uint32Array(capacity + 1);
    this.groupPackets = new Uint32Array(capacity);
    this.sliceOffset = new Uint32Array(capacity);
    this.sliceLength = new Uint32Array(capacity);
    this.#enabled = enabledByClass(options);
    this.#rangeSum = options.rangeSum ?? sumRange;
    this.#next = new Int32Array(capacity);
    this.#first = new Int32Array(capacity);
    this.#last = new Int32Array(capacity);
    this.#total = new Int32Array(capacity);
    this.#headers = new Int32Array(capacity);
    this.#gsoSize = new Int32Array(capacity);
    this.#flow = new Uint8Array(capacity);
    this.#verified = new Uint8Array(capacity);
  }

  /**
   * Plans the writes for all packets of `batch` and writes virtio headers (ten bytes before the
   * first packet of each group) and super-packet headers into its bytes. The plan holds until the
   * next call or until the bytes change.
   */
  plan(batch: PacketBatch): void {
    assert(batch.count <= this.#capacity, 'the batch fits the coalescer');
    this.groupCount = 0;
    this.#openCount = 0;
    const { bytes, count } = batch;
    for (let i = 0; i < count; i++) this.#place(batch, i);
    let slices = 0;
    for (let group = 0; group < this.groupCount; group++) {
      this.groupStart[group] = slices;
      slices = this.#emit(batch, group, slices);
      const packet = batch.offset[this.#first[group]!]!;
      assert(packet >= virtioHeaderSize, 'a packet has headroom');
      if (this.groupPackets[group] === 1) clearVirtioHeader(bytes, packet - virtioHeaderSize);
      else this.#finish(bytes, group, packet, batch.offset[this.#last[group]!]!);
    }
    this.groupStart[this.groupCount] = slices;
  }

  /** Puts packet `i` into the group that its flow grows, or into one of its own. */
  #place(batch: PacketBatch, i: number): void {
    const { bytes } = batch;
    const offset = batch.offset[i]!;
    const length = batch.length[i]!;
    const flow = flowClass(bytes, offset, length);
    if (flow === flowNone || !this.#enabled[flow]!) {
      this.#begin(i, length, flow);
      return;
    }
    const hash = flowHash(bytes, offset, transportStart(flow)) ^ flow;
    const slot = this.#findOpen(batch, offset, flow, hash);
    const plain = isPlain(bytes, offset, length, flow);
    if (slot !== none && plain && this.#append(batch, i, this.#openGroup[slot]!)) {
      const group = this.#openGroup[slot]!;
      const short = length - this.#headers[group]! < this.#gsoSize[group]!;
      if (short || endsGroup(bytes, offset, flow)) this.#closeFlow(slot);
      return;
    }
    // Whatever comes later must not join what came before this packet.
    if (slot !== none) this.#closeFlow(slot);
    const group = this.#begin(i, length, flow);
    if (!plain || endsGroup(bytes, offset, flow)) return;
    const headers = headersLength(bytes, offset, flow);
    this.#headers[group] = headers;
    this.#gsoSize[group] = length - headers;
    this.#openFlow(group, hash);
  }

  /** Adds packet `i` to `group` where every rule allows it. */
  #append(batch: PacketBatch, i: number, group: number): boolean {
    const { bytes } = batch;
    const offset = batch.offset[i]!;
    const length = batch.length[i]!;
    const flow = this.#flow[group]!;
    const headers = this.#headers[group]!;
    const total = this.#total[group]!;
    const packets = this.groupPackets[group]!;
    const first = this.#first[group]!;
    const firstOffset = batch.offset[first]!;
    if (packets >= maxSegments || headersLength(bytes, offset, flow) !== headers) return false;
    const payload = length - headers;
    if (payload > this.#gsoSize[group]! || total + payload > maxSuperLength(flow)) return false;
    if (!continues(bytes, firstOffset, offset, flow, packets, total - headers)) return false;
    if (!checksumsOk(bytes, offset, length, flow, this.#rangeSum)) return false;
    if (this.#verified[group] === 0) {
      const firstLength = batch.length[first]!;
      if (!checksumsOk(bytes, firstOffset, firstLength, flow, this.#rangeSum)) return false;
      this.#verified[group] = 1;
    }
    this.#next[this.#last[group]!] = i;
    this.#next[i] = none;
    this.#last[group] = i;
    this.#total[group] = total + payload;
    this.groupPackets[group] = packets + 1;
    return true;
  }

  /** A new group of packet `i` alone. */
  #begin(i: number, length: number, flow: number): number {
    const group = this.groupCount++;
    this.#first[group] = i;
    this.#last[group] = i;
    this.#next[i] = none;
    this.#total[group] = length;
    this.#flow[group] = flow;
    this.#verified[group] = 0;
    this.groupPackets[group] = 1;
    return group;
  }

  #findOpen(batch: PacketBatch, offset: number, flow: number, hash: number): number {
    for (let slot = 0; slot < this.#openCount; slot++) {
      if (this.#openHash[slot] !== hash) continue;
      const group = this.#openGroup[slot]!;
      const first = batch.offset[this.#first[group]!]!;
      if (this.#flow[group] === flow && sameFlow(batch.bytes, first, offset, transportStart(flow)))
        return slot;
    }
    return none;
  }

  #openFlow(group: number, hash: number): void {
    let slot = this.#openCount;
    if (slot < maxOpenFlows) {
      this.#openCount = slot + 1;
    } else {
      slot = this.#victim;
      this.#victim = (slot + 1) % maxOpenFlows;
    }
    this.#openGroup[slot] = group;
    this.#openHash[slot] = hash;
  }

  #closeFlow(slot: number): void {
    const last = --this.#openCount;
    this.#openGroup[slot] = this.#openGroup[last]!;
    this.#openHash[slot] = this.#openHash[last]!;
  }

  /** Writes the slices of `group` from `slice` on and returns where the next group's begin. */
  #emit(batch: PacketBatch, group: number, slice: number): number {
    let packet = this.#first[group]!;
    this.sliceOffset[slice] = batch.offset[packet]! - virtioHeaderSize;
    this.sliceLength[slice] = batch.length[packet]! + virtioHeaderSize;
    const headers = this.#headers[group]!;
    let at = slice + 1;
    for (packet = this.#next[packet]!; packet !== none; packet = this.#next[packet]!) {
      this.sliceOffset[at] = batch.offset[packet]! + headers;
      this.sliceLength[at] = batch.length[packet]! - headers;
      at++;
    }
    return at;
  }

  #finish(bytes: Uint8Array, group: number, first: number, last: number): void {
    const flow = this.#flow[group]!;
    finishSuper(bytes, first, flow, this.#total[group]!, this.#gsoSize[group]!, endsGroup(bytes, last, flow));
  }
}

function enabledByClass(options: CoalescerOptions): boolean[] {
  const enabled = Array.from({ length: flowUdp6 + 1 }, () => false);
  enabled[flowTcp4] = options.tcp4;
  enabled[flowTcp6] = options.tcp6;
  enabled[flowUdp4] = options.udp4;
  enabled[flowUdp6] = options.udp6;
  return enabled;
}
