/**
 * One question in flight: which upstream is asked when, and who waits for the answer. Told the time; does
 * nothing itself. Two machines: QueryRace (tries, hedges, deadlines) and Waiting (equal questions merged).
 */

import { assert } from '../base/assert.ts';
import { after, type MonoMs } from '../base/time.ts';
import { KeyTable } from './key-table.ts';

export interface RaceOptions {
  /** How many upstreams there are; they are asked in the order 0, 1, 2 … */
  readonly upstreams: number;
  /** Without an answer from those that were asked, the next one is asked too after so long. */
  readonly hedgeMs: number;
  /** From the start to giving up. */
  readonly totalMs: number;
}

export type RaceStep =
  | { readonly kind: 'ask'; readonly upstream: number }
  | { readonly kind: 'wait'; readonly until: MonoMs }
  | { readonly kind: 'give-up' };

/** Most tries of one question, over all upstreams. */
const maxTries = 6;
/** Each upstream may be asked twice; the second round starts no sooner than this after the last try. */
const rounds = 2;
const secondRoundMs = 250;

export class QueryRace {
  readonly #options: RaceOptions;
  readonly #deadline: MonoMs;
  readonly #maxTries: number;
  #tries = 0;
  #open = 0;
  /** When the next upstream may be asked. */
  #nextTryAt: MonoMs;
  #lastTryAt: MonoMs;

  constructor(options: RaceOptions, now: MonoMs) {
    assert(options.upstreams > 0, 'there is somebody to ask');
    this.#options = options;
    this.#deadline = after(now, options.totalMs);
    this.#maxTries = Math.min(maxTries, rounds * options.upstreams);
    this.#nextTryAt = now;
    this.#lastTryAt = now;
  }

  /** What to do now. Call again after every 'ask', at every `until`, and after handleFailure. */
  next(now: MonoMs): RaceStep {
    if (now >= this.#deadline) return { kind: 'give-up' };
    const isOver = this.#tries >= this.#maxTries;
    if (isOver && this.#open === 0) return { kind: 'give-up' };
    if (isOver) return { kind: 'wait', until: this.#deadline };
    if (now < this.#nextTryAt) {
      return { kind: 'wait', until: Math.min(this.#nextTryAt, this.#deadline) as MonoMs };
    }
    const upstream = this.#tries % this.#options.upstreams;
    this.#tries++;
    this.#open++;
    this.#lastTryAt = now;
    this.#nextTryAt = after(now, this.#hedgeMs());
    return { kind: 'ask', upstream };
  }

  /** A try failed: the next upstream need not wait for its turn. */
  handleFailure(now: MonoMs): void {
    assert(this.#open > 0, 'what failed was asked');
    this.#open--;
    const isSecondRound = this.#tries >= this.#options.upstreams;
    const soonest = isSecondRound ? after(this.#lastTryAt, secondRoundMs) : now;
    if (soonest < this.#nextTryAt) this.#nextTryAt = soonest;
  }

  /** A second round is for what got lost; it waits longer, so that a slow answer is not asked for in vain. */
  #hedgeMs(): number {
    const round = Math.floor(this.#tries / this.#options.upstreams);
    return Math.max(this.#options.hedgeMs, round > 0 ? secondRoundMs : 0) * (round + 1);
  }
}

/** Equal questions share one answer. Bounded in questions and in those who wait for one. */
export class Waiting<W> {
  readonly #maxQuestions: number;
  readonly #maxEach: number;
  readonly #questions: KeyTable<W[]>;

  /** `seed`: any 32 bits that nobody knows. */
  constructor(limits: { readonly maxQuestions: number; readonly maxEach: number }, seed = 0) {
    this.#questions = new KeyTable(seed);
    this.#maxQuestions = limits.maxQuestions;
    this.#maxEach = limits.maxEach;
  }

  get size(): number {
    return this.#questions.size;
  }

  /** 'first': ask, then `take`. 'joined': somebody has asked. 'full': refuse. */
  join(key: string, waiter: W): 'first' | 'joined' | 'full' {
    const waiters = this.#questions.get(key);
    if (waiters !== undefined) {
      if (waiters.length >= this.#maxEach) return 'full';
      waiters.push(waiter);
      return 'joined';
    }
    if (this.#questions.size >= this.#maxQuestions) return 'full';
    this.#questions.set(key, [waiter]);
    return 'first';
  }

  /** Everybody who waits for `key`; nobody does afterwards. */
  take(key: string): readonly W[] {
    return this.#questions.take(key) ?? [];
  }

  /** Whether somebody waits for `key`. */
  has(key: string): boolean {
    return this.#questions.get(key) !== undefined;
  }
}
