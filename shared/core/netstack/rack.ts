/**
 * RACK (RFC 8985 §6): a segment is lost when one sent well after it has arrived. "Well" is the
 * reordering window, which adapts to the path by duplicate reports (D-SACK).
 */

import type { MonoMs } from '../base/time.ts';
import { repeatedFlag, type SentLog } from './sent-log.ts';
import { isBefore, later } from './sequence.ts';

/** Recoveries that an enlarged window lasts (§6.2.4). */
const windowPersists = 16;
/** Segments arrived above a hole that make it a loss, as long as no reordering was seen. */
const duplicateThreshold = 3;

export class Rack {
  /** Round trip and sending time of the newest segment that arrived. */
  rttMs = 0;
  #sentAt = -1;
  #end = 0;
  #highest = 0;
  hasHighest = false;
  reorderingSeen = false;
  #factor = 1;
  #persist = windowPersists;
  #roundEnd = 0;
  #isInRound = false;

  /** A record is about to be taken as arrived (§6.2 steps 1 to 3). `minRttMs`: smallest ever. */
  noteArrived(log: SentLog, record: number, now: MonoMs, minRttMs: number): void {
    const sentAt = log.sentAt(record);
    const end = log.end(record);
    const isRepeated = (log.flags(record) & repeatedFlag) !== 0;
    if (this.hasHighest && isBefore(end, this.#highest)) {
      if (!isRepeated) this.reorderingSeen = true;
    } else {
      this.#highest = end;
      this.hasHighest = true;
    }
    // A repeated segment acknowledged sooner than any round trip: the first one had arrived.
    if (isRepeated && now - sentAt < minRttMs) return;
    if (sentAt < this.#sentAt || (sentAt === this.#sentAt && isBefore(end, this.#end))) return;
    this.#sentAt = sentAt;
    this.#end = end;
    this.rttMs = now - sentAt;
  }

  /** A duplicate was reported: the window was too small, once a round (§6.2 step 4). */
  noteDuplicate(una: number, max: number): void {
    if (this.#isInRound && isBefore(una, this.#roundEnd)) return;
    this.#roundEnd = max;
    this.#isInRound = true;
    this.#factor = Math.min(this.#factor + 1, 64);
    this.#persist = windowPersists;
  }

  noteRecovered(): void {
    if (--this.#persist > 0) return;
    this.#persist = windowPersists;
    this.#factor = 1;
  }

  windowMs(sackedCount: number, inRecovery: boolean, minRttMs: number, smoothedMs: number): number {
    if (!this.reorderingSeen && (inRecovery || sackedCount >= duplicateThreshold)) return 0;
    const window = (this.#factor * Math.min(minRttMs, 1e6)) / 4;
    return Math.min(window, smoothedMs);
  }

  /**
   * Marks what is lost by now (§6.2 step 5). Returns when the next segment would be, Infinity where
   * none would. Looks only at segments sent before the newest that arrived.
   */
  detect(log: SentLog, now: MonoMs, windowMs: number): number {
    let record = log.oldest();
    while (record >= 0) {
      const sentAt = log.sentAt(record);
      if (sentAt > this.#sentAt) break;
      const next = log.after(record);
      if (sentAt < this.#sentAt || isBefore(log.end(record), this.#end)) {
        const lostAt = sentAt + this.rttMs + windowMs;
        if (lostAt > now) return lostAt;
        log.markLost(record);
      }
      record = next;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** After a retransmission timeout (§6.3): the first segment, and all sent long enough ago. */
  detectAtTimeout(log: SentLog, now: MonoMs, windowMs: number): void {
    for (let record = log.first; record < log.last; record++) {
      if (record === log.first || log.sentAt(record) + this.rttMs + windowMs <= now) log.markLost(record);
    }
  }

  /** What was sent is forgotten and sent anew. */
  restart(una: number): void {
    this.#highest = later(this.#highest, una);
  }
}
