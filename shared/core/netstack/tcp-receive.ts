/**
 * The receiving half of a connection: what has arrived in order, what is ahead of a gap, what to report
 * (SACK, RFC 2018; duplicates, RFC 2883) and how much more may come. The window opens only when the
 * consumer reads, and its limit grows only when the consumer keeps up.
 */

import type { MonoMs } from '../base/time.ts';
import { ByteQueue, type ChunkPool } from './byte-queue.ts';
import { initialReceiveBytes, maxGaps } from './limits.ts';
import { distance, earlier, isAtOrBefore, isBefore, later } from './sequence.ts';

/** Above this share of the memory no window grows... */
const growthPressure = 0.5;
/** ... and above this one all are small, so that those who hold much do not starve the others. */
const highPressure = 0.75;
const smallLimit = 16_384;
/** Until a round trip is known. */
const assumedRttMs = 100;

/** Of a connection that has had no gap: most never have one. */
const noRanges = new Int32Array(0);

export type InsertVerdict = 'in-order' | 'ahead' | 'duplicate' | 'no-room';

export class TcpReceive {
  readonly queue: ByteQueue;
  /** RCV.NXT. */
  next = 0;
  /** The end of the window as the other side knows it; never moves back. */
  edge = 0;
  /** Most unread bytes. */
  limit: number;
  readonly #pool: ChunkPool;
  readonly #largest: number;
  /** Ranges ahead of a gap, the one that changed last first. */
  #start: Int32Array = noRanges;
  #end: Int32Array = noRanges;
  rangeCount = 0;
  /** A duplicate to report in the next acknowledgement. */
  hasDuplicate = false;
  duplicateStart = 0;
  duplicateEnd = 0;
  /** Bytes that the consumer took since `#tunedAt`. */
  #taken = 0;
  #tunedAt = 0;
  /** Length of this interval: a round trip as the receiver sees it. */
  #intervalMs = 0;
  #smallestRttMs = Number.POSITIVE_INFINITY;

  constructor(pool: ChunkPool, largest: number) {
    this.#pool = pool;
    this.queue = new ByteQueue(pool);
    this.#largest = largest;
    this.limit = Math.min(initialReceiveBytes, largest);
  }

  /** Their first sequence number is known; a window that our SYN announced moves along. */
  start(next: number): void {
    this.edge = (next + distance(this.next, this.edge)) | 0;
    this.next = next;
  }

  /** Where the window would end if it were announced now. */
  get openEdge(): number {
    const limit = this.#pool.pressure > highPressure ? Math.min(this.limit, smallLimit) : this.limit;
    const edge = (this.next + Math.max(0, limit - this.queue.length)) | 0;
    return later(edge, this.edge);
  }

  rangeStart(index: number): number {
    return this.#start[index]!;
  }

  rangeEnd(index: number): number {
    return this.#end[index]!;
  }

  /** Takes content at `sequence`; what lies outside of the window is cut off. */
  insert(sequence: number, bytes: Uint8Array, at: number, length: number): InsertVerdict {
    const start = later(sequence, this.next);
    const end = earlier((sequence + length) | 0, this.edge);
    if (isBefore(sequence, this.next))
      this.noteDuplicate(sequence, earlier((sequence + length) | 0, this.next));
    if (!isBefore(start, end)) return 'duplicate';
    const position = this.queue.length + distance(this.next, start);
    const from = at + distance(sequence, start);
    const isAhead = start !== this.next;
    if (isAhead && this.rangeCount === maxGaps && !this.#touches(start, end)) return 'no-room';
    if (isAhead && this.#covers(start, end)) {
      this.noteDuplicate(start, end);
      return 'duplicate';
    }
    if (!this.queue.writeAt(position, bytes, from, from + distance(start, end))) return 'no-room';
    if (isAhead) {
      this.#merge(start, end);
      return 'ahead';
    }
    const reached = this.rangeCount === 0 ? end : this.#absorb(end);
    this.queue.extend(distance(this.next, reached));
    this.next = reached;
    return 'in-order';
  }

  /** The consumer takes bytes. */
  read(into: Uint8Array): number {
    const count = this.queue.read(into);
    this.#taken += count;
    return count;
  }

  /** A round trip by a time stamp that came back with content; too long where the sender paused. */
  noteRtt(rttMs: number): void {
    if (rttMs < this.#smallestRttMs) this.#smallestRttMs = rttMs;
  }

  /** Once a round trip: grows the limit to twice of what the consumer took. `rttMs`: where no time stamps tell. */
  tune(now: MonoMs, rttMs: number): void {
    const known = this.#intervalMs > 0 ? this.#intervalMs : rttMs;
    if (now - this.#tunedAt < (known > 0 ? known : assumedRttMs)) return;
    const wanted = 2 * this.#taken;
    if (wanted > this.limit && this.#pool.pressure < growthPressure)
      this.limit = Math.min(wanted, this.#largest);
    this.#taken = 0;
    this.#tunedAt = now;
    // A resolution of milliseconds says little about less.
    this.#intervalMs =
      this.#smallestRttMs === Number.POSITIVE_INFINITY ? 0 : Math.max(this.#smallestRttMs, rttMs, 1);
    this.#smallestRttMs = Number.POSITIVE_INFINITY;
  }

  /** Nothing more will come: forgets what is ahead of gaps. */
  stop(): void {
    this.queue.dropAhead();
    this.rangeCount = 0;
    this.hasDuplicate = false;
  }

  /** Forgets what is unread, too. */
  clear(): void {
    this.stop();
    this.queue.clear();
  }

  /** To be reported in the next acknowledgement. */
  noteDuplicate(start: number, end: number): void {
    this.hasDuplicate = true;
    this.duplicateStart = start;
    this.duplicateEnd = end;
  }

  #touches(start: number, end: number): boolean {
    for (let i = 0; i < this.rangeCount; i++) {
      if (isAtOrBefore(this.#start[i]!, end) && isAtOrBefore(start, this.#end[i]!)) return true;
    }
    return false;
  }

  #covers(start: number, end: number): boolean {
    for (let i = 0; i < this.rangeCount; i++) {
      if (isAtOrBefore(this.#start[i]!, start) && isAtOrBefore(end, this.#end[i]!)) return true;
    }
    return false;
  }

  /** Adds a range, joined with those it touches, as the first. */
  #merge(start: number, end: number): void {
    if (this.#start === noRanges) {
      this.#start = new Int32Array(maxGaps);
      this.#end = new Int32Array(maxGaps);
    }
    let from = start;
    let to = end;
    let kept = 0;
    for (let i = 0; i < this.rangeCount; i++) {
      const s = this.#start[i]!;
      const e = this.#end[i]!;
      if (isAtOrBefore(s, to) && isAtOrBefore(from, e)) {
        from = earlier(from, s);
        to = later(to, e);
      } else {
        this.#start[kept] = s;
        this.#end[kept] = e;
        kept++;
      }
    }
    for (let i = kept; i > 0; i--) {
      this.#start[i] = this.#start[i - 1]!;
      this.#end[i] = this.#end[i - 1]!;
    }
    this.#start[0] = from;
    this.#end[0] = to;
    this.rangeCount = kept + 1;
  }

  /** Takes away the ranges that continue `end` and returns where content then ends. */
  #absorb(end: number): number {
    let reached = end;
    let kept = 0;
    // Ranges do not touch each other, so one that continues another cannot be missed.
    for (let i = 0; i < this.rangeCount; i++) {
      const s = this.#start[i]!;
      const e = this.#end[i]!;
      if (isAtOrBefore(s, end)) {
        reached = later(reached, e);
      } else {
        this.#start[kept] = s;
        this.#end[kept] = e;
        kept++;
      }
    }
    this.rangeCount = kept;
    return reached;
  }
}
