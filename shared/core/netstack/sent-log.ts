/**
 * What is in flight: one record per segment, in the order of sequence numbers, and a list of those not
 * known to have arrived or been lost in the order of sending (RFC 8985 §6.1). Parallel arrays, no objects.
 *
 * A record is named by its number, which only grows; `first` … `last` exclusive are there.
 */

import { assert } from '../base/assert.ts';
import type { MonoMs } from '../base/time.ts';
import { maxSegmentsInFlight } from './limits.ts';
import { isBefore } from './sequence.ts';

/** Reported by SACK. */
export const sackedFlag = 1;
/** Thought lost and not sent again yet. */
export const lostFlag = 2;
/** Sent more than once. */
export const repeatedFlag = 4;
/** Sent while there was nothing more to send. */
export const appLimitedFlag = 8;

const none = -1;
/** The engine keeps arrays of so many numbers in its own heap; larger ones cost many times as much to make. */
const smallest = 8;
const noIntegers = new Int32Array(0);
const noNumbers = new Float64Array(0);
const noFlags = new Uint8Array(0);

export class SentLog {
  first = 0;
  last = 0;
  /** Bytes on their way: neither arrived nor lost. */
  inFlight = 0;
  /** Records with lostFlag, and a number below which there is none. */
  lostCount = 0;
  lostFrom = 0;
  sackedCount = 0;
  /** Slot of the record sent longest ago of those in flight; `none` where there is none. */
  #oldest = none;
  #newest = none;
  #mask = -1;
  #start: Int32Array = noIntegers;
  #end: Int32Array = noIntegers;
  #flags: Uint8Array = noFlags;
  #sentAt: Float64Array = noNumbers;
  #delivered: Float64Array = noNumbers;
  #deliveredAt: Float64Array = noNumbers;
  #firstSentAt: Float64Array = noNumbers;
  #previous: Int32Array = noIntegers;
  #next: Int32Array = noIntegers;

  get count(): number {
    return this.last - this.first;
  }

  start(record: number): number {
    return this.#start[record & this.#mask]!;
  }

  end(record: number): number {
    return this.#end[record & this.#mask]!;
  }

  flags(record: number): number {
    return this.#flags[record & this.#mask]!;
  }

  sentAt(record: number): number {
    return this.#sentAt[record & this.#mask]!;
  }

  /** The sampler's view at the time of sending. */
  delivered(record: number): number {
    return this.#delivered[record & this.#mask]!;
  }

  deliveredAt(record: number): number {
    return this.#deliveredAt[record & this.#mask]!;
  }

  firstSentAt(record: number): number {
    return this.#firstSentAt[record & this.#mask]!;
  }

  /** Whether one more record fits. */
  hasRoom(): boolean {
    return this.count < maxSegmentsInFlight;
  }

  /** A new segment, following the last one. */
  push(start: number, end: number, now: MonoMs): number {
    if (this.count > this.#mask) this.#grow();
    const record = this.last++;
    const slot = record & this.#mask;
    this.#start[slot] = start;
    this.#end[slot] = end;
    this.#flags[slot] = 0;
    this.#sentAt[slot] = now;
    this.#append(slot);
    this.inFlight += (end - start) | 0;
    return record;
  }

  stampRate(record: number, delivered: number, deliveredAt: number, firstSentAt: number): void {
    const slot = record & this.#mask;
    this.#delivered[slot] = delivered;
    this.#deliveredAt[slot] = deliveredAt;
    this.#firstSentAt[slot] = firstSentAt;
  }

  markAppLimited(record: number): void {
    this.#flags[record & this.#mask]! |= appLimitedFlag;
  }

  /** The record's content had been sent before, by a record that was forgotten. */
  markRepeated(record: number): void {
    this.#flags[record & this.#mask]! |= repeatedFlag;
  }

  /** The record was sent again. */
  repeat(record: number, now: MonoMs): void {
    const slot = record & this.#mask;
    if ((this.#flags[slot]! & lostFlag) !== 0) {
      this.lostCount--;
      this.inFlight += this.#size(slot);
    } else {
      this.#unlink(slot);
    }
    this.#flags[slot] = (this.#flags[slot]! & ~(lostFlag | appLimitedFlag)) | repeatedFlag;
    this.#sentAt[slot] = now;
    this.#append(slot);
  }

  markLost(record: number): void {
    const slot = record & this.#mask;
    if ((this.#flags[slot]! & (lostFlag | sackedFlag)) !== 0) return;
    this.#flags[slot]! |= lostFlag;
    this.inFlight -= this.#size(slot);
    this.#unlink(slot);
    this.lostFrom = this.lostCount === 0 ? record : Math.min(this.lostFrom, record);
    this.lostCount++;
  }

  /** Reported by SACK. False where that was known. */
  markSacked(record: number): boolean {
    const slot = record & this.#mask;
    const flags = this.#flags[slot]!;
    if ((flags & sackedFlag) !== 0) return false;
    this.#forget(slot);
    this.#flags[slot] = (flags & ~lostFlag) | sackedFlag;
    this.sackedCount++;
    return true;
  }

  /** The other side has thrown away what it had reported (RFC 2018 §8): all of it is lost. */
  renege(): void {
    for (let record = this.first; record < this.last; record++) {
      const slot = record & this.#mask;
      if ((this.#flags[slot]! & sackedFlag) === 0) continue;
      this.#flags[slot] = (this.#flags[slot]! & ~sackedFlag) | lostFlag;
      this.lostFrom = this.lostCount === 0 ? record : Math.min(this.lostFrom, record);
      this.lostCount++;
    }
    this.sackedCount = 0;
  }

  /** Takes the first record away: it was acknowledged. */
  shift(): void {
    assert(this.count > 0, 'there is a first record');
    const slot = this.first & this.#mask;
    if ((this.#flags[slot]! & sackedFlag) !== 0) this.sackedCount--;
    else this.#forget(slot);
    this.first++;
  }

  /** The first record was acknowledged in part. */
  trimFirst(start: number): void {
    const slot = this.first & this.#mask;
    if ((this.#flags[slot]! & (sackedFlag | lostFlag)) === 0)
      this.inFlight -= (start - this.#start[slot]!) | 0;
    this.#start[slot] = start;
  }

  /** The lowest lost record, -1 where there is none. */
  nextLost(): number {
    if (this.lostCount === 0) return none;
    let record = Math.max(this.lostFrom, this.first);
    while (record < this.last && (this.#flags[record & this.#mask]! & lostFlag) === 0) record++;
    this.lostFrom = record;
    return record < this.last ? record : none;
  }

  /** The record whose range ends after `sequence`, the first such; `last` where there is none. */
  find(sequence: number): number {
    let low = this.first;
    let high = this.last;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      if (isBefore(sequence, this.#end[middle & this.#mask]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Of the records in flight the one sent longest ago, -1 where there is none. */
  oldest(): number {
    return this.#oldest === none ? none : this.#numberOf(this.#oldest);
  }

  /** The one sent next after `record`, -1 where there is none. */
  after(record: number): number {
    const slot = this.#next[record & this.#mask]!;
    return slot === none ? none : this.#numberOf(slot);
  }

  /** Forgets everything: what was in flight will be sent anew. */
  clear(): void {
    this.first = this.last;
    this.inFlight = 0;
    this.lostCount = 0;
    this.sackedCount = 0;
    this.#oldest = none;
    this.#newest = none;
  }

  /** Forgets everything and gives the memory back. */
  release(): void {
    this.clear();
    this.#mask = -1;
    this.#start = noIntegers;
    this.#end = noIntegers;
    this.#flags = noFlags;
    this.#sentAt = noNumbers;
    this.#delivered = noNumbers;
    this.#deliveredAt = noNumbers;
    this.#firstSentAt = noNumbers;
    this.#previous = noIntegers;
    this.#next = noIntegers;
  }

  #forget(slot: number): void {
    if ((this.#flags[slot]! & lostFlag) !== 0) {
      this.lostCount--;
    } else {
      this.inFlight -= this.#size(slot);
      this.#unlink(slot);
    }
  }

  #size(slot: number): number {
    return (this.#end[slot]! - this.#start[slot]!) | 0;
  }

  #numberOf(slot: number): number {
    return this.first + ((slot - this.first) & this.#mask);
  }

  #append(slot: number): void {
    this.#previous[slot] = this.#newest;
    this.#next[slot] = none;
    if (this.#newest === none) this.#oldest = slot;
    else this.#next[this.#newest] = slot;
    this.#newest = slot;
  }

  #unlink(slot: number): void {
    const previous = this.#previous[slot]!;
    const next = this.#next[slot]!;
    if (previous === none) this.#oldest = next;
    else this.#next[previous] = next;
    if (next === none) this.#newest = previous;
    else this.#previous[next] = previous;
  }

  #grow(): void {
    const old = { ...this.#arrays(), mask: this.#mask };
    const size = this.#mask < 0 ? smallest : 2 * (this.#mask + 1);
    this.#resize(size);
    this.#mask = size - 1;
    const moved = (slot: number): number =>
      slot === none ? none : (this.first + ((slot - this.first) & old.mask)) & this.#mask;
    for (let record = this.first; record < this.last; record++) {
      const from = record & old.mask;
      const to = record & this.#mask;
      this.#start[to] = old.start[from]!;
      this.#end[to] = old.end[from]!;
      this.#flags[to] = old.flags[from]!;
      this.#sentAt[to] = old.sentAt[from]!;
      this.#delivered[to] = old.delivered[from]!;
      this.#deliveredAt[to] = old.deliveredAt[from]!;
      this.#firstSentAt[to] = old.firstSentAt[from]!;
      this.#previous[to] = moved(old.previous[from]!);
      this.#next[to] = moved(old.next[from]!);
    }
    this.#oldest = moved(this.#oldest);
    this.#newest = moved(this.#newest);
  }

  #arrays() {
    return {
      start: this.#start,
      end: this.#end,
      flags: this.#flags,
      sentAt: this.#sentAt,
      delivered: this.#delivered,
      deliveredAt: this.#deliveredAt,
      firstSentAt: this.#firstSentAt,
      previous: this.#previous,
      next: this.#next,
    };
  }

  #resize(size: number): void {
    this.#start = new Int32Array(size);
    this.#end = new Int32Array(size);
    this.#flags = new Uint8Array(size);
    this.#sentAt = new Float64Array(size);
    this.#delivered = new Float64Array(size);
    this.#deliveredAt = new Float64Array(size);
    this.#firstSentAt = new Float64Array(size);
    this.#previous = new Int32Array(size);
    this.#next = new Int32Array(size);
  }
}
