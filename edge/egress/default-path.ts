/**
 * The path that flows take where nothing else speaks: the best one, with patience. Moves only for a clear gain that
 * lasts, at most once a minute, and comes back to a path that it left only after longer and longer times. Flows avoid a
 * dead path at once, whatever stands here. Pure, told the time.
 */

import { type MonoMs, minuteMs, secondMs } from '../../shared/core/base/time.ts';

export interface RankedPath {
  readonly id: string;
  /** 0: works; more: does not, the less the more. */
  readonly rank: number;
  readonly costMs: number;
}

/** Ranks from which on a path must be left, not only avoided. */
export const brokenRank = 2;

/** A better path must be so much better: a part, and a little. */
const gainShare = 0.1;
const gainMs = 4;
/** A path that is so much worse has gone bad: no need to see it for longer. */
const badFactor = 1.6;
const badMs = 40;
/** How long a gain must last before it is believed. */
const believeMs = 8 * secondMs;
const dwellMs = minuteMs;
const firstReturnMs = minuteMs;
const longestReturnMs = 10 * minuteMs;
/** The first choices rest on a handful of measurements: what they correct is no move. At least, and at most so long. */
const settleMs = 10 * secondMs;
const longestSettleMs = minuteMs;
/** After so long away nobody remembers how often a path was left. */
const forgetMs = 30 * minuteMs;

interface Past {
  leftAt: MonoMs;
  times: number;
}

export class DefaultPath {
  #id: string | undefined;
  #begunAt: MonoMs | undefined;
  #isSettling = true;
  #switchedAt: MonoMs | undefined;
  #betterSince: MonoMs | undefined;
  readonly #past: Map<string, Past> = new Map();
  readonly #arrivals: Map<string, number> = new Map();
  /** Since the start. */
  switches = 0;

  get id(): string | undefined {
    return this.#id;
  }

  get switchedAt(): MonoMs | undefined {
    return this.#switchedAt;
  }

  /** How often it moved to this path. */
  arrivals(id: string): number {
    return this.#arrivals.get(id) ?? 0;
  }

  /** `ranked`: all that may be chosen now, the best first. `isKnown`: each was measured a few times. */
  reconsider(ranked: readonly RankedPath[], now: MonoMs, isKnown: boolean = true): void {
    const best = ranked[0];
    if (best === undefined) return;
    const current = ranked.find((path) => path.id === this.#id);
    if (this.#id === undefined) {
      this.#id = best.id;
      this.#begunAt = now;
      return;
    }
    const age = now - (this.#begunAt ?? now);
    this.#isSettling &&= age < settleMs || (!isKnown && age < longestSettleMs);
    const hasDwelt = this.#switchedAt === undefined || now - this.#switchedAt >= dwellMs;
    if (current === undefined || (current.rank >= brokenRank && best.rank < current.rank)) {
      // Until then flows avoid it one by one.
      if (current === undefined || hasDwelt) this.#switchTo(best.id, now);
      return;
    }
    const better = current.rank === 0 ? ranked.find((path) => this.#isBetter(path, current, now)) : undefined;
    if (better === undefined) {
      this.#betterSince = undefined;
      return;
    }
    this.#betterSince ??= now;
    const isBad = current.costMs > better.costMs * badFactor + badMs;
    const isBelieved = isBad || now - this.#betterSince >= believeMs;
    if (isBelieved && hasDwelt) this.#switchTo(better.id, now);
  }

  #isBetter(path: RankedPath, current: RankedPath, now: MonoMs): boolean {
    if (path.rank > 0 || path.costMs * (1 + gainShare) + gainMs >= current.costMs) return false;
    const past = this.#past.get(path.id);
    return past === undefined || now - past.leftAt >= returnMs(past.times);
  }

  #switchTo(id: string, now: MonoMs): void {
    if (this.#isSettling) {
      this.#id = id;
      this.#betterSince = undefined;
      return;
    }
    if (this.#id !== undefined) {
      const past = this.#past.get(this.#id);
      const isForgotten = past === undefined || now - past.leftAt > forgetMs;
      this.#past.set(this.#id, { leftAt: now, times: isForgotten ? 1 : past.times + 1 });
    }
    this.#id = id;
    this.#switchedAt = now;
    this.#betterSince = undefined;
    this.switches++;
    this.#arrivals.set(id, this.arrivals(id) + 1);
  }
}

function returnMs(times: number): number {
  return Math.min(longestReturnMs, firstReturnMs * 2 ** (times - 1));
}
