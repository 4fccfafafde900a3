/**
 * What the edge's listeners (UDP and TCP on the gateway's port 53) ask: one answer for one query. Names of our
 * own are answered here, special ones on the spot, everything else by the resolver. Never logs a name.
 */

import type { Span } from '../../shared/core/base/span.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import { type CacheLimits, cacheKey } from '../../shared/core/dns/cache.ts';
import { isBelow, nameOf } from '../../shared/core/dns/name.ts';
import { type DnsMessage, readMessage } from '../../shared/core/dns/reader.ts';
import {
  answerSpecialName,
  findSpecialName,
  noSuchName,
  refuseAny,
} from '../../shared/core/dns/special-names.ts';
import { extendedError, plainUdpSize, rcode, recordClass, recordType } from '../../shared/core/dns/types.ts';
import { fitAnswer, writeAnswer, writeFormatError } from '../../shared/core/dns/writer.ts';
import {
  type OpenedResolver,
  openResolver,
  type ResolverPlace,
  type ResolverSettings,
} from '../../shared/node/resolver/open-resolver.ts';
import type { UpstreamState } from '../../shared/node/resolver/resolver.ts';
import type { Family } from '../../shared/node/resolver/well-known.ts';
import { type DeviceRate, DeviceRates, usualDeviceRate } from './device-rate.ts';
import { OwnNames, type OwnNamesOptions } from './own-names.ts';

export interface AskerDetails {
  readonly overTcp: boolean;
  /** Name or id of the device that asks; undefined where it is unknown. */
  readonly device: string | undefined;
  /** Largest answer that can be sent: for UDP what fits the path, for TCP 65535. */
  readonly maxBytes: number;
}

export interface AskerNow {
  readonly device: string | undefined;
  readonly now: MonoMs;
}

export interface DnsAnswerer {
  /**
   * The answer to send, or undefined for silence: not a query, or too many. Never rejects. `query` must
   * not change any more. An answer over UDP also respects the size that the query offers.
   */
  answer(query: Uint8Array, about: AskerDetails): Promise<Uint8Array | undefined>;
  /**
   * Over UDP, before `answer`: writes what was answered before at `answer`, whose length is the room there, and sets
   * the length, 0 for silence. False: `answer` has to be asked. Both are borrowed until return.
   */
  answerAtOnce?(question: Span, answer: Span, about: AskerNow): boolean;
  /** Ends upstream connections; open questions get SERVFAIL. Idempotent. */
  close(): Promise<void>;
}

export interface AnswererOptions extends ResolverPlace {
  /** The filter in it is for devices without one of their own. */
  readonly settings: ResolverSettings;
  readonly names: OwnNamesOptions;
  /** The filter that a device has chosen; undefined: the one of the settings. */
  readonly familyOf?: (device: string) => Family | undefined;
  readonly rate?: DeviceRate;
}

/** What the edge's status shows. */
export interface AnswererState {
  readonly family: Family;
  readonly cacheEntries: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly upstreams: readonly UpstreamState[];
}

/** Throws CulvertError for settings that make no sense. Connects to nobody yet. */
export function createDnsAnswerer(options: AnswererOptions): ResolvingAnswerer {
  return new ResolvingAnswerer(options);
}

/** An average entry with what it costs besides is well below this. */
const bytesPerEntry = 1024;
/** RFC 8767 §5.11 allows up to three days. */
const staleMs = 24 * 60 * 60 * 1000;

/** The cache of an edge that may keep so many answers; 0: none. */
export function edgeCacheLimits(maxEntries: number): CacheLimits {
  return { maxEntries, maxBytes: maxEntries * bytesPerEntry, maxStaleMs: staleMs };
}

/** RFC 6895 §3.1: questions about transactions and transfers, which a resolver does not serve. */
const firstMetaType = 128;
const lastMetaType = 254;
/** Browsers that find this name missing leave DNS to the system, and so to the filter that was chosen. */
const canary = nameOf('use-application-dns.net');
const canaryTtl = 60;

export class ResolvingAnswerer implements DnsAnswerer {
  readonly #options: AnswererOptions;
  readonly #names: OwnNames;
  readonly #rates: DeviceRates;
  /** One per filter that somebody uses: what one lets through must not come from the cache of another. */
  readonly #resolvers = new Map<Family, OpenedResolver>();
  #isClosed = false;

  constructor(options: AnswererOptions) {
    this.#options = options;
    this.#names = new OwnNames(options.names);
    this.#rates = new DeviceRates(options.rate ?? usualDeviceRate);
    this.#resolverFor(options.settings.family);
  }

  answer(query: Uint8Array, about: AskerDetails): Promise<Uint8Array | undefined> {
    // The device may be unknown; those share one allowance.
    if (!this.#rates.take(about.device ?? '', this.#options.clock.now()))
      return Promise.resolve(tooMany(query, about));
    const message = readMessage(query);
    if (message === undefined) return Promise.resolve(writeFormatError(query));
    if (message.isResponse || this.#isClosed) return Promise.resolve(undefined);
    const whole = refusalOf(message) ?? this.#ownAnswer(message, about);
    return whole === undefined ? this.#resolve(message, about) : Promise.resolve(fit(whole, message, about));
  }

  answerAtOnce(question: Span, answer: Span, about: AskerNow): boolean {
    if (this.#isClosed) return false;
    const { resolver } = this.#resolverFor(this.#familyFor(about));
    if (!resolver.answerAtOnce(question, answer, about.now)) return false;
    if (!this.#rates.take(about.device ?? '', about.now)) answer.length = 0;
    return true;
  }

  state(): readonly AnswererState[] {
    return [...this.#resolvers].map(([family, { resolver }]) => ({
      family,
      cacheEntries: resolver.cache.entries,
      cacheHits: resolver.cache.counts.hits,
      cacheMisses: resolver.cache.counts.misses,
      upstreams: resolver.upstreams(),
    }));
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const { resolver } of this.#resolvers.values()) resolver.close();
    return Promise.resolve();
  }

  #ownAnswer(query: DnsMessage, about: AskerDetails): Uint8Array | undefined {
    const name = query.questionName;
    if (query.question?.type === recordType.any) return refuseAny(query);
    const own = this.#names.answer(query);
    if (own !== undefined) return own;
    const family = this.#familyFor(about);
    const special = findSpecialName(name, this.#resolverFor(family).isPublic);
    if (special !== undefined) return answerSpecialName(query, special);
    return family !== 'off' && isBelow(name, canary)
      ? writeAnswer(query, noSuchName(canary, canaryTtl))
      : undefined;
  }

  #resolve(query: DnsMessage, about: AskerDetails): Promise<Uint8Array | undefined> {
    const { resolver } = this.#resolverFor(this.#familyFor(about));
    const key = cacheKey(query);
    const cached = resolver.answerFromCache(query, key);
    if (cached !== undefined) return Promise.resolve(fit(cached, query, about));
    return resolver.resolve(query, key).then((resolution) => fit(resolution.bytes, query, about));
  }

  #familyFor(about: { readonly device: string | undefined }): Family {
    const { familyOf, settings } = this.#options;
    const chosen = about.device === undefined ? undefined : familyOf?.(about.device);
    return chosen ?? settings.family;
  }

  #resolverFor(family: Family): OpenedResolver {
    const known = this.#resolvers.get(family);
    if (known !== undefined) return known;
    const { settings } = this.#options;
    const opened = openResolver({ prefetch: true, ...settings, family }, this.#options);
    this.#resolvers.set(family, opened);
    return opened;
  }
}

/** The answer to what no resolver serves; undefined for an ordinary question. */
function refusalOf(query: DnsMessage): Uint8Array | undefined {
  const { question } = query;
  if (query.opcode !== 0) return writeAnswer(query, { rcode: rcode.notImp });
  if (question === undefined || !query.isWellFormed) return writeFormatError(query.bytes);
  if ((query.opt()?.version ?? 0) > 0) return writeAnswer(query, { rcode: rcode.badVers });
  const isMeta = question.type >= firstMetaType && question.type <= lastMetaType;
  const isServed = question.class === recordClass.in && !isMeta && question.type !== recordType.opt;
  if (isServed && question.type !== 0) return undefined;
  return writeAnswer(query, { rcode: rcode.refused, extendedError: { code: extendedError.notSupported } });
}

/** Silence over UDP, where the sender may be anybody's lie; over TCP a refusal. */
function tooMany(query: Uint8Array, about: AskerDetails): Uint8Array | undefined {
  const message = about.overTcp ? readMessage(query) : undefined;
  if (message === undefined || message.isResponse) return undefined;
  const error = { code: extendedError.prohibited, text: 'too many questions' };
  return writeAnswer(message, { rcode: rcode.refused, extendedError: error });
}

function fit(answer: Uint8Array, query: DnsMessage, about: AskerDetails): Uint8Array | undefined {
  const offered = Math.max(plainUdpSize, query.opt()?.udpSize ?? plainUdpSize);
  const limit = about.overTcp ? about.maxBytes : Math.min(about.maxBytes, offered);
  if (answer.length <= limit) return answer;
  const message = readMessage(answer);
  return message === undefined ? undefined : fitAnswer(message, Math.max(plainUdpSize, limit));
}
