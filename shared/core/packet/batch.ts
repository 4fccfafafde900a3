/**
 * PacketBatch: many packets, one memory. Packets are slices of one shared buffer, named by offset
 * and length; room before and after each lets it be sealed or opened in place. Batches of the same
 * worker share `bytes`: a packet moves from one batch to another by its numbers alone.
 */

import { assert } from '../base/assert.ts';
import { endpointSize, sameEndpoint } from '../base/endpoint.ts';

/** Room before a packet: the transport header (16 bytes) and a disguise's noise (32), or 12 bytes of virtio header. */
export const headroom = 48;
/** Room after a packet: padding to 16 bytes and the 16-byte tag. */
export const tailroom = 32;

export interface PacketBatchOptions {
  /** The shared memory. Every batch of one worker gets the same. */
  readonly bytes: Uint8Array;
  /** This batch's own part of the memory, for packets that are born in it. */
  readonly arenaStart: number;
  readonly arenaEnd: number;
  /** Most packets at a time. */
  readonly capacity: number;
  /** Most different addresses at a time. */
  readonly addressCapacity: number;
}

export class PacketBatch {
  readonly bytes: Uint8Array;
  readonly capacity: number;
  /** Packets in the batch. */
  count = 0;
  /** Where packet `i` begins in `bytes`. */
  readonly offset: Uint32Array;
  /** How long packet `i` is. */
  readonly length: Uint32Array;
  /** Datagrams: index of the packet's record in `addresses`. Plain packets: 0. */
  readonly address: Uint32Array;
  /** Datagrams: type-of-service byte of the outer IP header. Plain packets: 0. */
  readonly tos: Uint8Array;
  /** Endpoint records (base/endpoint.ts), `addressCount` of them. */
  readonly addresses: Uint8Array;
  addressCount = 0;
  readonly arenaStart: number;
  readonly arenaEnd: number;
  /** First unused byte of the arena. */
  cursor: number;

  constructor(options: PacketBatchOptions) {
    assert(options.arenaEnd <= options.bytes.length, 'the arena lies inside the memory');
    this.bytes = options.bytes;
    this.capacity = options.capacity;
    this.offset = new Uint32Array(options.capacity);
    this.length = new Uint32Array(options.capacity);
    this.address = new Uint32Array(options.capacity);
    this.tos = new Uint8Array(options.capacity);
    this.addresses = new Uint8Array(options.addressCapacity * endpointSize);
    this.arenaStart = options.arenaStart;
    this.arenaEnd = options.arenaEnd;
    this.cursor = options.arenaStart;
  }

  /** Forgets all packets and addresses. Bytes stay as they are. */
  clear(): void {
    this.count = 0;
    this.addressCount = 0;
    this.cursor = this.arenaStart;
  }

  /**
   * Takes `length` bytes of the arena with headroom before and tailroom after, and returns the
   * offset of the first byte of the packet, or -1 where nothing is left.
   */
  reserve(length: number): number {
    const offset = this.cursor + headroom;
    const end = offset + length + tailroom;
    if (end > this.arenaEnd) return -1;
    this.cursor = (end + 7) & ~7;
    return offset;
  }

  /** Appends a packet. Returns false where the batch is full. */
  push(offset: number, length: number, address = 0, tos = 0): boolean {
    const i = this.count;
    if (i === this.capacity) return false;
    this.offset[i] = offset;
    this.length[i] = length;
    this.address[i] = address;
    this.tos[i] = tos;
    this.count = i + 1;
    return true;
  }

  /**
   * Adds the endpoint record at `source[at]` and returns its index, or -1 where the table is full.
   * The same record twice in a row is stored once.
   */
  addAddress(source: Uint8Array, at: number): number {
    const n = this.addressCount;
    const to = n * endpointSize;
    if (n > 0 && sameEndpoint(source, at, this.addresses, to - endpointSize)) return n - 1;
    if (to + endpointSize > this.addresses.length) return -1;
    for (let i = 0; i < endpointSize; i++) this.addresses[to + i] = source[at + i]!;
    this.addressCount = n + 1;
    return n;
  }
}
