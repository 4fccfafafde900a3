/**
 * The cache of raw answers: positive, negative (RFC 2308), failures (RFC 9520), and answers past their time
 * for when nobody answers (RFC 8767). Told the time. Bounded by entries and by bytes; the least used goes
 * first. A failure never displaces an answer.
 */

import { type MonoMs, secondMs } from '../base/time.ts';
import { AnswerTable, noSlot } from './answer-table.ts';
import { type Dressing, maxTtlSeconds, type StoredAnswer, stripAnswer } from './edns.ts';
import type { DnsMessage } from './reader.ts';
import { extendedError, rcode } from './types.ts';

export interface CacheLimits {
  readonly maxEntries: number;
  /** Of answers, with an estimate of what an entry costs besides. */
  readonly maxBytes: number;
  /** For how long after its time an answer may still be given; 0 turns it off. */
  readonly maxStaleMs: number;
}

/** 'fresh': give it. 'stale': only where nobody answers in time. 'failed': asked a moment ago in vain; don't ask again yet. */
export type Freshness = 'fresh' | 'stale' | 'failed';

export interface CacheHit {
  readonly freshness: Freshness;
  /** Undefined for a failure without an older answer. */
  readonly answer: StoredAnswer | undefined;
  readonly ageSeconds: number;
  /** Popular and nearly over: ask again in the background. True once per answer. */
  readonly wantsRefresh: boolean;
  readonly storedAt: MonoMs;
  /** Until then it may be given without a look here: after that somebody has to notice that it is nearly over. */
  readonly hotUntil: MonoMs;
  /** Of a fresh answer: who gives it without a look here says so. */
  readonly use: EntryUse | undefined;
}

/** Counts the use of one answer for as long as it is kept. */
export class EntryUse {
  readonly #table: AnswerTable;
  readonly #slot: number;
  readonly #stamp: number;

  constructor(table: AnswerTable, slot: number) {
    this.#table = table;
    this.#slot = slot;
    this.#stamp = table.columns.stamp[slot]!;
  }

  get hits(): number {
    return this.#isKept ? this.#table.columns.hits[this.#slot]! : 0;
  }

  touch(): void {
    if (this.#isKept) touch(this.#table, this.#slot);
  }

  get #isKept(): boolean {
    return this.#table.columns.stamp[this.#slot] === this.#stamp;
  }
}

export interface CacheCounts {
  hits: number;
  misses: number;
  stale: number;
  evicted: number;
}

interface Failure {
  readonly until: MonoMs;
  readonly inRow: number;
}

export const clientCacheLimits: CacheLimits = {
  maxEntries: 10_000,
  maxBytes: 16 * 1024 * 1024,
  maxStaleMs: 60 * 60 * secondMs,
};

/** RFC 8767 §4: what a stale answer says. */
const staleTtlSeconds = 30;
const maxNegativeSeconds = 3 * 60 * 60;
const maxFailures = 4096;
/** RFC 9520 §3.2: at least a second, growing, five minutes at most; five seconds do not feel broken. */
const firstFailureMs = secondMs;
const maxFailureMs = 5 * secondMs;
/** A name is refreshed early when it was asked for so often and so little of its time is left. */
const refreshHits = 2;
const refreshPart = 0.1;
/** Most entries that one eviction looks at before it takes one that was used lately. */
const maxClockSteps = 16;
/** Marks of a slot: looked up since the hand of the clock came by; being asked for again; says that there is nothing. */
const recent = 1;
const refreshing = 2;
const negative = 4;
const mostHits = 0xffff_ffff;

/** Equal for queries that get the same answer: name without case, type, class, DO and CD. */
export function cacheKey(query: DnsMessage): string {
  const dnssecOk = query.opt()?.dnssecOk === true ? 1 : 0;
  return query.questionKey(dnssecOk | (query.checkingDisabled ? 2 : 0));
}

/** How a hit is given to an asker. */
export function dressingOf(hit: CacheHit): Dressing {
  if (hit.freshness === 'fresh') return { ageSeconds: hit.ageSeconds };
  const code = hit.answer?.rcode === rcode.nxDomain ? extendedError.staleNxDomain : extendedError.staleAnswer;
  return { ageSeconds: 0, staleTtl: staleTtlSeconds, extendedError: { code } };
}

/** Milliseconds for which an answer may be given; 0: not to be kept. */
function lifetimeMs(answer: DnsMessage): number {
  if (answer.isTruncated || !answer.isWellFormed) return 0;
  const least = answer.minTtl() ?? maxTtlSeconds;
  if (!answer.isNegative) {
    return answer.rcode === rcode.noError ? Math.min(least, maxTtlSeconds) * secondMs : 0;
  }
  const negative = answer.negativeTtl();
  return negative === undefined ? 0 : Math.min(negative, least, maxNegativeSeconds) * secondMs;
}

/** One more lookup, as far as it is counted. */
function touch(table: AnswerTable, slot: number): void {
  const { hits, marks } = table.columns;
  if (hits[slot]! < mostHits) hits[slot] = hits[slot]! + 1;
  marks[slot] = marks[slot]! | recent;
}

export class AnswerCache {
  readonly counts: CacheCounts = { hits: 0, misses: 0, stale: 0, evicted: 0 };
  readonly #limits: CacheLimits;
  readonly #table: AnswerTable;
  readonly #failures = new Map<string, Failure>();
  #generation = 0;

  /** `seed`: any 32 bits that nobody knows, against names that were chosen to meet in one place. */
  constructor(limits: CacheLimits, seed = 0) {
    this.#limits = limits;
    this.#table = new AnswerTable(limits.maxEntries, seed);
  }

  get entries(): number {
    return this.#table.size;
  }

  get sizeBytes(): number {
    return this.#table.sizeBytes;
  }

  /** Changes when what was asked before may no longer be kept: give it back to `put`. */
  get generation(): number {
    return this.#generation;
  }

  lookup(key: string, now: MonoMs): CacheHit | undefined {
    const slot = this.#table.find(key);
    const { storedAt, freshMs } = this.#table.columns;
    const ageMs = slot === noSlot ? 0 : now - storedAt[slot]!;
    if (slot !== noSlot && ageMs < freshMs[slot]!) return this.#freshHit(slot, ageMs);
    const failed = this.#hasFailed(key, now);
    const isStale = slot !== noSlot && ageMs < freshMs[slot]! + this.#limits.maxStaleMs;
    if (slot !== noSlot && !isStale) this.#table.remove(slot);
    if (isStale) this.counts.stale++;
    else if (failed) this.counts.hits++;
    else this.counts.misses++;
    if (!isStale && !failed) return undefined;
    return {
      freshness: failed ? 'failed' : 'stale',
      answer: isStale ? this.#table.read(slot) : undefined,
      ageSeconds: Math.floor(ageMs / secondMs),
      wantsRefresh: false,
      storedAt: isStale ? (storedAt[slot] as MonoMs) : now,
      hotUntil: now,
      use: undefined,
    };
  }

  /** Only what is fresh, and counts nothing where there is none: whoever asks goes on to `lookup`. */
  lookupFresh(key: string, now: MonoMs): CacheHit | undefined {
    const slot = this.#table.find(key);
    if (slot === noSlot) return undefined;
    const { storedAt, freshMs } = this.#table.columns;
    const ageMs = now - storedAt[slot]!;
    return ageMs < freshMs[slot]! ? this.#freshHit(slot, ageMs) : undefined;
  }

  #freshHit(slot: number, ageMs: number): CacheHit {
    this.counts.hits++;
    touch(this.#table, slot);
    const { storedAt, freshMs, hits, marks } = this.#table.columns;
    const lifetime = freshMs[slot]!;
    const nearlyOver = lifetime - ageMs < lifetime * refreshPart;
    const wantsRefresh = nearlyOver && hits[slot]! >= refreshHits && (marks[slot]! & refreshing) === 0;
    if (wantsRefresh) marks[slot] = marks[slot]! | refreshing;
    return {
      freshness: 'fresh',
      answer: this.#table.read(slot),
      ageSeconds: Math.floor(ageMs / secondMs),
      wantsRefresh,
      storedAt: storedAt[slot] as MonoMs,
      hotUntil: (storedAt[slot]! + lifetime * (1 - refreshPart)) as MonoMs,
      use: new EntryUse(this.#table, slot),
    };
  }

  /**
   * Keeps what an upstream said, where it may be kept, and returns it stripped; undefined where it is
   * malformed. `generation` is that of the moment when it was asked: an answer to a question from before a
   * change is given to its asker and not kept.
   */
  put(
    key: string,
    answer: DnsMessage,
    now: MonoMs,
    generation: number = this.#generation,
  ): StoredAnswer | undefined {
    const stored = stripAnswer(answer);
    if (stored === undefined) return undefined;
    const lifetime = lifetimeMs(answer);
    this.#failures.delete(key);
    if (lifetime === 0 || generation !== this.#generation || this.#limits.maxEntries === 0) return stored;
    const sizeBytes = this.#table.costOf(key, stored);
    if (sizeBytes > this.#limits.maxBytes) return stored;
    const previous = this.#table.find(key);
    if (previous !== noSlot) this.#table.remove(previous);
    while (this.#isFull(sizeBytes)) this.#evict();
    const slot = this.#table.add(key, stored);
    const { storedAt, freshMs, marks } = this.#table.columns;
    storedAt[slot] = now;
    freshMs[slot] = lifetime;
    marks[slot] = answer.isNegative ? negative : 0;
    return stored;
  }

  /** Nobody answered, or only with a failure: the next askers do not try again at once. */
  putFailure(key: string, now: MonoMs): void {
    const inRow = (this.#failures.get(key)?.inRow ?? 0) + 1;
    this.#failures.delete(key);
    if (this.#failures.size >= maxFailures) deleteFirst(this.#failures);
    const delayMs = Math.min(firstFailureMs * 2 ** Math.min(inRow - 1, 10), maxFailureMs);
    this.#failures.set(key, { until: (now + delayMs) as MonoMs, inRow });
    const slot = this.#table.find(key);
    const { marks } = this.#table.columns;
    if (slot !== noSlot) marks[slot] = marks[slot]! & ~refreshing;
  }

  /** Another network: what was said to be missing there, and every failure, is forgotten. */
  forgetNegative(): void {
    this.#generation++;
    this.#failures.clear();
    const table = this.#table;
    for (let slot = table.oldest; slot !== noSlot; ) {
      const next = table.newerThan(slot);
      if ((table.columns.marks[slot]! & negative) !== 0) table.remove(slot);
      slot = next;
    }
  }

  /** Other upstreams, or another choice of families: nothing of before may be given any more. */
  clear(): void {
    this.#generation++;
    this.#failures.clear();
    this.#table.clear();
  }

  #hasFailed(key: string, now: MonoMs): boolean {
    const failure = this.#failures.get(key);
    return failure !== undefined && now < failure.until;
  }

  #isFull(moreBytes: number): boolean {
    if (this.#table.size === 0) return false;
    const { maxEntries, maxBytes } = this.#limits;
    return this.#table.size >= maxEntries || this.#table.sizeBytes + moreBytes > maxBytes;
  }

  /** The second-chance rule: from the oldest on, the first that nobody looked up since the last time. */
  #evict(): void {
    const table = this.#table;
    const { marks } = table.columns;
    let slot = table.oldest;
    for (let steps = 1; (marks[slot]! & recent) !== 0 && steps <= maxClockSteps; steps++) {
      marks[slot] = marks[slot]! & ~recent;
      table.moveToEnd(slot);
      slot = table.oldest;
    }
    table.remove(slot);
    this.counts.evicted++;
  }
}

function deleteFirst(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
