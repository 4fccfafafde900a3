/**
 * Which peer wants to be woken next: a binary heap that costs nothing per packet. A peer's entry
 * is moved only when it wants to be woken earlier; where it wants to be later, it is woken too
 * early once and asked again.
 */

import type { MonoMs } from '../base/time.ts';

/** What the queue needs of a thing that sleeps. Only the queue writes `wakeAt`. */
export interface Sleeper {
  /** When the queue will next return it; Infinity = not queued. */
  wakeAt: number;
}

export class WakeQueue<T extends Sleeper> {
  readonly #at: number[] = [];
  readonly #who: T[] = [];

  /** Makes sure that `sleeper` is returned by `take` at `at` or before. */
  wake(sleeper: T, at: number): void {
    if (at >= sleeper.wakeAt) return;
    sleeper.wakeAt = at;
    let i = this.#at.length;
    this.#at.push(at);
    this.#who.push(sleeper);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.#at[parent]! <= at) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** Forgets a sleeper. Its entry dies when its time comes. */
  forget(sleeper: T): void {
    sleeper.wakeAt = Number.POSITIVE_INFINITY;
  }

  /** Time of the earliest entry, Infinity where there is none. */
  nextAt(): number {
    this.#dropStale();
    return this.#at.length === 0 ? Number.POSITIVE_INFINITY : this.#at[0]!;
  }

  /** The sleeper that is earliest due by `now`, taken out of the queue, or undefined. */
  take(now: MonoMs): T | undefined {
    if (this.nextAt() > now) return undefined;
    const sleeper = this.#who[0]!;
    this.#removeFirst();
    sleeper.wakeAt = Number.POSITIVE_INFINITY;
    return sleeper;
  }

  /** An entry is stale where its sleeper has an earlier one, or none. */
  #dropStale(): void {
    while (this.#at.length > 0 && this.#who[0]!.wakeAt !== this.#at[0]) this.#removeFirst();
  }

  #removeFirst(): void {
    const last = this.#at.length - 1;
    this.#swap(0, last);
    this.#at.pop();
    this.#who.pop();
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      if (left >= last) return;
      const right = left + 1;
      const child = right < last && this.#at[right]! < this.#at[left]! ? right : left;
      if (this.#at[i]! <= this.#at[child]!) return;
      this.#swap(i, child);
      i = child;
    }
  }

  #swap(a: number, b: number): void {
    const at = this.#at[a]!;
    const who = this.#who[a]!;
    this.#at[a] = this.#at[b]!;
    this.#who[a] = this.#who[b]!;
    this.#at[b] = at;
    this.#who[b] = who;
  }
}
