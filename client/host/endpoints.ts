/**
 * Finds where an edge is: the endpoints in its file → numeric ones that this network can reach, before there is a tunnel
 * and again while the edge is silent or the network is another one. On a network with IPv6 alone an IPv4 address is tried
 * behind the network's translation (RFC 7050).
 */

import { isIP } from 'node:net';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import { type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { PeerEndpoint } from '../connection/state.ts';
import type { EdgePlaces, EdgeProfile, ResolvePort, SeekRequest } from '../driver/ports.ts';
import {
  type LookupState,
  lookedUp,
  lookupDue,
  noLookup,
  silenceBegan,
  wasHeard,
} from '../liveness/re-resolve.ts';
import { behind, ipv4OnlyName, prefixIn, type TranslationPrefix } from './network/nat64.ts';

export interface EdgeFinderOptions {
  /** Addresses of a name, outside the tunnel; empty where nobody knows it. */
  readonly lookUp: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  readonly lookUpIpv6: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Those of them that there is a way to; undefined where nobody can tell. */
  readonly reachable: (addresses: readonly string[]) => ReadonlySet<string> | undefined;
  /** The network's own name servers. */
  readonly nameServers: () => readonly string[];
  /** Where an edge of that name was proven to be before; tried after what the name stands for now. */
  readonly knownAddresses?: (host: string) => readonly string[];
  /** Places for UDP at these addresses, the first first; default: the port of the file at each of them. */
  readonly placesAt?: (edge: string, addresses: readonly string[], port: number) => readonly Endpoint[];
  readonly clock: Pick<Clock, 'now'>;
}

interface PeerPlaces {
  readonly peer: number;
  readonly addresses: readonly string[];
  readonly port: number;
}

/** A network without translation is not asked for it more often than this. */
const translationHoldsMs: number = 30 * secondMs;

export class EdgeFinder implements ResolvePort {
  readonly #options: EdgeFinderOptions;
  #edge: string | undefined;
  #lookups: LookupState = noLookup;
  #known: readonly PeerPlaces[] = [];
  #translation: { readonly at: MonoMs; readonly prefix: TranslationPrefix | undefined } | undefined;

  constructor(options: EdgeFinderOptions) {
    this.#options = options;
  }

  async resolve(edge: EdgeProfile, signal: AbortSignal): Promise<EdgePlaces> {
    this.#about(edge);
    this.#known = await this.#places(edge, signal);
    this.#translation = undefined;
    const choices = await this.#choices(this.#known, signal);
    return { endpoints: firstOfEach(choices), choices };
  }

  async seek({
    edge,
    endpoints,
    silent,
  }: SeekRequest): Promise<{ choices: readonly PeerEndpoint[]; lost: boolean }> {
    const { reachable, clock } = this.#options;
    this.#about(edge);
    const ways = reachable(endpoints.map(({ address }) => address));
    const lost = ways !== undefined && endpoints.some(({ address }) => !ways.has(address));
    const now = clock.now();
    const named = hasName(edge);
    if (silent) this.#lookups = silenceBegan(this.#lookups, named, now);
    else this.#translation = undefined;
    const signal = AbortSignal.timeout(10 * secondMs);
    const nowhere = lost && !this.#reaches(this.#known);
    if (this.#known.length === 0 || (named && (nowhere || lookupDue(this.#lookups, now)))) {
      this.#lookups = lookedUp(this.#lookups, now);
      this.#known = await this.#places(edge, signal);
    }
    return { choices: await this.#choices(this.#known, signal), lost };
  }

  /** The edge answers: all is well with its address. */
  heard(): void {
    this.#lookups = wasHeard(this.#lookups);
  }

  nameServers(edge: EdgeProfile): readonly string[] {
    // A resolver inside the tunnel is not asked outside of it.
    const inside = edge.config.interface.dns;
    const servers = this.#options.nameServers().filter((address) => !inside.includes(address));
    if (hasName(edge)) return servers;
    return isIpv4Only(edge) ? servers.filter((address) => isIP(address) === 6) : [];
  }

  /** Whether what is known already leads to every peer from here. */
  #reaches(known: readonly PeerPlaces[]): boolean {
    return known.every(({ addresses }) => (this.#options.reachable(addresses)?.size ?? 1) > 0);
  }

  #about(edge: EdgeProfile): void {
    if (this.#edge === edge.name) return;
    this.#edge = edge.name;
    this.#lookups = noLookup;
    this.#known = [];
  }

  async #places(edge: EdgeProfile, signal: AbortSignal): Promise<readonly PeerPlaces[]> {
    const found: PeerPlaces[] = [];
    for (const [peer, { endpoint }] of edge.config.peers.entries()) {
      if (endpoint === undefined) continue;
      found.push({ peer, addresses: await this.#addresses(endpoint.host, signal), port: endpoint.port });
    }
    if (found.length > 0) return found;
    throw new CulvertError('bad-config', {
      text: 'No peer in the file of this edge has an Endpoint.',
      remedy: 'Add Endpoint = HOST:PORT to its [Peer] and import it again.',
    });
  }

  async #addresses(host: string, signal: AbortSignal): Promise<readonly string[]> {
    if (isNumeric(host)) return [host];
    const { lookUp, knownAddresses } = this.#options;
    const found = await lookUp(host, signal);
    const all = [...new Set([...found, ...(knownAddresses?.(host) ?? [])])];
    if (all.length > 0) return all;
    throw new CulvertError('endpoint-unresolved', { text: `The name ${host} cannot be looked up.` });
  }

  /** What this network can reach; where it reaches nothing, everything, since that may pass. */
  async #choices(known: readonly PeerPlaces[], signal: AbortSignal): Promise<readonly PeerEndpoint[]> {
    const found: PeerEndpoint[] = [];
    for (const { peer, addresses, port } of known) {
      const usable = await this.#usable(addresses, signal);
      const at = this.#options.placesAt?.(this.#edge ?? '', usable, port);
      for (const place of at ?? usable.map((address) => ({ address, port }))) found.push({ peer, ...place });
    }
    return found;
  }

  async #usable(addresses: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const ways = this.#options.reachable(addresses);
    if (ways === undefined) return addresses;
    const direct = addresses.filter((address) => ways.has(address));
    if (direct.length > 0) return direct;
    const translated = await this.#translated(addresses, signal);
    return translated.length > 0 ? translated : addresses;
  }

  async #translated(addresses: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const v4 = addresses.flatMap((text) => {
      const address = parseAddress(text);
      return address?.length === 4 ? [address] : [];
    });
    if (v4.length === 0) return [];
    const prefix = await this.#translationPrefix(signal);
    return prefix === undefined ? [] : v4.map((address) => formatAddress(behind(prefix, address)));
  }

  async #translationPrefix(signal: AbortSignal): Promise<TranslationPrefix | undefined> {
    const { clock, lookUpIpv6 } = this.#options;
    const now = clock.now();
    const known = this.#translation;
    if (known !== undefined && now - known.at < translationHoldsMs) return known.prefix;
    const answers = await lookUpIpv6(ipv4OnlyName, signal).catch(() => []);
    const [prefix] = answers.flatMap((text) => prefixIn(parseAddress(text) ?? new Uint8Array()) ?? []);
    this.#translation = { at: now, prefix };
    return prefix;
  }
}

function firstOfEach(choices: readonly PeerEndpoint[]): readonly PeerEndpoint[] {
  return choices.filter((one, i) => choices.findIndex(({ peer }) => peer === one.peer) === i);
}

function hasName(edge: EdgeProfile): boolean {
  return edge.config.peers.some(({ endpoint }) => endpoint !== undefined && !isNumeric(endpoint.host));
}

/** Then a network with IPv6 alone has to be asked for its translation. */
function isIpv4Only(edge: EdgeProfile): boolean {
  return edge.config.peers.some(({ endpoint }) => endpoint !== undefined && isIP(endpoint.host) === 4);
}

function isNumeric(host: string): boolean {
  return isIP(host.split('%')[0] ?? '') !== 0;
}
