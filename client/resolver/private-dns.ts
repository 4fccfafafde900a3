/**
 * Private DNS for this machine: the stub, the pipeline behind it, the upstreams behind that. Settings can be changed
 * while it runs. Tells the system nothing: that is host/dns.
 */

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { dressAnswer, stripAnswer } from '../../shared/core/dns/edns.ts';
import { type DnsMessage, readMessage } from '../../shared/core/dns/reader.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { type OpenedResolver, openResolver } from '../../shared/node/resolver/open-resolver.ts';
import { parseUpstream } from '../../shared/node/resolver/parse-upstream.ts';
import type { Resolver, UpstreamState } from '../../shared/node/resolver/resolver.ts';
import { systemDial } from '../../shared/node/resolver/tls-dial.ts';
import { dotTimes, type Upstream } from '../../shared/node/resolver/upstream.ts';
import { createPlainUpstream } from '../../shared/node/resolver/upstream-plain.ts';
import { cloudflare, type Family } from '../../shared/node/resolver/well-known.ts';
import { BlockList, type BlockSource } from './block-list.ts';
import { type FallbackRule, LocalDomains } from './local-domains.ts';
import {
  type AnswerWatch,
  type Found,
  Pipeline,
  type PipelineCounts,
  type PipelineRules,
} from './pipeline.ts';
import { type LoggedQuery, QueryLog } from './query-log.ts';
import { RebindGuard } from './rebind.ts';
import { Stub, type StubPlace } from './stub.ts';

export interface PrivateDnsSettings {
  readonly transport: 'doh' | 'dot';
  /** As the user wrote them; empty: 1.1.1.1 over `transport`. */
  readonly upstreams: readonly string[];
  readonly families: Family;
  readonly fallback: readonly FallbackRule[];
  /** Files of block lists. */
  readonly blockFiles: readonly string[];
  readonly block: readonly string[];
  readonly allow: readonly string[];
  readonly rebindProtection: boolean;
  readonly rebindAllow: readonly string[];
  readonly caFile: string;
  readonly queryLog: boolean;
}

export interface PrivateDnsParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly entropy: Entropy;
  /** Name servers of the network that we are in, numeric; asked for local names alone. */
  readonly networkServers: () => readonly string[];
  /** Resolvers inside the tunnel, numeric; empty where there is none. */
  readonly edgeServers: () => readonly string[];
  /** Firewall mark of questions that go in the clear; absent: none. */
  readonly plainMark?: number | undefined;
  /** Names whose answers the split tunnel has to know before a program does. */
  readonly watch?: AnswerWatch;
}

export interface PrivateDnsStatus {
  readonly transport: 'doh' | 'dot';
  readonly families: Family;
  /** The first upstream, as a URL. */
  readonly upstream: string;
  /** Where programs ask. */
  readonly listen: string;
}

export interface DnsStats {
  readonly answers: PipelineCounts;
  readonly cache: { readonly hits: number; readonly misses: number; readonly entries: number };
  readonly upstreams: readonly UpstreamState[];
  readonly blockLists: readonly { readonly name: string; readonly names: number; readonly ignored: number }[];
}

/** How one answer came about, for `culvert dns test`. */
export interface DnsTrace {
  readonly bytes: Uint8Array;
  readonly origin: Found['origin'];
  readonly ms: number;
}

/** One upstream asked by itself: how long it took, or why there was no answer. */
export interface UpstreamTrial {
  readonly name: string;
  readonly ms?: number;
  readonly failure?: string;
}

const plainPort = 53;
/** Plain upstreams that stay open; a network has two or three. */
const maxPlainUpstreams = 16;
const listedPart = 'yours';
/** For one question of a test. */
const trialMs = 3000;

export class PrivateDns {
  readonly #parts: PrivateDnsParts;
  readonly #stub: Stub;
  readonly #log = new QueryLog();
  readonly #pipeline: Pipeline;
  readonly #plain = new Map<string, Upstream>();
  #settings: PrivateDnsSettings;
  #opened: OpenedResolver;
  #blockList: BlockList;
  /** When the questions came that are answered now. */
  #roundAt: MonoMs;

  /** Throws CulvertError for settings that make no sense. Opens nothing yet. */
  constructor(settings: PrivateDnsSettings, parts: PrivateDnsParts) {
    this.#parts = parts;
    this.#settings = settings;
    this.#opened = open(settings, parts);
    this.#blockList = readBlockList(settings, parts.log);
    this.#log.turn(settings.queryLog);
    const { clock } = parts;
    this.#roundAt = clock.now();
    this.#pipeline = new Pipeline(this.#rules(undefined), {
      askOutside: (query) => this.#askOutside(query),
      fromCache: (query, key) => this.#opened.resolver.answerFromCache(query, key),
      atOnce: (question, answer) => this.#opened.resolver.answerAtOnce(question, answer, this.#roundAt),
      forgetAtOnce: () => this.#opened.resolver.forgetHot(),
      askLocal: (query, rule) => this.#askLocal(query, rule),
      askEdge: (query) => this.#askPlain(query, parts.edgeServers(), 'own'),
      ...(parts.watch === undefined ? {} : { watch: parts.watch }),
      log: this.#log,
      now: () => clock.now(),
      unixNow: () => clock.unix(),
    });
    this.#stub = new Stub({
      answer: (query, about) => this.#pipeline.answer(query, about),
      atOnce: {
        beginRound: () => {
          this.#roundAt = clock.now();
        },
        answer: (question, answer) => this.#pipeline.answerAtOnce(question, answer),
      },
      log: parts.log,
    });
  }

  get place(): StubPlace | undefined {
    return this.#stub.place;
  }

  get resolver(): Resolver {
    return this.#opened.resolver;
  }

  /** Rejects with CulvertError where none of the places can be had. */
  listen(places: readonly StubPlace[]): Promise<StubPlace> {
    return this.#stub.listen(places);
  }

  /** Applies settings to the running resolver, all or, where they make no sense, none (throws). */
  change(settings: PrivateDnsSettings): void {
    const asksOthers = !isDeepStrictEqual(askedOf(settings), askedOf(this.#settings));
    const opened = asksOthers ? open(settings, this.#parts) : this.#opened;
    this.#blockList = readBlockList(settings, this.#parts.log);
    // Another filter, another cache: an answer of the old one must not outlive it.
    if (asksOthers) this.#opened.resolver.close();
    this.#opened = opened;
    this.#settings = settings;
    this.#log.turn(settings.queryLog);
    this.#pipeline.rules = this.#rules(this.#pipeline.rules.closed);
  }

  /** `why`: everything fails with this sentence; undefined: answers. */
  setClosed(why: string | undefined): void {
    this.#pipeline.rules = this.#rules(why);
  }

  /** Other names are watched now: what was answered at once goes the long way again. */
  handleWatchChange(): void {
    this.#pipeline.rules = this.#rules(this.#pipeline.rules.closed);
  }

  /** Another network, or the tunnel came or went: connections of before lead nowhere. */
  handleNetworkChange(): void {
    for (const upstream of this.#plain.values()) upstream.close();
    this.#plain.clear();
    this.#opened.resolver.handleNetworkChange();
  }

  status(): PrivateDnsStatus {
    const { transport, families } = this.#settings;
    const place = this.#stub.place;
    return {
      transport,
      families,
      upstream: upstreamTexts(this.#settings)[0] ?? '',
      listen: place === undefined ? '' : formatPlace(place),
    };
  }

  stats(): DnsStats {
    const { cache } = this.#opened.resolver;
    return {
      answers: { ...this.#pipeline.counts },
      cache: { hits: cache.counts.hits, misses: cache.counts.misses, entries: cache.entries },
      upstreams: this.#opened.resolver.upstreams(),
      blockLists: this.#blockList.sources,
    };
  }

  /** A filter is asked for that some upstream does not know. */
  get hasUnfiltered(): boolean {
    return this.#opened.unfiltered.length > 0;
  }

  /** Every upstream has failed lately. */
  get isUnanswered(): boolean {
    const states = this.#opened.resolver.upstreams();
    return states.length > 0 && states.every((state) => state.isDown);
  }

  /** Upstreams whose certificate is not to be trusted. */
  get untrusted(): readonly string[] {
    const states = this.#opened.resolver.upstreams();
    return states.filter(({ isUntrusted }) => isUntrusted).map(({ name }) => name);
  }

  /** Asks as a program of this machine would. */
  async trace(query: DnsMessage): Promise<DnsTrace> {
    const { clock } = this.#parts;
    const started = clock.now();
    const { bytes, origin } = await this.#pipeline.resolve(query);
    return { bytes, origin, ms: clock.now() - started };
  }

  /** Asks every upstream the same question by itself, around cache and lists. */
  askEach(query: DnsMessage): Promise<readonly UpstreamTrial[]> {
    const { clock } = this.#parts;
    const trials = this.#opened.upstreams.map(async (upstream): Promise<UpstreamTrial> => {
      const { name } = upstream;
      const started = clock.now();
      try {
        await upstream.query(query.bytes, AbortSignal.timeout(trialMs));
        return { name, ms: Math.round((clock.now() - started) * 10) / 10 };
      } catch (error) {
        return { name, failure: error instanceof Error ? error.message : String(error) };
      }
    });
    return Promise.all(trials);
  }

  /** What plain DNS of this network says to the same question; undefined where there is nobody to ask. */
  async askNetwork(query: DnsMessage): Promise<DnsMessage | undefined> {
    const [server] = this.#parts.networkServers();
    if (server === undefined) return undefined;
    return readMessage(await this.#plainUpstream(server).query(query.bytes, AbortSignal.timeout(trialMs)));
  }

  /** Whether such a name is asked of the private upstreams at all. */
  goesOutside(query: DnsMessage): boolean {
    return this.#pipeline.goesOutside(query);
  }

  queries(): readonly LoggedQuery[] {
    return this.#log.list();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#stub.close();
    this.#opened.resolver.close();
    for (const upstream of this.#plain.values()) upstream.close();
    this.#plain.clear();
    this.#log.turn(false);
  }

  #rules(closed: string | undefined): PipelineRules {
    const { fallback, rebindProtection, rebindAllow, families } = this.#settings;
    return {
      localDomains: new LocalDomains(fallback),
      blockList: this.#blockList,
      rebind: rebindProtection ? new RebindGuard(rebindAllow) : undefined,
      // Who filters does not want to be gone around.
      closesCanaries: families !== 'off' || this.#blockList.size > 0,
      closed,
    };
  }

  async #askOutside(query: DnsMessage): Promise<Found> {
    const { bytes, source } = await this.#opened.resolver.resolve(query);
    return { bytes, origin: source === 'failure' ? 'failed' : source };
  }

  #askLocal(query: DnsMessage, rule: FallbackRule): Promise<Found | undefined> {
    const { networkServers, edgeServers } = this.#parts;
    const given = rule.via === 'network' ? networkServers() : edgeServers();
    return this.#askPlain(query, rule.servers.length > 0 ? rule.servers : given, 'network');
  }

  /** One server after the other. Undefined where there is nobody to ask; rejects where nobody answers. */
  async #askPlain(
    query: DnsMessage,
    servers: readonly string[],
    origin: 'network' | 'own',
  ): Promise<Found | undefined> {
    let problem: Error | undefined;
    for (const server of servers) {
      try {
        const answer = readMessage(await this.#plainUpstream(server).query(query.bytes));
        const stored = answer === undefined ? undefined : stripAnswer(answer);
        if (stored !== undefined) return { bytes: dressAnswer(query, stored, { ageSeconds: 0 }), origin };
      } catch (error) {
        problem = error instanceof Error ? error : new Error(String(error));
      }
    }
    if (problem !== undefined) throw problem;
    return undefined;
  }

  #plainUpstream(server: string): Upstream {
    const known = this.#plain.get(server);
    if (known !== undefined) return known;
    if (this.#plain.size >= maxPlainUpstreams) {
      for (const upstream of this.#plain.values()) upstream.close();
      this.#plain.clear();
    }
    const { clock, log, entropy, plainMark } = this.#parts;
    const target = { name: `udp://${server}`, address: server, port: plainPort, identity: '', path: '' };
    const upstream = createPlainUpstream(
      target,
      { clock, log, trusted: [], dial: systemDial, times: dotTimes, plainMark },
      entropy,
    );
    this.#plain.set(server, upstream);
    return upstream;
  }
}

export function formatPlace(place: StubPlace): string {
  return place.address.includes(':') ? `[${place.address}]:${place.port}` : `${place.address}:${place.port}`;
}

/** The upstreams in force, as URLs, filter included. */
export function upstreamTexts(settings: PrivateDnsSettings): readonly string[] {
  const { upstreams, transport, families } = settings;
  if (upstreams.length > 0) return upstreams.map((text) => parseUpstream(text, transport).text);
  return cloudflare[families].addresses.map((address) => parseUpstream(address, transport).text);
}

/** Of the settings, what says who is asked. */
function askedOf(settings: PrivateDnsSettings): unknown {
  const { transport, upstreams, families, caFile } = settings;
  return { transport, upstreams, families, caFile };
}

function open(settings: PrivateDnsSettings, parts: PrivateDnsParts): OpenedResolver {
  const { transport, upstreams, families, caFile } = settings;
  const { clock, log, entropy, plainMark } = parts;
  // The first address of 1.1.1.1 stands for all of them.
  const texts = upstreams.length > 0 ? upstreams : cloudflare.off.addresses.slice(0, 1);
  return openResolver(
    {
      upstreams: texts,
      family: families,
      preferred: transport,
      ...(caFile === '' ? {} : { caFile }),
    },
    { clock, log, entropy, plainMark },
  );
}

function readBlockList(settings: PrivateDnsSettings, log: Log): BlockList {
  const sources = settings.blockFiles.flatMap((path): readonly BlockSource[] => {
    try {
      return [{ name: path, text: readFileSync(path, 'utf8') }];
    } catch (cause) {
      throw new CulvertError('file-unreadable', {
        text: `The block list ${path} cannot be read.`,
        remedy: 'Check its path, or take it out: culvert settings reset dns.blockFiles',
        cause,
      });
    }
  });
  const own = { name: listedPart, text: settings.block.join('\n') };
  const list = new BlockList(settings.block.length === 0 ? sources : [...sources, own], settings.allow);
  for (const { name, names, ignored } of list.sources) {
    log.info('a block list was read', { file: name, names, ignored });
  }
  return list;
}
