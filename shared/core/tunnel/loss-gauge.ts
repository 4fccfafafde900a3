/**
 * How many datagrams of a peer the network lost on their way to us, told by the gaps in their counters (§5.4.6). Exact
 * but for what is still under way: a straggler is taken off again. Told once per run of packets.
 */

import type { MonoMs } from '../base/time.ts';

/** Losses that are further apart are not one trouble. */
const togetherMs = 3000;
/** From one announcement to the next. */
const quietMs = 1000;

export class LossGauge {
  /** Datagrams that came. */
  received = 0;
  /** Datagrams that were sent between those that came, and did not come. */
  lost = 0;
  readonly #announceFrom: number;
  #begunAt = Number.NEGATIVE_INFINITY;
  #sinceThen = 0;
  #announcedAt = Number.NEGATIVE_INFINITY;

  /** `announceFrom`: lost datagrams that are worth a word. */
  constructor(announceFrom: number) {
    this.#announceFrom = announceFrom;
  }

  /**
   * A run of `received` datagrams by which the session's greatest counter grew by `grown`. True where the loss is to be
   * announced now.
   */
  handleRun(received: number, grown: number, now: MonoMs): boolean {
    const lost = grown - received;
    this.received += received;
    this.lost = Math.max(0, this.lost + lost);
    if (lost === 0) return false;
    if (now - this.#begunAt > togetherMs) {
      this.#begunAt = now;
      this.#sinceThen = 0;
    }
    this.#sinceThen += lost;
    if (this.#sinceThen < this.#announceFrom || now - this.#announcedAt < quietMs) return false;
    this.#announcedAt = now;
    return true;
  }
}
