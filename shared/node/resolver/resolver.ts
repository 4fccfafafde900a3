/**
 * Answers queries from the cache or from upstreams: ordered by health, hedged, merged, strict. Every query gets
 * an answer; what could not be resolved is SERVFAIL with a reason. Upstreams that are encrypted stay so: there
 * is no way from here to plain DNS that the settings did not ask for.
 */

import type { Log } from '../../core/base/ports.ts';
import type { Span } from '../../core/base/span.ts';
import type { MonoMs } from '../../core/base/time.ts';
import { AnswerCache, type CacheHit, type CacheLimits, cacheKey, dressingOf } from '../../core/dns/cache.ts';
import {
  answersQuestion,
  dressAnswer,
  forwardQuery,
  queryPadding,
  type StoredAnswer,
} from '../../core/dns/edns.ts';
import { HotAnswers } from '../../core/dns/hot-answers.ts';
import { QueryRace, Waiting } from '../../core/dns/query.ts';
import { type DnsMessage, readMessage } from '../../core/dns/reader.ts';
import { extendedError, rcode, safeUdpSize } from '../../core/dns/types.ts';
import { type ExtendedError, writeAnswer } from '../../core/dns/writer.ts';
import type { Clock } from '../clock.ts';
import { type Candidate, Candidates } from './candidates.ts';
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

/** How an answer came about. */
export type AnswerSource = 'cache' | 'stale' | 'upstream' | 'failure';

export interface Resolution {
  readonly bytes: Uint8Array;
  readonly source: AnswerSource;
  /** Name of the upstream that answered now. */
  readonly upstream: string | undefined;
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
  readonly settle: (resolution: Resolution) => void;
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
  readonly open: Set<Candidate>;
  /** SERVFAIL or the like of an upstream: better than nothing. */
  refusal: Outcome | undefined;
  /** When the race has something new to say; Infinity while it is being listened to. */
  wakeAt: number;
  isDone: boolean;
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
  readonly #waiting = new Waiting<Waiter>({ maxQuestions, maxEach: maxAskersEach });
  readonly #asking = new Map<string, Asking>();
  /** For the one that wakes first: a timer for every question would cost more than the question. */
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  #isClosed = false;

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#candidates = new Candidates(options.upstreams, options.random);
    this.#cache = new AnswerCache(options.cache);
    const slots = Math.min(maxHotSlots, options.cache.maxEntries / 2);
    this.#hot = new HotAnswers(slots, options.random() * 2 ** 32);
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
    for (const asking of this.#asking.values()) {
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
    const timer =
      stale?.answer === undefined
        ? undefined
        : setTimeout(() => resolve(given(query, stale, 'stale')), staleAfterMs);
    const settle = (resolution: Resolution): void => {
      clearTimeout(timer);
      const useStale = resolution.source === 'failure' && stale?.answer !== undefined;
      resolve(useStale ? given(query, stale, 'stale') : resolution);
    };
    const joined = this.#waiting.join(key, { query, settle });
    if (joined === 'full') settle(failed(query, tooMany, rcode.servFail));
    else if (joined === 'first') this.#ask(key, query);
  }

  #prefetch(query: DnsMessage): void {
    const key = cacheKey(query);
    // The bytes of a query may be its listener's buffer.
    const copy = readMessage(new Uint8Array(query.bytes));
    if (copy === undefined || this.#isClosed || this.#candidates.all.length === 0) return;
    if (this.#waiting.join(key, { query: copy, settle: () => {} }) === 'first') this.#ask(key, copy);
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
      open: new Set(),
      refusal: undefined,
      wakeAt: Infinity,
      isDone: false,
    };
    this.#asking.set(key, asking);
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
    for (const asking of this.#asking.values()) {
      if (asking.wakeAt <= now) this.#advance(asking);
      else next = Math.min(next, asking.wakeAt);
    }
    if (next < Infinity) this.#wakeBy(next, now);
  }

  #try(asking: Asking, candidate: Candidate | undefined, now: MonoMs): void {
    if (candidate === undefined) return;
    for (const slow of asking.open) this.#candidates.handleLate(slow, now);
    asking.open.add(candidate);
    this.#query(asking, candidate).then(
      (outcome) => this.#handleOutcome(asking, candidate, outcome),
      (error: unknown) => this.#handleError(asking, candidate, error),
    );
  }

  /** Asks one that is down what was asked anyway; its answer counts for its health and nothing else. */
  #probe(asking: Asking, candidate: Candidate): void {
    this.#query(asking, candidate).then(
      () => this.#candidates.handleAnswer(candidate),
      (error: unknown) => this.#candidates.handleFailure(candidate, this.#options.clock.now(), error),
    );
  }

  async #query(asking: Asking, candidate: Candidate): Promise<DnsMessage> {
    const { upstream } = candidate;
    const padTo = upstream.isEncrypted ? queryPadding : 0;
    const bytes = await upstream.query(forwardQuery(asking.query, { id: 0, udpSize: safeUdpSize, padTo }));
    const answer = readMessage(bytes);
    if (answer === undefined || !answer.isWellFormed || !answersQuestion(asking.query, answer)) {
      throw new Error(`${upstream.name} sent no answer to the question.`);
    }
    return answer;
  }

  #handleOutcome(asking: Asking, candidate: Candidate, answer: DnsMessage): void {
    this.#candidates.handleAnswer(candidate);
    asking.open.delete(candidate);
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
    asking.open.delete(candidate);
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
    this.#asking.delete(asking.key);
    if (this.#asking.size === 0) this.#rest();
    const { answer, upstream, reason } = outcome;
    for (const { query, settle } of this.#waiting.take(asking.key)) {
      if (answer === undefined) settle(failed(query, reason, rcode.servFail));
      else {
        const source = refusals.has(answer.rcode) ? 'failure' : 'upstream';
        settle({ bytes: dressAnswer(query, answer, { ageSeconds: 0 }), source, upstream });
      }
    }
  }
}

const unreachableReason: ExtendedError = { code: extendedError.networkError, text: 'no upstream answers' };
const noUpstreams: ExtendedError = { code: extendedError.prohibited, text: 'no upstreams are configured' };
const tooMany: ExtendedError = { code: extendedError.other, text: 'too many questions at once' };
const closing: ExtendedError = { code: extendedError.notReady, text: 'the resolver is ending' };
const triedBefore: ExtendedError = { code: extendedError.cachedError, text: 'it failed a moment ago' };

function failed(query: DnsMessage, reason: ExtendedError, code: number): Resolution {
  const bytes = writeAnswer(query, { rcode: code, extendedError: reason });
  return { bytes, source: 'failure', upstream: undefined };
}

function closedResolution(query: DnsMessage): Resolution {
  return failed(query, closing, rcode.servFail);
}

/** The answer without asking anybody; undefined where somebody has to be asked. */
function resolutionOf(query: DnsMessage, hit: CacheHit | undefined): Resolution | undefined {
  if (hit === undefined || hit.freshness === 'stale') return undefined;
  if (hit.answer === undefined) return failed(query, triedBefore, rcode.servFail);
  return given(query, hit, hit.freshness === 'fresh' ? 'cache' : 'stale');
}

function given(query: DnsMessage, hit: CacheHit, source: AnswerSource): Resolution {
  if (hit.answer === undefined) return failed(query, triedBefore, rcode.servFail);
  return { bytes: dressAnswer(query, hit.answer, dressingOf(hit)), source, upstream: undefined };
}
