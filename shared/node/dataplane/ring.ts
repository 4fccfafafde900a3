/**
 * Datagrams between two workers: a ring of bytes in shared memory, one writer, one reader. Full =
 * dropped and counted. The reader sleeps on the word `tail` (Atomics.waitAsync) or on an eventfd
 * that the writer's owner rings.
 *
 * Layout: 16 bytes of control (head, tail, dropped, unused; all 32-bit), then the ring. A record is
 * its size (u32), tos (u8) and three zero bytes, the endpoint record (48), the datagram, padding to
 * 8. A size of 0 means: go on at the start.
 */

import { assert } from '../../core/base/assert.ts';
import { endpointSize } from '../../core/base/endpoint.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';

const headWord = 0;
const tailWord = 1;
const droppedWord = 2;
const controlBytes = 16;
const recordHeader = 8 + endpointSize;

/** The bytes of a ring, to give to another worker. */
export interface RingMemory {
  readonly shared: SharedArrayBuffer;
}

/** Makes the memory of a ring of at least `capacityBytes`. */
export function ringMemory(capacityBytes: number): RingMemory {
  return { shared: new SharedArrayBuffer(controlBytes + ((capacityBytes + 7) & ~7)) };
}

export class Ring {
  /** [head, tail, dropped]: the reader may sleep on element `tailIndex`. */
  readonly control: Int32Array;
  static readonly tailIndex: number = tailWord;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #size: number;

  constructor(memory: RingMemory) {
    const { shared } = memory;
    this.control = new Int32Array(shared, 0, controlBytes / 4);
    this.#bytes = new Uint8Array(shared, controlBytes);
    this.#view = new DataView(shared, controlBytes);
    this.#size = this.#bytes.length;
    assert(this.#size > recordHeader, 'a ring has room for a record');
  }

  /** Datagrams that did not fit, ever (modulo 2^32). */
  get dropped(): number {
    return Atomics.load(this.control, droppedWord) >>> 0;
  }

  get isEmpty(): boolean {
    return Atomics.load(this.control, headWord) === Atomics.load(this.control, tailWord);
  }

  /** Writer: copies every datagram of the batch in. Returns how many did not fit. */
  push(batch: PacketBatch): number {
    let dropped = 0;
    for (let i = 0; i < batch.count; i++) {
      if (!this.#pushOne(batch, i)) dropped++;
    }
    if (dropped > 0) Atomics.add(this.control, droppedWord, dropped);
    Atomics.notify(this.control, tailWord);
    return dropped;
  }

  /** Reader: copies datagrams into the batch's arena until either is exhausted. Returns how many. */
  take(batch: PacketBatch): number {
    let head = Atomics.load(this.control, headWord);
    const tail = Atomics.load(this.control, tailWord);
    let taken = 0;
    while (head !== tail) {
      const size = this.#view.getUint32(head, true);
      if (size === 0) {
        head = 0;
        continue;
      }
      if (!this.#takeOne(batch, head, size)) break;
      taken++;
      head = this.#next(head, size);
    }
    Atomics.store(this.control, headWord, head);
    return taken;
  }

  #pushOne(batch: PacketBatch, i: number): boolean {
    const length = batch.length[i]!;
    const need = recordBytes(length);
    const head = Atomics.load(this.control, headWord);
    let tail = Atomics.load(this.control, tailWord);
    // One unit stays free, so that full and empty look different.
    if (tail >= head) {
      if (tail + need > this.#size) {
        if (need >= head) return false;
        if (tail < this.#size) this.#view.setUint32(tail, 0, true);
        tail = 0;
      } else if (tail + need === this.#size && head === 0) {
        return false;
      }
    } else if (tail + need >= head) {
      return false;
    }
    const address = batch.address[i]! * endpointSize;
    const offset = batch.offset[i]!;
    this.#view.setUint32(tail, length + 1, true);
    this.#bytes[tail + 4] = batch.tos[i]!;
    this.#bytes.set(batch.addresses.subarray(address, address + endpointSize), tail + 8);
    this.#bytes.set(batch.bytes.subarray(offset, offset + length), tail + recordHeader);
    Atomics.store(this.control, tailWord, this.#next(tail, length + 1));
    return true;
  }

  #takeOne(batch: PacketBatch, at: number, size: number): boolean {
    if (batch.count === batch.capacity) return false;
    const start = batch.cursor;
    const length = size - 1;
    const offset = batch.reserve(length);
    const address = offset < 0 ? -1 : batch.addAddress(this.#bytes, at + 8);
    if (address < 0) {
      batch.cursor = start;
      return false;
    }
    batch.bytes.set(this.#bytes.subarray(at + recordHeader, at + recordHeader + length), offset);
    return batch.push(offset, length, address, this.#bytes[at + 4]);
  }

  /** Where the record after the one at `at` begins; `size` is its size field (length + 1). */
  #next(at: number, size: number): number {
    const next = at + recordBytes(size - 1);
    return next + 8 > this.#size ? 0 : next;
  }
}

function recordBytes(length: number): number {
  return (recordHeader + length + 7) & ~7;
}
