/**
 * Deadlines that all lie the same time ahead, as those of connections do: a queue with one timer, where a timer for each
 * would cost more than what most of them watch. Keeps no program alive.
 */

import { assert } from '../../core/base/assert.ts';

/** A deadline that has not passed yet. */
export interface Wait {
  /** Idempotent; does nothing once it has passed. */
  cancel(): void;
}

/** An entry, or the queue's own anchor. */
interface Link {
  before: Link;
  behind: Link;
}

export class WaitQueue {
  readonly #waitMs: number;
  /** A ring: the oldest is behind it, the newest before it. Whoever adds bounds it, an entry for each connection. */
  readonly #anchor: Link;
  #timer: NodeJS.Timeout | undefined;

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
    const anchor = {} as Link;
    anchor.before = anchor;
    anchor.behind = anchor;
    this.#anchor = anchor;
  }

  /** Calls `act` after the queue's time, or a little later. */
  add(act: () => void): Wait {
    const entry = new Entry(this.#anchor, performance.now() + this.#waitMs, act);
    if (this.#timer === undefined) this.#arm(this.#waitMs);
    return entry;
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(this.#ring, Math.ceil(ms)).unref();
  }

  readonly #ring = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (;;) {
      const first = this.#anchor.behind;
      if (!(first instanceof Entry)) return;
      // Timers of the system count in whole milliseconds.
      if (first.at > now + 1) {
        if (this.#timer === undefined) this.#arm(first.at - now);
        return;
      }
      first.cancel();
      first.act();
    }
  };
}

/** Most different times that are queued. */
const maxQueues = 16;

/** Deadlines of a few different times. */
export class Waits {
  readonly #queues = new Map<number, WaitQueue>();

  after(waitMs: number, act: () => void): Wait {
    let queue = this.#queues.get(waitMs);
    if (queue === undefined) {
      assert(this.#queues.size < maxQueues, 'few different times are waited for');
      queue = new WaitQueue(waitMs);
      this.#queues.set(waitMs, queue);
    }
    return queue.add(act);
  }
}

class Entry implements Wait, Link {
  before: Link;
  behind: Link;
  readonly at: number;
  readonly act: () => void;

  constructor(anchor: Link, at: number, act: () => void) {
    this.before = anchor.before;
    this.behind = anchor;
    this.before.behind = this;
    anchor.before = this;
    this.at = at;
    this.act = act;
  }

  cancel(): void {
    this.before.behind = this.behind;
    this.behind.before = this.before;
    this.before = this;
    this.behind = this;
  }
}
