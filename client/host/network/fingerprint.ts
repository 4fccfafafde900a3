/**
 * Which network are we in? A snapshot → one short text that stays the same while packets take the same way, and
 * changes when they take another. Pure. It looks at the ways in use, not at what else is plugged in: containers
 * and spare interfaces come and go without a word.
 */

import { maskAddress, parseAddress, parsePrefix, prefixContains } from '../../../shared/core/base/ip.ts';
import type { AddressMessage, RouteMessage } from './rtnetlink.ts';
import type { NetworkSnapshot } from './snapshot.ts';

/** 'none': no way out. Else an id that means nothing but itself; it holds addresses, so it is for DEBUG logs only. */
export type NetworkId = string;

export const noNetwork: NetworkId = 'none';

export type NetworkFact =
  /** From one network to another, or to another address in it: what we sent from is gone. */
  | { readonly kind: 'network-changed'; readonly from: NetworkId; readonly to: NetworkId }
  | { readonly kind: 'network-gone'; readonly from: NetworkId }
  | { readonly kind: 'network-back'; readonly to: NetworkId };

/** IPv6 privacy addresses change every day inside one /64, and sockets follow by themselves. */
const ipv6NetworkBits = 64;
/** Of one family on one interface; more say no more. */
const maxOwnAddresses = 4;

/** `own`: names of our tunnel interfaces, which are never the way out. */
export function fingerprint(snapshot: NetworkSnapshot, own: ReadonlySet<string>): NetworkId {
  const names = new Map<number, string>();
  for (const link of snapshot.links) {
    if (link.up && link.running && !link.gone && !own.has(link.name)) names.set(link.index, link.name);
  }
  const parts = [4, 6].flatMap((family) => {
    const route = bestDefault(snapshot.routes, names, family);
    if (route === undefined) return [];
    const ours = ownAddresses(snapshot.addresses, route.index, family);
    // Without an address of ours nothing can be sent: DHCP has not answered yet.
    if (ours.length === 0 && route.source === undefined) return [];
    return [`v${family} ${names.get(route.index)} ${route.gateway ?? '-'} ${ours.join(',')}`];
  });
  const ways = snapshot.ways.flatMap((way) => {
    const name = names.get(way.index);
    if (name === undefined) return [];
    const source = way.source === undefined ? '-' : networkPart(way.source, 128);
    return [`to ${name} ${way.gateway ?? '-'} ${source}`];
  });
  const all = [...new Set([...parts, ...ways])];
  return all.length === 0 ? noNetwork : all.join('; ');
}

/** Name of the interface that packets leave by, IPv4 first; undefined where there is no way out. */
export function wayOut(snapshot: NetworkSnapshot, own: ReadonlySet<string>): string | undefined {
  const names = new Map<number, string>();
  for (const link of snapshot.links) {
    if (link.up && link.running && !link.gone && !own.has(link.name)) names.set(link.index, link.name);
  }
  const route = bestDefault(snapshot.routes, names, 4) ?? bestDefault(snapshot.routes, names, 6);
  return route === undefined ? undefined : names.get(route.index);
}

/** What going from one to the other means; undefined: nothing. */
export function factBetween(from: NetworkId, to: NetworkId): NetworkFact | undefined {
  if (from === to) return undefined;
  if (to === noNetwork) return { kind: 'network-gone', from };
  return from === noNetwork ? { kind: 'network-back', to } : { kind: 'network-changed', from, to };
}

/** A range of ours inside the tunnel that the network around us uses, too. */
export interface Collision {
  readonly tunnelPrefix: string;
  readonly localPrefix: string;
  readonly interfaceName: string;
}

const maxCollisions = 16;

/**
 * Narrow ranges of the tunnel that overlap with routes of other interfaces: a hotel's 10.0.0.0/8, another VPN.
 * Default routes, halves of them and single addresses of ours overlap with everything and mean nothing.
 */
export function collisions(
  snapshot: NetworkSnapshot,
  tunnelPrefixes: readonly string[],
  own: ReadonlySet<string>,
): readonly Collision[] {
  const names = new Map(snapshot.links.map((link) => [link.index, link.name]));
  const found: Collision[] = [];
  for (const route of snapshot.routes) {
    const local = parsePrefix(route.prefix);
    const interfaceName = names.get(route.index) ?? '?';
    if (local === undefined || local.bits <= 1 || own.has(interfaceName)) continue;
    if (route.prefix.startsWith('fe80:')) continue;
    for (const text of tunnelPrefixes) {
      const tunnel = parsePrefix(text);
      if (tunnel === undefined || tunnel.bits <= 1) continue;
      if (!prefixContains(local, tunnel.address) && !prefixContains(tunnel, local.address)) continue;
      if (found.length >= maxCollisions) return found;
      found.push({ tunnelPrefix: text, localPrefix: route.prefix, interfaceName });
    }
  }
  return found;
}

function bestDefault(
  routes: readonly RouteMessage[],
  usable: ReadonlyMap<number, string>,
  family: number,
): RouteMessage | undefined {
  let best: RouteMessage | undefined;
  for (const route of routes) {
    if (route.bits !== 0 || route.family !== family || !route.alive || !usable.has(route.index)) continue;
    if (best === undefined || route.metric < best.metric) best = route;
  }
  return best;
}

function ownAddresses(
  addresses: readonly AddressMessage[],
  index: number,
  family: number,
): readonly string[] {
  const ours = addresses
    .filter((one) => one.index === index && one.global && one.usable && !one.gone)
    .filter((one) => (one.address.includes(':') ? 6 : 4) === family)
    .map((one) => networkPart(one.address, one.bits));
  return [...new Set(ours)].toSorted().slice(0, maxOwnAddresses);
}

/** IPv4: the address itself. IPv6: the network that it is in. */
function networkPart(address: string, bits: number): string {
  const bytes = parseAddress(address);
  if (bytes === undefined || bytes.length === 4) return address;
  maskAddress(bytes, Math.min(bits, ipv6NetworkBits));
  return [...bytes.subarray(0, ipv6NetworkBits / 8)]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}
