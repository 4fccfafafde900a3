/**
 * Which flow wants to be woken next: a binary heap in which every flow has one place, so that a flow
 * that is woken thousands of times a second (pacing) leaves nothing behind. Costs nothing per packet:
 * an entry is moved only to an earlier time; who is woken too early is asked again.
 */

/** What the heap needs of a thing that sleeps. Only the heap writes both. */
export interface Sleeper {
  /** When the heap will return it; Infinity = not in the heap. */
  wakeAt: number;
  /** Place in the heap; -1 = none. */
  heapIndex: number;
}

export class WakeHeap<T extends Sleeper> {
  readonly #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** Makes sure that `sleeper` is returned at `at` or before. */
  wake(sleeper: T, at: number): void {
    if (at >= sleeper.wakeAt) return;
    sleeper.wakeAt = at;
    if (sleeper.heapIndex < 0) {
      sleeper.heapIndex = this.#heap.length;
      this.#heap.push(sleeper);
    }
    this.#rise(sleeper.heapIndex);
  }

  forget(sleeper: T): void {
    const index = sleeper.heapIndex;
    if (index < 0) return;
    const last = this.#heap.pop()!;
    if (last !== sleeper) {
      this.#put(last, index);
      this.#rise(index);
      this.#sink(last.heapIndex);
    }
    sleeper.heapIndex = -1;
    sleeper.wakeAt = Number.POSITIVE_INFINITY;
  }

  /** Time of the earliest entry, Infinity where there is none. */
  nextAt(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#heap[0]!.wakeAt;
  }

  /** The sleeper that is earliest due by `now`, taken out, or undefined. */
  take(now: number): T | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.wakeAt > now) return undefined;
    this.forget(first);
    return first;
  }

  #put(sleeper: T, index: number): void {
    this.#heap[index] = sleeper;
    sleeper.heapIndex = index;
  }

  #rise(from: number): void {
    const sleeper = this.#heap[from]!;
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = this.#heap[parent]!;
      if (above.wakeAt <= sleeper.wakeAt) break;
      this.#put(above, index);
      index = parent;
    }
    this.#put(sleeper, index);
  }

  #sink(from: number): void {
    const sleeper = this.#heap[from]!;
    const count = this.#heap.length;
    let index = from;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= count) break;
      const right = left + 1;
      const child = right < count && this.#heap[right]!.wakeAt < this.#heap[left]!.wakeAt ? right : left;
      const below = this.#heap[child]!;
      if (below.wakeAt >= sleeper.wakeAt) break;
      this.#put(below, index);
      index = child;
    }
    this.#put(sleeper, index);
  }
}
