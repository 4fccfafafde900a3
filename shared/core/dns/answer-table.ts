/**
 * Answers by key in numbered slots, in the order in which they came: all in typed arrays and a BlockPool, so that a
 * hundred thousand of them are neither objects nor work for the garbage collector. What is kept for how long is the
 * cache's to decide (cache.ts).
 */

import { assert } from '../base/assert.ts';
import { readU16BE, writeU16BE } from '../base/bytes.ts';
import { BlockPool, blockBytes } from './block-pool.ts';
import type { StoredAnswer } from './edns.ts';

export const noSlot = -1;
/** What an answer costs besides its blocks: its numbers and its place among the others. */
const slotBytes = 64;
const firstSlots = 256;
/** Keys that meet in one place; a further one displaces the oldest of them. */
const maxChain = 64;
const noErrors = new Uint8Array(0);

/** Numbers of each slot, by its index. Replaced when the table grows: never keep them. */
class Columns {
  readonly hash: Int32Array;
  /** Next slot in the same place of the index. */
  readonly chained: Int32Array;
  readonly older: Int32Array;
  readonly newer: Int32Array;
  /** Block where key, message, errors and places of TTLs stand one after the other. */
  readonly first: Int32Array;
  readonly keyLength: Uint16Array;
  readonly length: Uint16Array;
  readonly errorsLength: Uint16Array;
  readonly ttls: Uint16Array;
  readonly rcode: Uint16Array;
  /** Changes when the slot is given up. */
  readonly stamp: Uint32Array;
  readonly storedAt: Float64Array;
  readonly freshMs: Uint32Array;
  readonly hits: Uint32Array;
  readonly marks: Uint8Array;

  constructor(slots: number) {
    this.hash = new Int32Array(slots);
    this.chained = new Int32Array(slots);
    this.older = new Int32Array(slots);
    this.newer = new Int32Array(slots);
    this.first = new Int32Array(slots);
    this.keyLength = new Uint16Array(slots);
    this.length = new Uint16Array(slots);
    this.errorsLength = new Uint16Array(slots);
    this.ttls = new Uint16Array(slots);
    this.rcode = new Uint16Array(slots);
    this.stamp = new Uint32Array(slots);
    this.storedAt = new Float64Array(slots);
    this.freshMs = new Uint32Array(slots);
    this.hits = new Uint32Array(slots);
    this.marks = new Uint8Array(slots);
  }

  copyFrom(other: Columns): void {
    this.hash.set(other.hash);
    this.chained.set(other.chained);
    this.older.set(other.older);
    this.newer.set(other.newer);
    this.first.set(other.first);
    this.keyLength.set(other.keyLength);
    this.length.set(other.length);
    this.errorsLength.set(other.errorsLength);
    this.ttls.set(other.ttls);
    this.rcode.set(other.rcode);
    this.stamp.set(other.stamp);
    this.storedAt.set(other.storedAt);
    this.freshMs.set(other.freshMs);
    this.hits.set(other.hits);
    this.marks.set(other.marks);
  }
}

export class AnswerTable {
  readonly #maxSlots: number;
  readonly #seed: number;
  readonly #pool = new BlockPool();
  #columns: Columns = new Columns(0);
  /** First slot of each chain. */
  #index: Int32Array = new Int32Array(0);
  #oldest = noSlot;
  #newest = noSlot;
  #firstFree = noSlot;
  #touched = 0;
  #size = 0;
  /** Key, and behind it the record that is put. */
  #scratch: Uint8Array = new Uint8Array(1024);
  #keyLength = 0;
  #hash = 0;

  /** `seed`: any 32 bits that nobody knows, against chosen collisions. */
  constructor(maxSlots: number, seed: number) {
    this.#maxSlots = maxSlots;
    this.#seed = seed | 0;
  }

  get size(): number {
    return this.#size;
  }

  /** Of all answers, with what they cost besides. */
  get sizeBytes(): number {
    return this.#pool.sizeBytes + this.#size * slotBytes;
  }

  /** Memory that is held for answers of now and of later, without the numbers. */
  get heldBytes(): number {
    return this.#pool.heldBytes;
  }

  /** Numbers by slot, until the next `add` or `clear`. */
  get columns(): Columns {
    return this.#columns;
  }

  /** The one that came first, or was moved back longest ago. */
  get oldest(): number {
    return this.#oldest;
  }

  find(key: string): number {
    if (this.#size === 0) return noSlot;
    this.#readKey(key);
    const { hash, chained, keyLength, first } = this.#columns;
    let slot = this.#index[this.#hash & (this.#index.length - 1)]!;
    while (slot !== noSlot) {
      const isEqual = hash[slot] === this.#hash && keyLength[slot] === this.#keyLength;
      if (isEqual && this.#pool.startsWith(first[slot]!, this.#scratch, this.#keyLength)) return slot;
      slot = chained[slot]!;
    }
    return noSlot;
  }

  /** What `add` would add to `sizeBytes`. */
  costOf(key: string, answer: StoredAnswer): number {
    this.#readKey(key);
    return Math.ceil(this.#recordLength(answer) / blockBytes) * blockBytes + slotBytes;
  }

  /** The key must not be there, and there must be a free slot. The numbers that are the cache's are zero. */
  add(key: string, answer: StoredAnswer): number {
    this.#readKey(key);
    const slot = this.#takeSlot();
    const columns = this.#columns;
    columns.first[slot] = this.#putRecord(answer);
    columns.keyLength[slot] = this.#keyLength;
    columns.length[slot] = answer.bytes.length;
    columns.errorsLength[slot] = answer.errors.length;
    columns.ttls[slot] = answer.ttlOffsets.length;
    columns.rcode[slot] = answer.rcode;
    columns.hash[slot] = this.#hash;
    columns.storedAt[slot] = 0;
    columns.freshMs[slot] = 0;
    columns.hits[slot] = 0;
    columns.marks[slot] = 0;
    this.#link(slot);
    this.#append(slot);
    this.#size++;
    return slot;
  }

  /** A copy. */
  read(slot: number): StoredAnswer {
    const { first, keyLength, length, errorsLength, ttls, rcode } = this.#columns;
    const record = first[slot]!;
    const bytes = new Uint8Array(length[slot]!);
    let at = keyLength[slot]!;
    this.#pool.copy(record, at, bytes);
    at += bytes.length;
    const errors = errorsLength[slot] === 0 ? noErrors : new Uint8Array(errorsLength[slot]!);
    if (errors.length > 0) this.#pool.copy(record, at, errors);
    at += errors.length;
    const places = new Uint8Array(2 * ttls[slot]!);
    this.#pool.copy(record, at, places);
    const ttlOffsets: number[] = [];
    for (let i = 0; i < places.length; i += 2) ttlOffsets.push(readU16BE(places, i));
    return { bytes, ttlOffsets, rcode: rcode[slot]!, errors };
  }

  /** The one that came after, or `noSlot`. */
  newerThan(slot: number): number {
    return this.#columns.newer[slot]!;
  }

  moveToEnd(slot: number): void {
    this.#detach(slot);
    this.#append(slot);
  }

  remove(slot: number): void {
    this.#detach(slot);
    this.#unlink(slot);
    const { first, stamp, chained } = this.#columns;
    this.#pool.remove(first[slot]!);
    stamp[slot] = stamp[slot]! + 1;
    chained[slot] = this.#firstFree;
    this.#firstFree = slot;
    this.#size--;
  }

  /** Gives the memory of answers back; slots keep their stamps. */
  clear(): void {
    while (this.#oldest !== noSlot) this.remove(this.#oldest);
    this.#pool.clear();
  }

  /** Sets the key's bytes, one for each character but for large ones, and its hash. */
  #readKey(key: string): void {
    // Three bytes for a character at most.
    if (this.#scratch.length < 3 * key.length) this.#scratch = new Uint8Array(3 * key.length);
    const bytes = this.#scratch;
    let hash = this.#seed;
    let length = 0;
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i);
      hash = Math.imul(hash ^ code, 0x5bd1_e995);
      hash ^= hash >>> 15;
      if (code < 0xff) {
        bytes[length++] = code;
        continue;
      }
      bytes[length] = 0xff;
      writeU16BE(bytes, length + 1, code);
      length += 3;
    }
    this.#hash = hash;
    this.#keyLength = length;
  }

  #recordLength(answer: StoredAnswer): number {
    return this.#keyLength + answer.bytes.length + answer.errors.length + 2 * answer.ttlOffsets.length;
  }

  #putRecord(answer: StoredAnswer): number {
    const length = this.#recordLength(answer);
    if (this.#scratch.length < length) {
      const larger = new Uint8Array(length);
      larger.set(this.#scratch.subarray(0, this.#keyLength));
      this.#scratch = larger;
    }
    let at = this.#keyLength;
    this.#scratch.set(answer.bytes, at);
    at += answer.bytes.length;
    if (answer.errors.length > 0) this.#scratch.set(answer.errors, at);
    at += answer.errors.length;
    for (const place of answer.ttlOffsets) {
      writeU16BE(this.#scratch, at, place);
      at += 2;
    }
    return this.#pool.put(this.#scratch, length);
  }

  #takeSlot(): number {
    const free = this.#firstFree;
    if (free !== noSlot) {
      this.#firstFree = this.#columns.chained[free]!;
      return free;
    }
    assert(this.#touched < this.#maxSlots, 'there is a free slot');
    if (this.#touched === this.#columns.hash.length) this.#grow();
    return this.#touched++;
  }

  #grow(): void {
    const slots = Math.min(this.#maxSlots, Math.max(firstSlots, 2 * this.#touched));
    const columns = new Columns(slots);
    columns.copyFrom(this.#columns);
    this.#columns = columns;
    this.#index = new Int32Array(2 ** Math.ceil(Math.log2(slots))).fill(noSlot);
    // Every slot is in use when there is no free one. From the oldest on, so that chains begin with the newest.
    for (let slot = this.#oldest; slot !== noSlot; slot = columns.newer[slot]!) this.#chain(slot);
  }

  #chain(slot: number): void {
    const { hash, chained } = this.#columns;
    const place = hash[slot]! & (this.#index.length - 1);
    chained[slot] = this.#index[place]!;
    this.#index[place] = slot;
  }

  #link(slot: number): void {
    this.#chain(slot);
    const { chained } = this.#columns;
    let last = slot;
    let length = 1;
    while (chained[last] !== noSlot) {
      last = chained[last]!;
      length++;
    }
    if (length > maxChain) this.remove(last);
  }

  #unlink(slot: number): void {
    const { hash, chained } = this.#columns;
    const place = hash[slot]! & (this.#index.length - 1);
    if (this.#index[place] === slot) {
      this.#index[place] = chained[slot]!;
      return;
    }
    let before = this.#index[place]!;
    while (chained[before] !== slot) before = chained[before]!;
    chained[before] = chained[slot]!;
  }

  #append(slot: number): void {
    const { older, newer } = this.#columns;
    older[slot] = this.#newest;
    newer[slot] = noSlot;
    if (this.#newest === noSlot) this.#oldest = slot;
    else newer[this.#newest] = slot;
    this.#newest = slot;
  }

  #detach(slot: number): void {
    const { older, newer } = this.#columns;
    const before = older[slot]!;
    const behind = newer[slot]!;
    if (before === noSlot) this.#oldest = behind;
    else newer[before] = behind;
    if (behind === noSlot) this.#newest = before;
    else older[behind] = before;
  }
}
