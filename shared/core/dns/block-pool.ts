/**
 * Records of bytes in few large pieces of memory. A record is a chain of equal blocks: what one gives up any other may
 * take, nothing is ever moved, and the garbage collector sees a handful of objects however many records there are.
 * Knows no limit: whoever puts counts `sizeBytes`.
 */

import { assert } from '../base/assert.ts';

/** What a record takes is a multiple of this. */
export const blockBytes = 64;
/** Memory is taken in pieces of 256 KiB. */
const segmentBlocks = 4096;
const segmentBits = 12;
const none = -1;

export class BlockPool {
  readonly #segments: Uint8Array[] = [];
  /** Behind each block: the next of its record, or of the free ones. */
  #links: Int32Array = new Int32Array(0);
  #firstFree = none;
  /** Blocks that were in use at some time; those above have no link yet. */
  #touched = 0;
  #used = 0;

  /** Of all records, whole blocks. */
  get sizeBytes(): number {
    return this.#used * blockBytes;
  }

  /** Memory that is held, for records of now and of later. */
  get heldBytes(): number {
    return this.#segments.length * segmentBlocks * blockBytes;
  }

  /** Copies the first `length` bytes, at least one. Returns the record's first block. */
  put(bytes: Uint8Array, length: number): number {
    assert(length > 0 && length <= bytes.length, 'a record has bytes');
    const first = this.#take();
    let block = first;
    for (let at = 0; ; ) {
      const end = Math.min(length, at + blockBytes);
      const segment = this.#segments[block >>> segmentBits]!;
      let to = offsetOf(block);
      while (at < end) segment[to++] = bytes[at++]!;
      if (at === length) break;
      const next = this.#take();
      this.#links[block] = next;
      block = next;
    }
    this.#links[block] = none;
    return first;
  }

  /** Copies bytes of the record, from its byte `from` on, until `to` is full. */
  copy(first: number, from: number, to: Uint8Array): void {
    let block = first;
    for (let skipped = blockBytes; skipped <= from; skipped += blockBytes) block = this.#links[block]!;
    let inside = from % blockBytes;
    for (let at = 0; at < to.length; ) {
      const segment = this.#segments[block >>> segmentBits]!;
      const end = Math.min(to.length, at + blockBytes - inside);
      let source = offsetOf(block) + inside;
      while (at < end) to[at++] = segment[source++]!;
      inside = 0;
      block = this.#links[block]!;
    }
  }

  /** Whether the record begins with the first `length` bytes. */
  startsWith(first: number, bytes: Uint8Array, length: number): boolean {
    let block = first;
    for (let at = 0; at < length; ) {
      const segment = this.#segments[block >>> segmentBits]!;
      const end = Math.min(length, at + blockBytes);
      let source = offsetOf(block);
      while (at < end) if (segment[source++] !== bytes[at++]) return false;
      block = this.#links[block]!;
    }
    return true;
  }

  /** Its blocks are free from here on. */
  remove(first: number): void {
    let last = first;
    this.#used--;
    for (let next = this.#links[last]!; next !== none; next = this.#links[last]!) {
      last = next;
      this.#used--;
    }
    this.#links[last] = this.#firstFree;
    this.#firstFree = first;
  }

  /** Gives all memory back. */
  clear(): void {
    this.#segments.length = 0;
    this.#links = new Int32Array(0);
    this.#firstFree = none;
    this.#touched = 0;
    this.#used = 0;
  }

  #take(): number {
    this.#used++;
    const free = this.#firstFree;
    if (free !== none) {
      this.#firstFree = this.#links[free]!;
      return free;
    }
    if (this.#touched === this.#segments.length * segmentBlocks) {
      this.#segments.push(new Uint8Array(segmentBlocks * blockBytes));
    }
    if (this.#touched === this.#links.length) {
      const more = new Int32Array(Math.max(segmentBlocks, 2 * this.#touched));
      more.set(this.#links);
      this.#links = more;
    }
    return this.#touched++;
  }
}

function offsetOf(block: number): number {
  return (block & (segmentBlocks - 1)) * blockBytes;
}
