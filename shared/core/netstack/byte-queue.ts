/**
 * A bounded queue of bytes in chunks of a shared pool: it holds no memory while it is empty. Bytes can
 * be copied from any place without being taken (retransmission) and written ahead of the end (segments
 * out of order); what is between is not looked at until `extend` says that it is there.
 *
 * Bulk copies go through `set(subarray)`: the view it makes is the one small object per packet, and it
 * is seven times faster than any loop over the bytes.
 */

import { assert } from '../base/assert.ts';

const chunkShift = 14;
/** Bytes of a chunk. */
export const chunkSize: number = 1 << chunkShift;
const chunkMask = chunkSize - 1;
/** Chunks kept for later instead of left to the collector. */
const maxKeptChunks = 1024;

/** The memory of all queues of a stack. */
export class ChunkPool {
  readonly #limit: number;
  #used = 0;
  readonly #kept: Uint8Array[] = [];

  constructor(limitBytes: number) {
    this.#limit = Math.max(1, Math.floor(limitBytes / chunkSize));
  }

  /** Undefined where the limit is reached. */
  take(): Uint8Array | undefined {
    if (this.#used >= this.#limit) return undefined;
    this.#used++;
    return this.#kept.pop() ?? new Uint8Array(chunkSize);
  }

  give(chunk: Uint8Array): void {
    assert(this.#used > 0, 'a chunk comes back once');
    this.#used--;
    if (this.#kept.length < maxKeptChunks) this.#kept.push(chunk);
  }

  get usedBytes(): number {
    return this.#used * chunkSize;
  }

  /** 0 empty … 1 full. */
  get pressure(): number {
    return this.#used / this.#limit;
  }
}

export class ByteQueue {
  /** Bytes that can be read. */
  length = 0;
  readonly #pool: ChunkPool;
  /** A ring of chunks; a hole where nothing was written. */
  #chunks: (Uint8Array | undefined)[] = [];
  #mask = -1;
  /** Ring place of the chunk with the first byte, and where in it that byte is. */
  #first = 0;
  #head = 0;
  /** Distance from the first byte to the end of what was ever written. */
  #reach = 0;

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /** Appends what the pool has memory for and returns how many bytes that was. */
  append(from: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const room = this.#roomAt(this.length);
      if (room === 0) break;
      const size = Math.min(room, end - at);
      this.#chunkAt(this.length)!.set(from.subarray(at, at + size), this.#placeIn(this.length));
      this.length += size;
      at += size;
    }
    if (this.length > this.#reach) this.#reach = this.length;
    return at - start;
  }

  /** Writes ahead: `position` counts from the first byte. False where memory is short; some may be written. */
  writeAt(position: number, from: Uint8Array, start: number, end: number): boolean {
    let to = position;
    for (let at = start; at < end; ) {
      const room = this.#roomAt(to);
      if (room === 0) return false;
      const size = Math.min(room, end - at);
      this.#chunkAt(to)!.set(from.subarray(at, at + size), this.#placeIn(to));
      at += size;
      to += size;
    }
    if (to > this.#reach) this.#reach = to;
    return true;
  }

  /** Makes `count` bytes behind the end readable: the caller has written all of them. */
  extend(count: number): void {
    this.length += count;
    assert(this.length <= this.#reach, 'only written bytes become readable');
  }

  /** Copies `count` bytes from `position` on. They must be there. */
  copyTo(position: number, count: number, to: Uint8Array, toOffset: number): void {
    assert(position >= 0 && position + count <= this.#reach, 'the bytes are there');
    let at = position;
    let target = toOffset;
    const end = position + count;
    while (at < end) {
      const place = this.#placeIn(at);
      const size = Math.min(chunkSize - place, end - at);
      to.set(this.#chunkAt(at)!.subarray(place, place + size), target);
      at += size;
      target += size;
    }
  }

  /** Takes up to `to.length` bytes. */
  read(to: Uint8Array): number {
    const count = Math.min(to.length, this.length);
    this.copyTo(0, count, to, 0);
    this.consume(count);
    return count;
  }

  /** Forgets the first `count` bytes and gives back the chunks that held only them. */
  consume(count: number): void {
    assert(count <= this.length, 'only what is there is consumed');
    this.length -= count;
    this.#reach -= count;
    this.#head += count;
    while (this.#head >= chunkSize) {
      this.#release(this.#first);
      this.#first = (this.#first + 1) & this.#mask;
      this.#head -= chunkSize;
    }
    if (this.#reach === 0) this.clear();
  }

  /** Forgets what was written ahead of the end. */
  dropAhead(): void {
    if (this.length === 0) {
      this.clear();
      return;
    }
    const kept = ((this.#head + this.length - 1) >>> chunkShift) + 1;
    for (let i = kept; i <= this.#mask; i++) this.#release((this.#first + i) & this.#mask);
    this.#reach = this.length;
  }

  /** Forgets everything. */
  clear(): void {
    for (let i = 0; i <= this.#mask; i++) this.#release(i);
    this.#first = 0;
    this.#head = 0;
    this.#reach = 0;
    this.length = 0;
  }

  #release(slot: number): void {
    const chunk = this.#chunks[slot];
    if (chunk === undefined) return;
    this.#chunks[slot] = undefined;
    this.#pool.give(chunk);
  }

  /** Bytes that can be written at `position` in one piece, after getting a chunk where there is none. */
  #roomAt(position: number): number {
    const index = (this.#head + position) >>> chunkShift;
    if (index > this.#mask) this.#grow(index);
    const slot = (this.#first + index) & this.#mask;
    if (this.#chunks[slot] === undefined) {
      const chunk = this.#pool.take();
      if (chunk === undefined) return 0;
      this.#chunks[slot] = chunk;
    }
    return chunkSize - this.#placeIn(position);
  }

  #chunkAt(position: number): Uint8Array | undefined {
    return this.#chunks[(this.#first + ((this.#head + position) >>> chunkShift)) & this.#mask];
  }

  #placeIn(position: number): number {
    return (this.#head + position) & chunkMask;
  }

  /** Callers bound their positions by windows; so the ring stays small. */
  #grow(index: number): void {
    let size = Math.max(2, this.#chunks.length);
    while (size <= index) size *= 2;
    const chunks: (Uint8Array | undefined)[] = [];
    for (let i = 0; i < size; i++) {
      chunks.push(i <= this.#mask ? this.#chunks[(this.#first + i) & this.#mask] : undefined);
    }
    this.#chunks = chunks;
    this.#mask = size - 1;
    this.#first = 0;
  }
}
