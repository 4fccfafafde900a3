/**
 * Named deadlines: a small fixed table from reason to time. A deadline comes with its reason, so
 * that logs and tests can say why something woke up. Setting, clearing and asking for the next
 * time allocate nothing.
 */

import { assert } from './assert.ts';
import type { MonoMs } from './time.ts';

/** Most reasons of one table: every query looks at all of them. */
const maxReasons = 32;

/** Empty tables, by their lists of reasons, which are known to be right: thousands of tables share one list. */
const empty = new WeakMap<readonly string[], readonly number[]>();

export interface Deadline<R extends string> {
  readonly at: MonoMs;
  readonly reason: R;
}

function emptyTable(reasons: readonly string[]): readonly number[] {
  assert(reasons.length <= maxReasons, 'few enough reasons for one table');
  assert(new Set(reasons).size === reasons.length, 'every reason is named once');
  const table = reasons.map(() => Infinity);
  empty.set(reasons, table);
  return table;
}

export class Deadlines<R extends string> {
  /** The reasons in their order; of equal times the earlier one comes first. */
  readonly reasons: readonly R[];
  readonly #at: number[];

  constructor(reasons: readonly R[]) {
    this.reasons = reasons;
    // Not a typed array: with more than eight reasons it would be memory outside of the heap, for each connection.
    this.#at = (empty.get(reasons) ?? emptyTable(reasons)).slice();
  }

  /** Sets or moves the deadline of `reason`. */
  set(reason: R, at: MonoMs): void {
    this.#at[this.#indexOf(reason)] = at;
  }

  /** The same for `now + delayMs`. The sum never leaves: passed on it would be an object on the heap. */
  setAfter(reason: R, now: MonoMs, delayMs: number): void {
    this.#at[this.#indexOf(reason)] = now + delayMs;
  }

  clear(reason: R): void {
    this.#at[this.#indexOf(reason)] = Infinity;
  }

  clearAll(): void {
    this.#at.fill(Infinity);
  }

  /** The time set for `reason`, undefined where there is none. */
  get(reason: R): MonoMs | undefined {
    const at = this.#at[this.#indexOf(reason)] ?? Infinity;
    return at === Infinity ? undefined : (at as MonoMs);
  }

  isSet(reason: R): boolean {
    return this.#at[this.#indexOf(reason)] !== Infinity;
  }

  /** The earliest time, Infinity where nothing is set. */
  nextAt(): number {
    let next = Infinity;
    for (let i = 0; i < this.#at.length; i++) {
      const at = this.#at[i] ?? Infinity;
      if (at < next) next = at;
    }
    return next;
  }

  /** The reason of the earliest time. */
  nextReason(): R | undefined {
    return this.#earliest(Infinity, false);
  }

  /** The earliest time and its reason. Allocates; for loops there is nextAt. */
  next(): Deadline<R> | undefined {
    const reason = this.nextReason();
    return reason === undefined ? undefined : { at: this.nextAt() as MonoMs, reason };
  }

  /**
   * Clears the earliest deadline that is not after `now` and returns its reason; undefined where
   * none is due. Call until undefined. A reason set again at or before `now` while the caller
   * works is due again at once: the caller bounds its loop.
   */
  takeDue(now: MonoMs): R | undefined {
    const reason = this.#earliest(now, true);
    if (reason !== undefined) this.clear(reason);
    return reason;
  }

  /** The reason of the earliest time before `limit`, or at it where `inclusive`. */
  #earliest(limit: number, inclusive: boolean): R | undefined {
    let found = -1;
    let next = Infinity;
    for (let i = 0; i < this.#at.length; i++) {
      const at = this.#at[i] ?? Infinity;
      if (at < next && (at < limit || (inclusive && at === limit))) {
        next = at;
        found = i;
      }
    }
    return found < 0 ? undefined : this.reasons[found];
  }

  #indexOf(reason: R): number {
    const index = this.reasons.indexOf(reason);
    assert(index >= 0, 'the reason is in the table');
    return index;
  }
}
