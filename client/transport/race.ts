/**
 * Which way to the edge is tried when. Pure. Datagrams over UDP first, its ports and addresses close behind each other;
 * then the same datagrams in TLS, which costs speed but passes where only the web does. Whoever answers first carries
 * the tunnel.
 */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { secondMs } from '../../shared/core/base/time.ts';
import type { EdgeWays, TransportChoice } from './edge-ways.ts';

export type Transport = 'udp' | 'tls';

export interface RaceFacts {
  /** Places for UDP; the tunnel tries the first by itself. */
  readonly udp: readonly Endpoint[];
  /** The edge can be reached by TLS. */
  readonly hasTls: boolean;
  readonly choice: TransportChoice;
  /** What carried the tunnel in this network last, or what it is known to drop. */
  readonly remembered?: Transport;
}

export type RaceStep =
  | { readonly atMs: number; readonly kind: 'udp'; readonly place: Endpoint }
  | { readonly atMs: number; readonly kind: 'tls' };

export const betweenPlacesMs = 250;
/** A handshake over UDP takes less nearly everywhere. */
export const tlsAfterMs: number = secondMs;
/** While the edge cannot be reached, TLS is tried again this often. */
export const tlsAgainMs: number = 3 * secondMs;

/** Steps in the order of their times, which count from the tunnel's own first attempt. */
export function planRace({ udp, hasTls, choice, remembered }: RaceFacts): readonly RaceStep[] {
  const steps: RaceStep[] =
    choice === 'tls'
      ? []
      : udp.slice(1).map((place, i) => ({ atMs: (i + 1) * betweenPlacesMs, kind: 'udp', place }));
  if (hasTls && choice !== 'udp') {
    const isFirst = choice === 'tls' || remembered === 'tls';
    steps.push({ atMs: isFirst ? 0 : tlsAfterMs, kind: 'tls' });
  }
  return steps.toSorted((a, b) => a.atMs - b.atMs);
}

/** After the first: so long until UDP is asked again, then twice that. */
export const firstAskUdpMs: number = 30 * secondMs;
export const longestAskUdpMs: number = 600 * secondMs;

/** `asked`: how often UDP was asked in vain since TLS carries the tunnel. */
export function askUdpAfterMs(asked: number): number {
  return Math.min(firstAskUdpMs * 2 ** Math.min(asked, 16), longestAskUdpMs);
}

/** Where UDP was slow: so long until it is tried again, then twice that. */
const firstAskSlowMs: number = 300 * secondMs;
const longestAskSlowMs: number = 3600 * secondMs;

/** `found`: how often it was slow in this network, at least once. */
export function askSlowAfterMs(found: number): number {
  return Math.min(firstAskSlowMs * 2 ** Math.min(Math.max(found, 1) - 1, 16), longestAskSlowMs);
}

/** All places of an edge for UDP: its usual port at every address first, then the others. */
export function udpPlaces(addresses: readonly string[], ports: readonly number[]): readonly Endpoint[] {
  return ports.flatMap((port) => addresses.map((address) => ({ address, port })));
}

/** Connections that one attempt may open. */
const maxTcpPlaces = 8;

/** All places of an edge for TLS, in the order in which they are tried. */
export function tcpPlaces(addresses: readonly string[], { httpsPorts }: EdgeWays): readonly Endpoint[] {
  return udpPlaces(addresses, httpsPorts).slice(0, maxTcpPlaces);
}

/** Nobody listens there (RFC 863): the tunnel asks nobody until TLS is open. */
export const noUdpPlace: Endpoint = { address: '127.0.0.1', port: 9 };

export function isSame(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}
