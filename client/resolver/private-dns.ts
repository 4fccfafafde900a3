/**
 * Private DNS for this machine: the stub, the pipeline behind it, the upstreams behind that. Settings can be changed
 * while it runs. Tells the system nothing: that is host/dns.
 */

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { DnsStatus, RuleServers } from '../../shared/core/control/status.ts';
import { type DnsMessage, readMessage } from '../../shared/core/dns/reader.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { type OpenedResolver, openResolver } from '../../shared/node/resolver/open-resolver.ts';
import { parseUpstream } from '../../shared/node/resolver/parse-upstream.ts';
import type { Resolver, UpstreamState } from '../../shared/node/resolver/resolver.ts';
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
import { PlainServers } from './plain-servers.ts';
import { type LoggedQuery, QueryLog } from './query-log.ts';
import { RebindGuard } from './rebind.ts';
import { Stub, type StubPlace } from './stub.ts';

export interface PrivateDnsSettings {
  /** 'edge': plain, of a resolver that is inside the tunnel. */
  readonly transport: 'doh' | 'dot' | 'edge';
  /** As the user wrote them; empty: 1.1.1.1 over `transport`. */
  readonly upstreams: readonly string[];
  readonly families: Family;
  /** Rules of the user. */
  readonly fallback: readonly FallbackRule[];
  /** Names of a sign-in, which are the network's while it is wanted. */
  readonly signInNames?: readonly string[];
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
  /** The way around the tunnel for names of the user's rules; undefined: there is no tunnel to go around. */
  readonly around?: () => AroundTunnel | undefined;
  /** Names whose answers the split tunnel has to know before a program does. */
  readonly watch?: AnswerWatch;
}

export interface AroundTunnel {
  /** Of questions that go around it. */
  readonly mark: number;
  /** Resolves when these, and no others, may be asked with the mark, as far as the state allows it. */
  readonly open: (servers: readonly string[]) => Promise<void>;
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

/** Servers of rules that the firewall lets us ask beside the tunnel. */
const maxRuleServers = 16;
const listedPart = 'yours';
/** For one question of a test. */
const trialMs = 3000;

export class PrivateDns {
  readonly #parts: PrivateDnsParts;
  readonly #stub: Stub;
  readonly #log = new QueryLog();
  readonly #pipeline: Pipeline;
  readonly #plain: PlainServers;
  #settings: PrivateDnsSettings;
  #opened: OpenedResolver;
  #blockList: BlockList;
  /** When the questions came that are answered now. */
  #roundAt: MonoMs;

  /** Throws CulvertError for settings that make no sense. Opens nothing yet. */
  constructor(settings: PrivateDnsSettings, parts: PrivateDnsParts) {
    this.#parts = parts;
    this.#plain = new PlainServers(parts);
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
      askEdge: (query) => this.#plain.ask(query, { servers: parts.edgeServers(), origin: 'own' }),
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
    this.#plain.close();
    this.#opened.resolver.handleNetworkChange();
  }

  status(): DnsStatus {
    const { transport, families } = this.#settings;
    const place = this.#stub.place;
    const besideTunnel = this.#parts.around?.() === undefined ? [] : this.#ruleViews();
    return {
      transport,
      families,
      upstream: upstreamTexts(this.#settings)[0] ?? '',
      listen: place === undefined ? '' : formatPlace(place),
      ...(besideTunnel.length === 0 ? {} : { besideTunnel }),
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

  /** Whom the user's rules for the network have asked, as of now; the same order each time. */
  get ruleServers(): readonly string[] {
    const all = this.#ruleViews().flatMap(({ servers }) => servers);
    return [...new Set(all)].slice(0, maxRuleServers);
  }

  /** What plain DNS of this network says to the same question; undefined where there is nobody to ask. */
  async askNetwork(query: DnsMessage): Promise<DnsMessage | undefined> {
    const [server] = this.#parts.networkServers();
    if (server === undefined) return undefined;
    return readMessage(await this.#plain.upstream(server).query(query.bytes, AbortSignal.timeout(trialMs)));
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
    this.#plain.close();
    this.#log.turn(false);
  }

  #rules(closed: string | undefined): PipelineRules {
    const { transport, fallback, signInNames = [], rebindProtection, rebindAllow, families } = this.#settings;
    const signIn = signInNames.map((name) => ({ name, servers: [], via: 'network' }) as const);
    const asksEdge = transport === 'edge';
    return {
      localDomains: new LocalDomains([...fallback, ...signIn], !asksEdge),
      blockList: this.#blockList,
      rebind: rebindProtection ? new RebindGuard(rebindAllow) : undefined,
      // Who filters does not want to be gone around.
      closesCanaries: families !== 'off' || this.#blockList.size > 0,
      closed,
      asksEdge,
    };
  }

  #ruleViews(): readonly RuleServers[] {
    return this.#settings.fallback
      .filter(({ via }) => via === 'network')
      .map((rule) => ({ name: rule.name, servers: this.#serversFor(rule) }));
  }

  #serversFor({ servers, via }: FallbackRule): readonly string[] {
    const { networkServers, edgeServers } = this.#parts;
    if (servers.length > 0) return servers;
    return via === 'network' ? networkServers() : edgeServers();
  }

  async #askOutside(query: DnsMessage): Promise<Found> {
    const { bytes, source } = await this.#opened.resolver.resolve(query);
    return { bytes, origin: source === 'failure' ? 'failed' : source };
  }

  #askLocal(query: DnsMessage, rule: FallbackRule): Promise<Found | undefined> {
    const servers = this.#serversFor(rule);
    // What the user gave to the network, and nothing else, may go around a tunnel.
    const isYours = rule.via === 'network' && this.#settings.fallback.includes(rule);
    const around = isYours ? this.#parts.around?.() : undefined;
    if (around === undefined) return this.#plain.ask(query, { servers, origin: 'network' });
    return this.#askAround(query, servers, around);
  }

  async #askAround(
    query: DnsMessage,
    servers: readonly string[],
    around: AroundTunnel,
  ): Promise<Found | undefined> {
    const open = this.ruleServers;
    await around.open(open);
    const among = servers.filter((server) => open.includes(server));
    if (among.length === 0 && servers.length > 0) throw new Error('rules name too many servers');
    return this.#plain.ask(query, { servers: among, origin: 'network', aroundMark: around.mark });
  }
}

export function formatPlace(place: StubPlace): string {
  return place.address.includes(':') ? `[${place.address}]:${place.port}` : `${place.address}:${place.port}`;
}

/** The upstreams in force, as URLs, filter included. */
export function upstreamTexts(settings: PrivateDnsSettings): readonly string[] {
  const { upstreams, families } = settings;
  const preferred = preferredOf(settings);
  if (upstreams.length > 0) return upstreams.map((text) => parseUpstream(text, preferred).text);
  return cloudflare[families].addresses.map((address) => parseUpstream(address, preferred).text);
}

/** For upstreams that do not say it. */
function preferredOf({ transport }: PrivateDnsSettings): 'doh' | 'dot' {
  return transport === 'doh' ? 'doh' : 'dot';
}

/** Of the settings, what says who is asked. */
function askedOf(settings: PrivateDnsSettings): unknown {
  const { transport, upstreams, families, caFile } = settings;
  return { transport, upstreams, families, caFile };
}

function open(settings: PrivateDnsSettings, parts: PrivateDnsParts): OpenedResolver {
  const { upstreams, families, caFile } = settings;
  const { clock, log, entropy, plainMark } = parts;
  // The first address of 1.1.1.1 stands for all of them.
  const texts = upstreams.length > 0 ? upstreams : cloudflare.off.addresses.slice(0, 1);
  return openResolver(
    {
      upstreams: texts,
      family: families,
      preferred: preferredOf(settings),
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
