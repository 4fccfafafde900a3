/**
 * Answers queries from the cache or from upstreams: ordered by health, hedged, merged, strict. Every query gets
 * an answer; what could not be resolved is SERVFAIL with a reason. Upstreams that are encrypted stay so: there
 * is no way from here to plain DNS that the settings did not ask for.
 */

import type { Log } from '../../core/base/ports.ts';
import type { Span } from '../../core/base/span.ts';
import type { MonoMs } from '../../core/base/time.ts';
import { AnswerCache, type CacheHit, type CacheLimits, cacheKey } from '../../core/dns/cache.ts';
import { dressAnswer, forwardQuery, queryPadding, type StoredAnswer } from '../../core/dns/edns.ts';
import { HotAnswers } from '../../core/dns/hot-answers.ts';
import { QueryRace, Waiting } from '../../core/dns/query.ts';
import { type DnsMessage, readMessage } from '../../core/dns/reader.ts';
import { extendedError, rcode, safeUdpSize } from '../../core/dns/types.ts';
import type { ExtendedError } from '../../core/dns/writer.ts';
import type { Clock } from '../clock.ts';
import { type Candidate, Candidates } from './candidates.ts';
import {
  closedResolution,
  failed,
  given,
  noAnswer,
  noUpstreams,
  type Resolution,
  readAnswer,
  resolutionOf,
  tooMany,
  unreachableReason,
} from './resolution.ts';
import type { Upstream } from './upstream.ts';

export interface ResolverOptions {
  /** Per upstream of the settings, its addresses in order. Empty: every query is refused. */
  readonly upstreams: readonly (readonly Upstream[])[];
  readonly clock: Clock;
  readonly log: Log;
  readonly cache: CacheLimits;
  /** Refreshes popular names before their time is over. */
  readonly prefetch: boolean;
  /** 0 to 1. */
  readonly random: () => number;
}

export interface UpstreamState {
  readonly name: string;
  readonly isEncrypted: boolean;
  readonly isDown: boolean;
  /** Its certificate is not to be trusted: somebody may stand in its place. */
  readonly isUntrusted: boolean;
  readonly rttMs: number | undefined;
  readonly queries: number;
  readonly answers: number;
  readonly failures: number;
}

interface Waiter {
  readonly query: DnsMessage;
  /** Undefined: nobody wants to know. */
  readonly resolve: ((resolution: Resolution) => void) | undefined;
  /** What the cache has past its time, and the timer that gives it. */
  readonly stale: CacheHit | undefined;
  readonly timer: NodeJS.Timeout | undefined;
}

/** What came of asking. */
interface Outcome {
  readonly answer: StoredAnswer | undefined;
  readonly upstream: string | undefined;
  readonly reason: ExtendedError;
}

interface Asking {
  readonly key: string;
  readonly query: DnsMessage;
  readonly order: readonly Candidate[];
  readonly race: QueryRace;
  readonly generation: number;
  /** Who is asked and has not answered. */
  readonly open: Candidate[];
  /** SERVFAIL or the like of an upstream: better than nothing. */
  refusal: Outcome | undefined;
  /** When the race has something new to say; Infinity while it is being listened to. */
  wakeAt: number;
  isDone: boolean;
  /** Index among all that are asked now. */
  place: number;
}

const totalMs = 4500;
/** RFC 8767 §5: an asker is not made to wait for longer where an older answer is there. */
const staleAfterMs = 1800;
const maxQuestions = 4096;
/** Answers that are kept a second time, for at once. */
const maxHotSlots = 32_768;
const maxAskersEach = 256;
/** Codes that say nothing about the name: another upstream may know. */
const refusals: ReadonlySet<number> = new Set([rcode.formErr, rcode.servFail, rcode.notImp, rcode.refused]);

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #candidates: Candidates;
  readonly #cache: AnswerCache;
  readonly #hot: HotAnswers;
  readonly #waiting: Waiting<Waiter>;
  /** In no order. */
  readonly #asking: Asking[] = [];
  /** For the one that wakes first: a timer for every question would cost more than the question. */
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  #isClosed = false;

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#candidates = new Candidates(options.upstreams, options.random);
    const seed = (): number => (options.random() * 2 ** 32) ^ (options.random() * 2 ** 16);
    this.#waiting = new Waiting<Waiter>({ maxQuestions, maxEach: maxAskersEach }, seed());
    this.#cache = new AnswerCache(options.cache, seed());
    const slots = Math.min(maxHotSlots, options.cache.maxEntries / 2);
    this.#hot = new HotAnswers(slots, seed());
  }

  get cache(): AnswerCache {
    return this.#cache;
  }

  upstreams(): readonly UpstreamState[] {
    return this.#candidates.all.map(({ upstream, downUntil, isUntrusted = false }) => {
      const { name, isEncrypted, stats } = upstream;
      const { rttMs, queries, answers, failures } = stats;
      const isDown = downUntil !== undefined;
      return { name, isEncrypted, isDown, isUntrusted, rttMs, queries, answers, failures };
    });
  }

  /** The answer where the cache has a fresh one: without a promise, for the hot path. */
  answerFromCache(query: DnsMessage, key: string = cacheKey(query)): Uint8Array | undefined {
    const now = this.#options.clock.now();
    const hit = this.#cache.lookupFresh(key, now);
    if (hit?.answer === undefined) return undefined;
    if (hit.wantsRefresh && this.#options.prefetch) this.#prefetch(query);
    if (now < hit.hotUntil) this.#hot.learn(query, hit, this.#cache.generation);
    return dressAnswer(query, hit.answer, { ageSeconds: hit.ageSeconds });
  }

  /**
   * The answer to a question that `answerFromCache` has answered before, from bytes to bytes (core/dns/hot-answers.ts):
   * for ports that hand over whole batches. False: take the long way.
   */
  answerAtOnce(question: Span, answer: Span, now: MonoMs): boolean {
    if (!this.#hot.answer(question, answer, now, this.#cache.generation)) return false;
    this.#cache.counts.hits++;
    return true;
  }

  /** Nothing at once any more, until it went the long way again: other rules say where names go. */
  forgetHot(): void {
    this.#hot.clear();
  }

  /** Never rejects. The query must have a question; its bytes must not change any more. */
  resolve(query: DnsMessage, key: string = cacheKey(query)): Promise<Resolution> {
    const now = this.#options.clock.now();
    const hit = this.#cache.lookup(key, now);
    if (hit?.freshness === 'fresh' && hit.wantsRefresh && this.#options.prefetch) this.#prefetch(query);
    const known = this.#isClosed ? closedResolution(query) : resolutionOf(query, hit);
    if (known !== undefined) return Promise.resolve(known);
    if (this.#candidates.all.length === 0) return Promise.resolve(failed(query, noUpstreams, rcode.refused));
    return new Promise((resolve) => this.#join(key, query, hit, resolve));
  }

  /** Another network: connections of before, and what was missing there, are of no use. */
  handleNetworkChange(): void {
    this.#cache.forgetNegative();
    this.#candidates.forgive();
    for (const { upstream } of this.#candidates.all) upstream.reset();
  }

  /** Ends upstreams; who waits gets SERVFAIL. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const asking of this.#asking.slice()) {
      this.#finish(asking, {
        answer: undefined,
        upstream: undefined,
        reason: { code: extendedError.notReady },
      });
    }
    for (const { upstream } of this.#candidates.all) upstream.close();
  }

  #join(
    key: string,
    query: DnsMessage,
    stale: CacheHit | undefined,
    resolve: (resolution: Resolution) => void,
  ): void {
    const hasStale = stale?.answer !== undefined;
    const timer = hasStale
      ? setTimeout(() => resolve(given(query, stale, 'stale')), staleAfterMs)
      : undefined;
    const waiter: Waiter = { query, resolve, stale, timer };
    const joined = this.#waiting.join(key, waiter);
    if (joined === 'full') settle(waiter, failed(query, tooMany, rcode.servFail));
    else if (joined === 'first') this.#ask(key, query);
  }

  #prefetch(query: DnsMessage): void {
    const key = cacheKey(query);
    // The bytes of a query may be its listener's buffer.
    const copy = readMessage(new Uint8Array(query.bytes));
    if (copy === undefined || this.#isClosed || this.#candidates.all.length === 0) return;
    const waiter: Waiter = { query: copy, resolve: undefined, stale: undefined, timer: undefined };
    if (this.#waiting.join(key, waiter) === 'first') this.#ask(key, copy);
  }

  #ask(key: string, query: DnsMessage): void {
    const now = this.#options.clock.now();
    const order = this.#candidates.ordered();
    const first = order[0];
    const hedgeMs = first === undefined ? 0 : this.#candidates.hedgeMs(first);
    const asking: Asking = {
      key,
      query,
      order,
      race: new QueryRace({ upstreams: order.length, hedgeMs, totalMs }, now),
      generation: this.#cache.generation,
      open: [],
      refusal: undefined,
      wakeAt: Infinity,
      isDone: false,
      place: this.#asking.length,
    };
    this.#asking.push(asking);
    const probe = first === undefined ? undefined : this.#candidates.takeProbe(now, first);
    this.#advance(asking);
    if (probe !== undefined) this.#probe(asking, probe);
  }

  /** Does what the race says until it says to wait. */
  #advance(asking: Asking): void {
    asking.wakeAt = Infinity;
    while (!asking.isDone) {
      const now = this.#options.clock.now();
      const step = asking.race.next(now);
      if (step.kind === 'ask') this.#try(asking, asking.order[step.upstream], now);
      else if (step.kind === 'give-up') this.#giveUp(asking);
      else {
        asking.wakeAt = step.until;
        this.#wakeBy(asking.wakeAt, now);
        return;
      }
    }
  }

  #wakeBy(at: number, now: MonoMs): void {
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, at - now));
  }

  #wake(): void {
    this.#timerAt = Infinity;
    const now = this.#options.clock.now();
    let next = Infinity;
    for (const asking of this.#asking.slice()) {
      if (asking.wakeAt <= now) this.#advance(asking);
      else next = Math.min(next, asking.wakeAt);
    }
    if (next < Infinity) this.#wakeBy(next, now);
  }

  #try(asking: Asking, candidate: Candidate | undefined, now: MonoMs): void {
    if (candidate === undefined) return;
    for (const slow of asking.open) this.#candidates.handleLate(slow, now);
    asking.open.push(candidate);
    this.#query(asking, candidate).then(
      (bytes) => this.#handleBytes(asking, candidate, bytes),
      (error: unknown) => this.#handleError(asking, candidate, error),
    );
  }

  #handleBytes(asking: Asking, candidate: Candidate, bytes: Uint8Array): void {
    const answer = readAnswer(asking.query, bytes);
    if (answer === undefined) this.#handleError(asking, candidate, noAnswer(candidate.upstream.name));
    else this.#handleOutcome(asking, candidate, answer);
  }

  /** Asks one that is down what was asked anyway; its answer counts for its health and nothing else. */
  #probe(asking: Asking, candidate: Candidate): void {
    const fail = (error: unknown): void =>
      this.#candidates.handleFailure(candidate, this.#options.clock.now(), error);
    this.#query(asking, candidate).then(
      (bytes) =>
        readAnswer(asking.query, bytes) === undefined
          ? fail(noAnswer(candidate.upstream.name))
          : this.#candidates.handleAnswer(candidate),
      fail,
    );
  }

  #query(asking: Asking, { upstream }: Candidate): Promise<Uint8Array> {
    const padTo = upstream.isEncrypted ? queryPadding : 0;
    return upstream.query(forwardQuery(asking.query, { id: 0, udpSize: safeUdpSize, padTo }));
  }

  #handleOutcome(asking: Asking, candidate: Candidate, answer: DnsMessage): void {
    this.#candidates.handleAnswer(candidate);
    removeFrom(asking.open, candidate);
    if (asking.isDone) return;
    const { name, isEncrypted } = candidate.upstream;
    const now = this.#options.clock.now();
    // What comes in the clear may claim to be validated, and nobody could tell (RFC 6840 §5.7).
    if (!isEncrypted) answer.bytes[3] = (answer.bytes[3] ?? 0) & ~0x20;
    const isRefusal = refusals.has(answer.rcode);
    const stored = this.#cache.put(asking.key, answer, now, asking.generation);
    const outcome: Outcome = { answer: stored, upstream: name, reason: unreachableReason };
    if (!isRefusal) {
      this.#finish(asking, outcome);
      return;
    }
    this.#cache.putFailure(asking.key, now);
    // Two who refuse are enough: the name is at fault.
    if (asking.refusal !== undefined) this.#finish(asking, asking.refusal);
    else {
      asking.refusal = outcome;
      asking.race.handleFailure(now);
      this.#advance(asking);
    }
  }

  #handleError(asking: Asking, candidate: Candidate, error: unknown): void {
    const now = this.#options.clock.now();
    this.#candidates.handleFailure(candidate, now, error);
    removeFrom(asking.open, candidate);
    const { log } = this.#options;
    log.debug('A DNS upstream failed.', { upstream: candidate.upstream.name, error: String(error) });
    if (asking.isDone) return;
    asking.race.handleFailure(now);
    this.#advance(asking);
  }

  #giveUp(asking: Asking): void {
    if (asking.refusal === undefined) this.#cache.putFailure(asking.key, this.#options.clock.now());
    this.#finish(
      asking,
      asking.refusal ?? { answer: undefined, upstream: undefined, reason: unreachableReason },
    );
  }

  /** Nobody waits. */
  #rest(): void {
    clearTimeout(this.#timer);
    this.#timerAt = Infinity;
  }

  #finish(asking: Asking, outcome: Outcome): void {
    if (asking.isDone) return;
    asking.isDone = true;
    const last = this.#asking.pop();
    if (last !== undefined && last !== asking) {
      this.#asking[asking.place] = last;
      last.place = asking.place;
    }
    if (this.#asking.length === 0) this.#rest();
    const { answer, upstream, reason } = outcome;
    for (const waiter of this.#waiting.take(asking.key)) {
      const { query } = waiter;
      if (answer === undefined) settle(waiter, failed(query, reason, rcode.servFail));
      else {
        const source = refusals.has(answer.rcode) ? 'failure' : 'upstream';
        settle(waiter, { bytes: dressAnswer(query, answer, { ageSeconds: 0 }), source, upstream });
      }
    }
  }
}

function settle(waiter: Waiter, resolution: Resolution): void {
  const { query, resolve, stale, timer } = waiter;
  if (timer !== undefined) clearTimeout(timer);
  const useStale = resolution.source === 'failure' && stale?.answer !== undefined;
  resolve?.(useStale ? given(query, stale, 'stale') : resolution);
}

function removeFrom(open: Candidate[], candidate: Candidate): void {
  const place = open.indexOf(candidate);
  if (place >= 0) open.splice(place, 1);
}
