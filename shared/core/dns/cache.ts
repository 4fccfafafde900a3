/**
 * The cache of raw answers: positive, negative (RFC 2308), failures (RFC 9520), and answers past their time
 * for when nobody answers (RFC 8767). Told the time. Bounded by entries and by bytes; the least used goes
 * first. A failure never displaces an answer.
 */

import { type MonoMs, secondMs } from '../base/time.ts';
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

export interface EntryUse {
  hits: number;
  /** Looked up since the hand of the clock came by. */
  isRecent: boolean;
}

export interface CacheCounts {
  hits: number;
  misses: number;
  stale: number;
  evicted: number;
}

interface Entry extends EntryUse {
  readonly answer: StoredAnswer;
  readonly storedAt: MonoMs;
  readonly freshMs: number;
  readonly isNegative: boolean;
  readonly sizeBytes: number;
  isRefreshing: boolean;
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
const entryOverheadBytes = 320;
const maxFailures = 4096;
/** RFC 9520 §3.2: at least a second, growing, five minutes at most; five seconds do not feel broken. */
const firstFailureMs = secondMs;
const maxFailureMs = 5 * secondMs;
/** A name is refreshed early when it was asked for so often and so little of its time is left. */
const refreshHits = 2;
const refreshPart = 0.1;
/** Most entries that one eviction looks at before it takes one that was used lately. */
const maxClockSteps = 16;

/** Equal for queries that get the same answer: name without case, type, class, DO and CD. */
export function cacheKey(query: DnsMessage): string {
  const dnssecOk = query.opt()?.dnssecOk === true ? 1 : 0;
  return query.questionKey() + String.fromCharCode(dnssecOk | (query.checkingDisabled ? 2 : 0));
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

export class AnswerCache {
  readonly counts: CacheCounts = { hits: 0, misses: 0, stale: 0, evicted: 0 };
  readonly #limits: CacheLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #failures = new Map<string, Failure>();
  #sizeBytes = 0;
  #generation = 0;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get entries(): number {
    return this.#entries.size;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Changes when what was asked before may no longer be kept: give it back to `put`. */
  get generation(): number {
    return this.#generation;
  }

  lookup(key: string, now: MonoMs): CacheHit | undefined {
    const entry = this.#entries.get(key);
    const ageMs = entry === undefined ? 0 : now - entry.storedAt;
    if (entry !== undefined && ageMs < entry.freshMs) return this.#freshHit(entry, ageMs);
    const failed = this.#hasFailed(key, now);
    const isStale = entry !== undefined && ageMs < entry.freshMs + this.#limits.maxStaleMs;
    if (entry !== undefined && !isStale) this.#remove(key, entry);
    if (isStale) this.counts.stale++;
    else if (failed) this.counts.hits++;
    else this.counts.misses++;
    if (!isStale && !failed) return undefined;
    const answer = isStale ? entry.answer : undefined;
    return {
      freshness: failed ? 'failed' : 'stale',
      answer,
      ageSeconds: Math.floor(ageMs / secondMs),
      wantsRefresh: false,
      storedAt: entry?.storedAt ?? now,
      hotUntil: now,
      use: undefined,
    };
  }

  /** Only what is fresh, and counts nothing where there is none: whoever asks goes on to `lookup`. */
  lookupFresh(key: string, now: MonoMs): CacheHit | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const ageMs = now - entry.storedAt;
    return ageMs < entry.freshMs ? this.#freshHit(entry, ageMs) : undefined;
  }

  #freshHit(entry: Entry, ageMs: number): CacheHit {
    this.counts.hits++;
    entry.hits++;
    entry.isRecent = true;
    const nearlyOver = entry.freshMs - ageMs < entry.freshMs * refreshPart;
    const wantsRefresh = nearlyOver && entry.hits >= refreshHits && !entry.isRefreshing;
    if (wantsRefresh) entry.isRefreshing = true;
    return {
      freshness: 'fresh',
      answer: entry.answer,
      ageSeconds: Math.floor(ageMs / secondMs),
      wantsRefresh,
      storedAt: entry.storedAt,
      hotUntil: (entry.storedAt + entry.freshMs * (1 - refreshPart)) as MonoMs,
      use: entry,
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
    const freshMs = lifetimeMs(answer);
    const sizeBytes = stored.bytes.length + stored.errors.length + 2 * key.length + entryOverheadBytes;
    this.#failures.delete(key);
    const hasRoom = sizeBytes <= this.#limits.maxBytes && this.#limits.maxEntries > 0;
    if (freshMs === 0 || generation !== this.#generation || !hasRoom) return stored;
    const previous = this.#entries.get(key);
    if (previous !== undefined) this.#remove(key, previous);
    while (this.#isFull(sizeBytes)) this.#evict();
    this.#entries.set(key, {
      answer: stored,
      storedAt: now,
      freshMs,
      isNegative: answer.isNegative,
      sizeBytes,
      hits: 0,
      isRecent: false,
      isRefreshing: false,
    });
    this.#sizeBytes += sizeBytes;
    return stored;
  }

  /** Nobody answered, or only with a failure: the next askers do not try again at once. */
  putFailure(key: string, now: MonoMs): void {
    const inRow = (this.#failures.get(key)?.inRow ?? 0) + 1;
    this.#failures.delete(key);
    if (this.#failures.size >= maxFailures) deleteFirst(this.#failures);
    const delayMs = Math.min(firstFailureMs * 2 ** Math.min(inRow - 1, 10), maxFailureMs);
    this.#failures.set(key, { until: (now + delayMs) as MonoMs, inRow });
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.isRefreshing = false;
  }

  /** Another network: what was said to be missing there, and every failure, is forgotten. */
  forgetNegative(): void {
    this.#generation++;
    this.#failures.clear();
    for (const [key, entry] of this.#entries) {
      if (entry.isNegative) this.#remove(key, entry);
    }
  }

  /** Other upstreams, or another choice of families: nothing of before may be given any more. */
  clear(): void {
    this.#generation++;
    this.#failures.clear();
    this.#entries.clear();
    this.#sizeBytes = 0;
  }

  #hasFailed(key: string, now: MonoMs): boolean {
    const failure = this.#failures.get(key);
    return failure !== undefined && now < failure.until;
  }

  #isFull(moreBytes: number): boolean {
    if (this.#entries.size === 0) return false;
    const { maxEntries, maxBytes } = this.#limits;
    return this.#entries.size >= maxEntries || this.#sizeBytes + moreBytes > maxBytes;
  }

  /** The second-chance rule: from the oldest on, the first that nobody looked up since the last time. */
  #evict(): void {
    let steps = 0;
    for (const [key, entry] of this.#entries) {
      if (!entry.isRecent || ++steps > maxClockSteps) {
        this.#remove(key, entry);
        this.counts.evicted++;
        return;
      }
      entry.isRecent = false;
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#sizeBytes -= entry.sizeBytes;
  }
}

function deleteFirst(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
