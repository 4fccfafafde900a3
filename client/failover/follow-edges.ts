/** Joins the desk of several edges to the connection, the edges' files and the network; knows where each edge is. */

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import { zeroKey } from '../../shared/core/uapi/values.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import type { PeerEndpoint, Reach } from '../connection/state.ts';
import type { Driver } from '../driver/driver.ts';
import type { TunnelPort } from '../driver/ports.ts';
import { tunnelMark } from '../host/routes/plan.ts';
import type { EdgeStore } from '../settings/edges.ts';
import type { SettingsStore } from '../settings/store.ts';
import type { EdgeWays } from '../transport/edge-ways.ts';
import { tcpPlaces } from '../transport/race.ts';
import { FailoverDesk } from './failover-desk.ts';
import { probeEdgeTwice } from './handshake-probe.ts';
import type { ProbeResult } from './rank-edges.ts';
import { standIns } from './stand-ins.ts';
import { probeByTls } from './tls-probe.ts';

export interface FollowEdgesParts {
  readonly driver: Pick<Driver, 'state' | 'send' | 'onChange'>;
  /** Of the whole device. */
  readonly tunnel: Pick<TunnelPort, 'status' | 'probe'>;
  readonly proxy: Pick<TunnelPort, 'status' | 'probe'>;
  readonly edges: EdgeStore;
  /** How an edge is reached by TLS; undefined where it is not, or the user wants none. */
  readonly waysOf: (edge: string) => EdgeWays | undefined;
  /** That edge is taken because it answered by TLS, and did not over UDP. */
  readonly expectTls: (edge: string) => void;
  readonly settings: SettingsStore;
  readonly clock: Clock;
  readonly log: Log;
}

export interface FailoverSide {
  readonly desk: FailoverDesk;
  /** Where the firewall lets our own datagrams, and our own connections, out to, besides the edge in use. */
  openings(edge: string): { readonly udp: readonly Endpoint[]; readonly tcp: readonly Endpoint[] };
}

const probeTimeoutMs = 1200;
const lookUpMs = 2000;
/** Of one edge: a broken family is left by the other. */
const maxPlaces = 2;
/** Edges on this machine itself are numeric in their files. */
const loopbackStart = '127.';

export function followEdges(parts: FollowEdgesParts): FailoverSide {
  const { driver, tunnel, proxy, edges, settings, clock, log } = parts;
  const places = new Map<string, readonly Endpoint[]>();
  const probeUdp = proberOf(parts, places);
  const probeTls = tlsProberOf(parts, places);
  const desk = new FailoverDesk({
    state: () => driver.state,
    isAuto: () => settings.current.edge === 'auto',
    edges: () => ('edge' in driver.state ? standIns(edges.list(), driver.state.edge) : []),
    // Who chose TLS is led to no place of UDP, and nothing is asked there.
    probe: (edge, reach) => (isTlsAlone(settings) ? probeTls : probeUdp)(edge, reach),
    probeTls,
    status: async () => {
      const { state } = driver;
      return 'reach' in state && state.reach === 'proxy' ? proxy.status() : tunnel.status();
    },
    ask: (reach) => (reach === 'proxy' ? proxy : tunnel).probe().catch(() => undefined),
    onTlsAlone: parts.expectTls,
    move: (edge, reach, place) => {
      const endpoints = place === undefined ? undefined : [{ peer: 0, ...place }];
      const isAlone = edges.list().some(({ name, config }) => name === edge && config.peers.length === 1);
      const at = endpoints === undefined || !isAlone ? {} : { endpoints };
      driver.send({ kind: 'reconnect', edge, reach, ...at });
    },
    clock,
    log,
  });
  driver.onChange(() => {
    const { state } = driver;
    // Later its name may not be looked up: the resolver may be behind an edge that is gone.
    if (state.kind === 'connected' && state.reach !== 'dns')
      rememberPlace(places, state.edge, state.endpoints);
    desk.handleChange();
  });
  settings.onChange(() => desk.handleChange());
  return { desk, openings: (edge) => openingsOf(parts, places, edge) };
}

function isTlsAlone({ current }: SettingsStore): boolean {
  return current.transport === 'tls';
}

type Places = ReadonlyMap<string, readonly Endpoint[]>;

function openingsOf(
  { edges, settings, waysOf }: FollowEdgesParts,
  places: Places,
  edge: string,
): ReturnType<FailoverSide['openings']> {
  if (settings.current.edge !== 'auto') return { udp: [], tcp: [] };
  const all = edges.list();
  const others = standIns(all, edge).flatMap((name) => {
    const written = all.find((one) => one.name === name)?.config.peers[0]?.endpoint;
    return { name, at: placesNow(places, name, written) };
  });
  return {
    udp: isTlsAlone(settings) ? [] : others.flatMap(({ at }) => at),
    tcp: others.flatMap(({ name, at }) => tlsPlaces(waysOf(name), at)),
  };
}

/** Where it was, else where its file says, as far as that is a number. */
function placesNow(places: Places, name: string, written: Written | undefined): readonly Endpoint[] {
  const numeric = written === undefined || isIP(written.host) === 0 ? [] : [addressOf(written)];
  return places.get(name) ?? numeric;
}

function tlsPlaces(ways: EdgeWays | undefined, at: readonly Endpoint[]): readonly Endpoint[] {
  return ways === undefined ? [] : tcpPlaces([...new Set(at.map(({ address }) => address))], ways);
}

/** Never rejects. */
function tlsProberOf(
  { edges, waysOf }: FollowEdgesParts,
  places: Places,
): (edge: string, reach: Reach) => Promise<ProbeResult> {
  return async (edge, reach) => {
    const ways = waysOf(edge);
    const written = edges.list().find(({ name }) => name === edge)?.config.peers[0]?.endpoint;
    const at = tlsPlaces(ways, placesNow(places, edge, written));
    if (ways === undefined || at.length === 0) return undefined;
    const mark = reach === 'device' ? tunnelMark : 0;
    const rttMs = await probeByTls({ places: at, pin: ways.pin, mark, timeoutMs: probeTimeoutMs });
    return rttMs === undefined ? undefined : { rttMs };
  };
}

/** Asks an edge where it was, else where its name leads to now. Never rejects. */
function proberOf(
  { driver, edges, clock, log }: FollowEdgesParts,
  places: Map<string, readonly Endpoint[]>,
): (edge: string, reach: Reach) => Promise<ProbeResult> {
  const learn = (edge: string, found: readonly Endpoint[]): void => {
    const isNew = JSON.stringify(places.get(edge)) !== JSON.stringify(found);
    places.set(edge, found);
    const { state } = driver;
    // The firewall is made again, with the new place in it.
    if (isNew && state.kind === 'connected' && state.reach === 'device') {
      driver.send({ kind: 'roamed', endpoints: state.endpoints });
    }
  };
  return async (edge, reach) => {
    try {
      const { config } = edges.profile(edge);
      const [peer] = config.peers;
      const { privateKey, disguise } = config.interface;
      if (peer?.endpoint === undefined || privateKey === undefined) return undefined;
      const plan = {
        privateKey,
        edgeKey: peer.publicKey,
        presharedKey: peer.presharedKey ?? zeroKey(),
        disguise,
        mark: reach === 'device' ? tunnelMark : 0,
        timeoutMs: probeTimeoutMs,
      };
      const tools = { entropy: systemEntropy(), unixNow: () => clock.unix(), now: () => performance.now() };
      const known = places.get(edge) ?? [];
      const ask = (place: Endpoint): Promise<number | undefined> => probeEdgeTwice({ ...plan, place }, tools);
      const soon = await firstAnswer(known, ask);
      if (soon !== undefined) return soon;
      // Where it was it is not: its name may lead elsewhere now.
      const found = await placesOf(peer.endpoint);
      const others = found.filter((place) => !known.some((one) => isDeepStrictEqual(one, place)));
      if (others.length === 0) return undefined;
      learn(edge, found);
      return await firstAnswer(others, ask);
    } catch (cause) {
      log.debug('an edge could not be probed', { why: String(cause) });
      return undefined;
    }
  };
}

/** Of the first peer, unless a relay on this machine stands there for it. */
function rememberPlace(
  places: Map<string, readonly Endpoint[]>,
  edge: string,
  endpoints: readonly PeerEndpoint[],
): void {
  const [first] = endpoints;
  if (first === undefined || first.peer !== 0 || first.address.startsWith(loopbackStart)) return;
  places.set(edge, [{ address: first.address, port: first.port }]);
}

type Written = { readonly host: string; readonly port: number };

function addressOf({ host, port }: Written): Endpoint {
  return { address: host, port };
}

/** One after the other: a broken family must not make the other look slow. */
async function firstAnswer(
  all: readonly Endpoint[],
  ask: (place: Endpoint) => Promise<number | undefined>,
): Promise<ProbeResult> {
  for (const place of all) {
    const rttMs = await ask(place);
    if (rttMs !== undefined) return { rttMs, place };
  }
  return undefined;
}

/** Empty where nobody answers for the name. */
async function placesOf(written: Written): Promise<readonly Endpoint[]> {
  const { host, port } = written;
  if (isIP(host) !== 0) return [addressOf(written)];
  const late = new Promise<undefined>((resolve) => {
    setTimeout(() => resolve(undefined), lookUpMs).unref();
  });
  const found = await Promise.race([lookup(host, { all: true }).catch(() => undefined), late]);
  return (found ?? []).slice(0, maxPlaces).map(({ address }) => ({ address, port }));
}
