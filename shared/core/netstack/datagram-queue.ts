/** A bounded queue of datagrams: their bytes in a byte queue, their lengths in a ring. */

import { ByteQueue, type ChunkPool } from './byte-queue.ts';

/** Most datagrams at a time. */
const capacity = 256;

export class DatagramQueue {
  readonly #bytes: ByteQueue;
  readonly #limit: number;
  #lengths: Uint16Array | undefined;
  #first = 0;
  count = 0;

  constructor(pool: ChunkPool, limitBytes: number) {
    this.#bytes = new ByteQueue(pool);
    this.#limit = limitBytes;
  }

  /** Length of the next datagram, -1 where there is none. */
  get nextLength(): number {
    return this.count === 0 ? -1 : this.#lengths![this.#first]!;
  }

  /** Copies a datagram in. False where there is no room. */
  push(from: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.count === capacity || this.#bytes.length + length > this.#limit) return false;
    // Ahead first: a datagram that memory is too short for must not stay in part.
    if (!this.#bytes.writeAt(this.#bytes.length, from, start, end)) {
      this.#bytes.dropAhead();
      return false;
    }
    this.#bytes.extend(length);
    this.#lengths ??= new Uint16Array(capacity);
    this.#lengths[(this.#first + this.count) % capacity] = length;
    this.count++;
    return true;
  }

  /** Copies a part of the next datagram without taking it. */
  copyPart(position: number, count: number, to: Uint8Array, toOffset: number): void {
    this.#bytes.copyTo(position, count, to, toOffset);
  }

  /** Takes the next datagram away. */
  shift(): void {
    const length = this.nextLength;
    if (length < 0) return;
    this.#bytes.consume(length);
    this.#first = (this.#first + 1) % capacity;
    this.count--;
  }

  clear(): void {
    this.#bytes.clear();
    this.#first = 0;
    this.count = 0;
  }
}
