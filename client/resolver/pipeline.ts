/**
 * One answer for one question, in this order: what is no question, our own names, names that never leave, blocked
 * names, names of the network, then the private upstream. Decides where; others ask. Never rejects.
 */

import type { Span } from '../../shared/core/base/span.ts';
import type { MonoMs, UnixMs } from '../../shared/core/base/time.ts';
import { cacheKey } from '../../shared/core/dns/cache.ts';
import { canonicalText } from '../../shared/core/dns/name.ts';
import { type DnsMessage, readMessage } from '../../shared/core/dns/reader.ts';
import {
  answerSpecialName,
  findSpecialName,
  noSuchName,
  nothingOfThisType,
  refuseAny,
} from '../../shared/core/dns/special-names.ts';
import { extendedError, plainUdpSize, rcode, recordClass, recordType } from '../../shared/core/dns/types.ts';
import { fitAnswer, writeAnswer, writeFormatError } from '../../shared/core/dns/writer.ts';
import type { BlockList } from './block-list.ts';
import type { FallbackRule, LocalDomains } from './local-domains.ts';
import type { AnswerOrigin, QueryLog } from './query-log.ts';
import type { RebindGuard } from './rebind.ts';
import type { AskedHow } from './stub.ts';

/** An answer that fits the question, ready but for its size. */
export interface Found {
  readonly bytes: Uint8Array;
  readonly origin: AnswerOrigin;
}

/** Everything that may change while questions come: a new object replaces the old one. */
export interface PipelineRules {
  readonly localDomains: LocalDomains;
  readonly blockList: BlockList;
  /** Undefined: off. */
  readonly rebind: RebindGuard | undefined;
  /** Browsers and phones ask such names to learn whether they may go around this resolver: no. */
  readonly closesCanaries: boolean;
  /** Why nothing may be answered now; undefined while all is well. */
  readonly closed: string | undefined;
  /** The upstream is the edge's own: names of private networks are asked of it like all others. */
  readonly asksEdge?: boolean;
}

export interface PipelineParts {
  /** The private upstream, with its cache. Rejects where nobody answers. */
  readonly askOutside: (query: DnsMessage) => Promise<Found>;
  /** What the cache of the private upstream has for the question, fresh. `key`: its cacheKey. */
  readonly fromCache: (query: DnsMessage, key: string) => Uint8Array | undefined;
  /** What that has answered before, from bytes to bytes; false: the long way. */
  readonly atOnce: (question: Span, answer: Span) => boolean;
  /** What was answered before has to go the long way again. */
  readonly forgetAtOnce: () => void;
  /** The network's own resolver, or the rule's. Undefined where there is none. */
  readonly askLocal: (query: DnsMessage, rule: FallbackRule) => Promise<Found | undefined>;
  /** Names under `culvert`: of the edge, its devices. Undefined where there is no tunnel. */
  readonly askEdge: (query: DnsMessage) => Promise<Found | undefined>;
  /** Names whose answers somebody here has to know before the program that asked does. */
  readonly watch?: AnswerWatch;
  readonly log: QueryLog;
  readonly now: () => MonoMs;
  readonly unixNow: () => UnixMs;
}

export interface AnswerWatch {
  readonly wants: (name: string) => boolean;
  /** Resolves when the program may have the answer. Never rejects. */
  readonly learn: (name: string, answer: Uint8Array) => Promise<void>;
}

export type PipelineCounts = Record<AnswerOrigin, number>;

/** Firefox's question and that of Apple's relay. */
const canaries: readonly string[] = ['use-application-dns.net', 'mask.icloud.com', 'mask-h2.icloud.com'];
const ownTopName = 'culvert';
/** Short, so that an unblocked name works soon. */
const blockedTtl = 10;
const localTtl = 60;
/** Questions that no stub asks. */
const refusedTypes: ReadonlySet<number> = new Set<number>([
  recordType.axfr,
  recordType.ixfr,
  recordType.tkey,
  recordType.tsig,
  recordType.maila,
  recordType.mailb,
]);

/** Names that are known to go outside; then they are forgotten all at once. */
const maxOutsideKeys = 20_000;

export class Pipeline {
  #rules: PipelineRules;
  /** Keys of questions that the rules of now send outside, so that the usual answer needs no look at any list. */
  readonly #outside = new Set<string>();
  readonly counts: PipelineCounts = {
    cache: 0,
    stale: 0,
    upstream: 0,
    network: 0,
    own: 0,
    special: 0,
    blocked: 0,
    rebind: 0,
    failed: 0,
  };
  readonly #parts: PipelineParts;

  constructor(rules: PipelineRules, parts: PipelineParts) {
    this.#rules = rules;
    this.#parts = parts;
  }

  get rules(): PipelineRules {
    return this.#rules;
  }

  set rules(rules: PipelineRules) {
    this.#rules = rules;
    this.#outside.clear();
    this.#parts.forgetAtOnce();
  }

  /** For the stub, before `answer`: the usual answer, asked for more than once. Nothing is logged here. */
  answerAtOnce(question: Span, answer: Span): boolean {
    if (this.#parts.log.isOn || !this.#parts.atOnce(question, answer)) return false;
    this.counts.cache++;
    return true;
  }

  /** For the stub. Undefined: silence, since it was no question. At once where the cache has it. */
  answer(bytes: Uint8Array, about: AskedHow): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const query = readMessage(bytes);
    if (query === undefined) return writeFormatError(bytes);
    if (query.isResponse) return undefined;
    const refusal = refusalOf(query);
    if (refusal !== undefined) return refusal;
    const cached = this.#fromCache(query);
    if (cached !== undefined) return fitted(query, cached, about);
    return this.resolve(query).then((found) => fitted(query, found.bytes, about));
  }

  /** The usual answer: to a name that nothing here is about, asked before. */
  #fromCache(query: DnsMessage): Uint8Array | undefined {
    if (this.#outside.size === 0 || this.#parts.log.isOn) return undefined;
    const key = cacheKey(query);
    const bytes = this.#outside.has(key) ? this.#parts.fromCache(query, key) : undefined;
    if (bytes !== undefined) this.counts.cache++;
    return bytes;
  }

  /** Answers are looked at where they may lead to a blocked name or into this network. */
  get #looksAtAnswers(): boolean {
    const { blockList, rebind } = this.#rules;
    return blockList.size > 0 || rebind !== undefined;
  }

  #noteOutside(query: DnsMessage): void {
    if (this.#looksAtAnswers) return;
    if (this.#outside.size >= maxOutsideKeys) this.#outside.clear();
    this.#outside.add(cacheKey(query));
  }

  /** Whether such a name is asked of the private upstreams at all; where not, a test must not ask them either. */
  goesOutside(query: DnsMessage): boolean {
    const { blockList, localDomains } = this.#rules;
    const name = canonicalText(query.question?.name ?? '.');
    const isOurs = name === ownTopName || name.endsWith(`.${ownTopName}`);
    if (isOurs || blockList.find(name) !== undefined || localDomains.find(name) !== undefined) return false;
    return [false, true].every((isPublic) => findSpecialName(query.questionName, isPublic) === undefined);
  }

  /** For a question that makes sense. Counts and logs; the answer may be larger than the asker takes. */
  async resolve(query: DnsMessage): Promise<Found> {
    const started = this.#parts.now();
    const name = canonicalText(query.question?.name ?? '.');
    const found = await this.#find(query, name).catch((): Found => failure(query, 'no upstream answers'));
    this.counts[found.origin]++;
    const { log, now, unixNow, watch } = this.#parts;
    if (watch?.wants(name) === true) await watch.learn(name, found.bytes);
    if (log.isOn) {
      const type = query.question?.type ?? 0;
      log.add({ at: unixNow(), name, type, origin: found.origin, ms: now() - started });
    }
    return found;
  }

  async #find(query: DnsMessage, name: string): Promise<Found> {
    const { closed, blockList, localDomains, closesCanaries } = this.#rules;
    const special = findSpecialName(query.questionName, false);
    if (special !== undefined) return { bytes: answerSpecialName(query, special), origin: 'special' };
    if (closed !== undefined) return failure(query, closed);
    if (name === ownTopName || name.endsWith(`.${ownTopName}`)) {
      return (await this.#parts.askEdge(query)) ?? nobody(query, 'own');
    }
    if (query.question?.type === recordType.any) return { bytes: refuseAny(query), origin: 'special' };
    if (closesCanaries && canaries.some((canary) => name === canary)) return nobody(query, 'special');
    if (blockList.find(name) !== undefined) return blocked(query);
    const rule = localDomains.find(name);
    if (rule !== undefined) {
      const local = await this.#parts.askLocal(query, rule);
      if (local !== undefined) return local;
      // Nobody to ask here, and nobody elsewhere shall learn it.
      return nobody(query, 'special');
    }
    const outside = findSpecialName(query.questionName, true);
    if (outside !== undefined && this.#rules.asksEdge !== true)
      return { bytes: answerSpecialName(query, outside), origin: 'special' };
    if (this.#parts.watch?.wants(name) !== true) this.#noteOutside(query);
    return this.#checked(query, name, await this.#parts.askOutside(query));
  }

  /** Aliases may lead to a blocked name, and answers into this network. */
  #checked(query: DnsMessage, name: string, found: Found): Found {
    if (!this.#looksAtAnswers) return found;
    const { blockList, rebind } = this.#rules;
    const answer = readMessage(found.bytes);
    if (answer === undefined) return found;
    const isBlocked = answer.aliases().some((alias) => blockList.find(canonicalText(alias)) !== undefined);
    if (isBlocked) return blocked(query);
    if (rebind?.isAttack(name, answer) !== true) return found;
    const error = { code: extendedError.filtered, text: 'an address of your own network' };
    return {
      bytes: writeAnswer(query, { rcode: rcode.nxDomain, extendedError: error }),
      origin: 'rebind',
    };
  }
}

function refusalOf(query: DnsMessage): Uint8Array | undefined {
  if (query.opcode !== 0) return writeAnswer(query, { rcode: rcode.notImp });
  if (query.question === undefined || !query.isWellFormed) return writeFormatError(query.bytes);
  const opt = query.opt();
  if (opt !== undefined && opt.version > 0) return writeAnswer(query, { rcode: rcode.badVers });
  if (query.question.class !== recordClass.in) return writeAnswer(query, { rcode: rcode.refused });
  if (refusedTypes.has(query.question.type)) return writeAnswer(query, { rcode: rcode.notImp });
  return undefined;
}

/** As the public filters say it: an address where nobody is, nothing for other types. */
function blocked(query: DnsMessage): Found {
  const { type } = query.question ?? {};
  const error = { code: extendedError.blocked, text: 'on a block list' };
  const size = type === recordType.a ? 4 : type === recordType.aaaa ? 16 : 0;
  const plan =
    size === 0
      ? nothingOfThisType(query.questionName, blockedTtl)
      : {
          rcode: rcode.noError,
          answers: [{ type: type ?? recordType.a, ttl: blockedTtl, rdata: new Uint8Array(size) }],
        };
  return { bytes: writeAnswer(query, { ...plan, extendedError: error }), origin: 'blocked' };
}

function nobody(query: DnsMessage, origin: 'own' | 'special'): Found {
  return { bytes: writeAnswer(query, noSuchName(query.questionName, localTtl)), origin };
}

function failure(query: DnsMessage, text: string): Found {
  const error = { code: extendedError.noReachableAuthority, text };
  return { bytes: writeAnswer(query, { rcode: rcode.servFail, extendedError: error }), origin: 'failed' };
}

/** Over UDP no more than the asker takes: 512 bytes, or what its OPT says (RFC 6891 §6.2.3). */
function fitted(query: DnsMessage, bytes: Uint8Array, about: AskedHow): Uint8Array {
  const offered = about.overTcp
    ? about.maxBytes
    : Math.max(plainUdpSize, query.opt()?.udpSize ?? plainUdpSize);
  const most = Math.min(about.maxBytes, offered);
  if (bytes.length <= most) return bytes;
  const answer = readMessage(bytes);
  return answer === undefined ? bytes.slice(0, most) : fitAnswer(answer, most);
}
