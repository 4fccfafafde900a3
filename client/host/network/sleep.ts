/**
 * Notices that the machine slept. The clock that counts sleep moves away from the clock that does not, by exactly as
 * much; nothing else does that, neither a busy machine nor a wall clock that was set. The kernel says when to compare;
 * without its help a slow timer does.
 */

import { type ClockCalls, clockCalls, type WallClockWatch } from '../../../shared/node/ffi/clock-calls.ts';

export interface SleepFact {
  readonly kind: 'woke';
  /** How long it slept, at least. */
  readonly sleptMs: number;
}

/** Shorter sleeps change nothing for a tunnel. */
export const shortestSleepMs = 1000;
/** Where the kernel says nothing. */
export const compareEveryMs = 1500;
/** Without the two clocks: a timer so late, by the wall clock, is taken for a sleep. */
export const suspiciousGapMs = 6000;

/** What the two clocks say at one moment, in milliseconds. */
export interface ClockPair {
  /** Counts on during sleep. */
  readonly bootMs: number;
  /** Read right after it; stands still during sleep. */
  readonly awakeMs: number;
}

/** Compares. Pure, told the time. */
export class SleepGauge {
  #aheadMs: number | undefined;

  /** How long the machine slept since the last call; 0 where it did not, or for less than is worth a word. */
  handle(pair: ClockPair): number {
    // Read second, `awakeMs` can only be too late, so what is seen here is at most the truth.
    const aheadMs = pair.bootMs - pair.awakeMs;
    const before = this.#aheadMs;
    if (before === undefined) {
      this.#aheadMs = aheadMs;
      return 0;
    }
    const sleptMs = aheadMs - before;
    // The largest seen is nearest to the truth: readings that were interrupted are too small.
    if (sleptMs > 0) this.#aheadMs = aheadMs;
    return sleptMs >= shortestSleepMs ? sleptMs : 0;
  }
}

export interface SleepWatchOptions {
  readonly onFact: (fact: SleepFact) => void;
  /** Undefined: as on systems without native calls. Default: this machine's. */
  readonly calls?: ClockCalls | undefined;
}

export class SleepWatch {
  readonly #onFact: (fact: SleepFact) => void;
  readonly #calls: ClockCalls | undefined;
  readonly #gauge = new SleepGauge();
  #watch: WallClockWatch | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastUnixMs = 0;

  constructor(options: SleepWatchOptions) {
    this.#onFact = options.onFact;
    this.#calls = 'calls' in options ? options.calls : clockCalls();
  }

  /** 'kernel': no cost while awake. 'compare': a timer every 1.5 s. 'gap': likewise, and less sure. */
  get kind(): 'kernel' | 'compare' | 'gap' {
    if (this.#calls === undefined) return 'gap';
    return this.#watch === undefined ? 'compare' : 'kernel';
  }

  start(): void {
    this.check();
    this.#watch = this.#calls?.watchWallClock(() => this.check());
    if (this.#watch !== undefined) return;
    this.#timer = setInterval(() => this.check(), compareEveryMs);
    this.#timer.unref();
  }

  /** Compares now; the fact has been told when this returns. Cheap: call it wherever waking up would matter. */
  check(): void {
    const sleptMs = this.#calls === undefined ? this.#gap() : this.#gauge.handle(readPair(this.#calls));
    if (sleptMs > 0) this.#onFact({ kind: 'woke', sleptMs: Math.round(sleptMs) });
  }

  /** Idempotent. */
  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
    clearInterval(this.#timer);
  }

  #gap(): number {
    const now = Date.now();
    const gap = this.#lastUnixMs === 0 ? 0 : now - this.#lastUnixMs - compareEveryMs;
    this.#lastUnixMs = now;
    return gap >= suspiciousGapMs ? gap : 0;
  }
}

/** Read in this order: see SleepGauge. */
function readPair(calls: ClockCalls): ClockPair {
  const bootMs = calls.bootMs();
  return { bootMs, awakeMs: calls.awakeMs() };
}
