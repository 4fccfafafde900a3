/** Builds a Resolver from settings: parses upstreams, puts the filter in force, opens every address. */

import { formatAddress, parseAddress } from '../../core/base/ip.ts';
import type { Entropy, Log } from '../../core/base/ports.ts';
import { type CacheLimits, clientCacheLimits } from '../../core/dns/cache.ts';
import { queryPadding } from '../../core/dns/edns.ts';
import { readMessage } from '../../core/dns/reader.ts';
import { type ServiceBinding, serviceBindings } from '../../core/dns/svcb.ts';
import { recordType, safeUdpSize } from '../../core/dns/types.ts';
import { writeQuery } from '../../core/dns/writer.ts';
import type { Clock } from '../clock.ts';
import {
  addressesOf,
  isPublicService,
  parseUpstream,
  type UpstreamSpec,
  withFamily,
} from './parse-upstream.ts';
import { Resolver } from './resolver.ts';
import { systemDial } from './tls-dial.ts';
import { trustedCertificates } from './trust.ts';
import {
  type Dial,
  dohTimes,
  dotTimes,
  type Upstream,
  UpstreamError,
  type UpstreamParts,
  type UpstreamTarget,
} from './upstream.ts';
import { createDesignatedUpstream } from './upstream-designated.ts';
import { createDohUpstream } from './upstream-doh.ts';
import { createDotUpstream } from './upstream-dot.ts';
import { createNamedUpstream, type NamedAddresses } from './upstream-named.ts';
import { createPlainUpstream } from './upstream-plain.ts';
import { cloudflare, type Family } from './well-known.ts';

export interface ResolverSettings {
  /** As people write them; empty: every query is refused. */
  readonly upstreams: readonly string[];
  readonly family: Family;
  /** For addresses that are built in and written without a scheme. Default: 'dot'. */
  readonly preferred?: 'doh' | 'dot';
  readonly cache?: CacheLimits;
  readonly prefetch?: boolean;
  /** Certificates that are trusted besides the usual ones, PEM. */
  readonly caFile?: string;
}

export interface ResolverPlace {
  readonly clock: Clock;
  readonly log: Log;
  readonly entropy: Entropy;
  /** Default: the system's TCP. */
  readonly dial?: Dial;
  /** As in UpstreamParts. */
  readonly plainMark?: number | undefined;
}

export interface OpenedResolver {
  readonly resolver: Resolver;
  /** What the resolver asks, each by itself, for tests of the way. The resolver closes them. */
  readonly upstreams: readonly Upstream[];
  /** Upstreams that the filter does not reach, because somebody else runs them. */
  readonly unfiltered: readonly string[];
  /** Whether every upstream is a resolver of the Internet at large. */
  readonly isPublic: boolean;
}

/** Throws CulvertError for settings that make no sense. Connects to nobody yet. */
export function openResolver(settings: ResolverSettings, place: ResolverPlace): OpenedResolver {
  const parsed = settings.upstreams.map((text) => parseUpstream(text, settings.preferred));
  const { specs, unfiltered } = withFamily(parsed, settings.family);
  const opener = new Opener(place, trustedCertificates(settings.caFile), settings.family);
  const bare = new Set(settings.upstreams.map((text) => parseAddress(text.trim())).map(textOf));
  const upstreams = specs.map((spec) =>
    spec.service === undefined && bare.has(spec.host) ? [opener.openBare(spec)] : opener.open(spec, specs),
  );
  const resolver = new Resolver({
    upstreams,
    clock: place.clock,
    log: place.log,
    cache: settings.cache ?? clientCacheLimits,
    prefetch: settings.prefetch ?? false,
    random: () => randomPart(place.entropy),
  });
  return {
    resolver,
    upstreams: upstreams.flat(),
    unfiltered: unfiltered.map((spec) => spec.text),
    isPublic: specs.every(isPublicService),
  };
}

/** RFC 9462 §4. */
const designationName = '_dns.resolver.arpa';
const maxDesignated = 4;

function textOf(address: Uint8Array | undefined): string | undefined {
  return address === undefined ? undefined : formatAddress(address);
}

class Opener {
  readonly #place: ResolverPlace;
  readonly #trusted: readonly string[];
  readonly #family: Family;

  constructor(place: ResolverPlace, trusted: readonly string[], family: Family) {
    this.#place = place;
    this.#trusted = trusted;
    this.#family = family;
  }

  /** The addresses of `spec`; a name that is not built in asks the others for its own. */
  open(spec: UpstreamSpec, all: readonly UpstreamSpec[]): readonly Upstream[] {
    const known = addressesOf(spec);
    if (known.length > 0) {
      return known.map(({ address, identity }) => this.#openAt(spec, address, identity));
    }
    const { clock } = this.#place;
    const open = (address: string): Upstream => this.#openAt(spec, address, spec.tlsName ?? spec.host);
    const lookUp = (): Promise<NamedAddresses> => this.#lookUp(spec.host, all);
    return [createNamedUpstream({ name: spec.text, clock, lookUp, open })];
  }

  /** An address without a word how to ask there. */
  openBare(spec: UpstreamSpec): Upstream {
    const { clock } = this.#place;
    const direct = this.#openAt(spec, spec.host, spec.host);
    return createDesignatedUpstream({ direct, clock, discover: () => this.#discover(spec) });
  }

  async #discover(spec: UpstreamSpec): Promise<readonly Upstream[]> {
    const plain = this.#openAt(
      { ...spec, text: `udp://${spec.host}`, transport: 'plain', port: 53 },
      spec.host,
      '',
    );
    const edns = { udpSize: safeUdpSize };
    const query = writeQuery({ id: 0, name: designationName, type: recordType.svcb, edns });
    try {
      const answer = query === undefined ? undefined : readMessage(await plain.query(query));
      const bindings = answer === undefined ? [] : serviceBindings(answer);
      return bindings.flatMap((binding) => this.#openBound(spec, binding)).slice(0, maxDesignated);
    } finally {
      plain.close();
    }
  }

  /** What a binding tells, with a certificate for the address that the user wrote (RFC 9462 §4.2). */
  #openBound(spec: UpstreamSpec, binding: ServiceBinding): readonly Upstream[] {
    const { alpn, dohPath, addresses } = binding;
    const [hint] = addresses;
    const address = hint === undefined ? spec.host : formatAddress(hint);
    const path = (dohPath ?? '').replace(/\{\?dns\}$/, '');
    const open = (transport: 'doh' | 'dot', port: number): Upstream => {
      const text = `${transport === 'doh' ? 'https' : 'tls'}://${spec.host}`;
      return this.#openAt({ ...spec, text, transport, port, path }, address, spec.host);
    };
    if (alpn.includes('h2') && path.startsWith('/')) return [open('doh', binding.port ?? 443)];
    return alpn.includes('dot') ? [open('dot', binding.port ?? 853)] : [];
  }

  #openAt(spec: UpstreamSpec, address: string, identity: string): Upstream {
    const { clock, log, entropy, plainMark, dial = systemDial } = this.#place;
    const name = address === spec.host ? spec.text : `${spec.text} at ${address}`;
    const target: UpstreamTarget = { name, address, port: spec.port, identity, path: spec.path };
    const times = spec.transport === 'doh' ? dohTimes : dotTimes;
    const parts: UpstreamParts = { clock, log, trusted: this.#trusted, dial, times, plainMark };
    if (spec.transport === 'doh') return createDohUpstream(target, parts);
    const create = spec.transport === 'dot' ? createDotUpstream : createPlainUpstream;
    return create(target, parts, entropy);
  }

  /** Asks an upstream of known address that is encrypted, else 1.1.1.1; closes it again. */
  async #lookUp(host: string, all: readonly UpstreamSpec[]): Promise<NamedAddresses> {
    const others = all.filter((spec) => spec.transport !== 'plain' && addressesOf(spec).length > 0);
    const specs = others.length > 0 ? others : [parseUpstream(cloudflare[this.#family].addresses[0] ?? '')];
    let last: unknown = new UpstreamError('unreachable', `Nobody knows the address of ${host}.`);
    for (const spec of specs) {
      for (const upstream of this.open(spec, [])) {
        try {
          return await askAddresses(upstream, host);
        } catch (error) {
          last = error;
        } finally {
          upstream.close();
        }
      }
    }
    throw last;
  }
}

async function askAddresses(upstream: Upstream, host: string): Promise<NamedAddresses> {
  const edns = { udpSize: safeUdpSize, padTo: queryPadding };
  const asked = [recordType.a, recordType.aaaa].map(async (type) => {
    const query = writeQuery({ id: 0, name: host, type, edns });
    const answer = query === undefined ? undefined : readMessage(await upstream.query(query));
    return answer?.addresses() ?? [];
  });
  const found = (await Promise.all(asked)).flat();
  if (found.length === 0) throw new UpstreamError('unreachable', `${host} has no address.`);
  return {
    addresses: found.map(({ address }) => formatAddress(address)),
    ttl: Math.min(...found.map(({ ttl }) => ttl)),
  };
}

function randomPart(entropy: Entropy): number {
  const bytes = new Uint8Array(2);
  entropy.fill(bytes);
  return ((bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)) / 65_536;
}
