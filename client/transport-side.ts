/** The daemon's pieces about what carries the tunnel; joined by daemon.ts. */

import type { Endpoint } from '../shared/core/base/endpoint.ts';
import type { Log } from '../shared/core/base/ports.ts';
import { CulvertError } from '../shared/core/control/codes.ts';
import { type HealthCode, type HealthItem, healthItem } from '../shared/core/control/health.ts';
import type { Status } from '../shared/core/control/status.ts';
import type { Clock } from '../shared/node/clock.ts';
import type { Connected, Reach } from './connection/state.ts';
import type { Driver } from './driver/driver.ts';
import { registeredClient } from './enroll/enrollment.ts';
import type { RegistrationStore } from './enroll/registrations.ts';
import { noNetwork } from './host/network/fingerprint.ts';
import type { ProxyTunnel } from './host/proxy-tunnel.ts';
import { tunnelMark } from './host/routes/plan.ts';
import type { HostTunnel } from './host/tunnel.ts';
import { connectMarked } from './portal/marked-socket.ts';
import type { EdgeStore } from './settings/edges.ts';
import { transportsPath } from './settings/paths.ts';
import type { SettingsStore } from './settings/store.ts';
import { type EdgeWays, type TransportChoice, waysOf } from './transport/edge-ways.ts';
import { NetworkMemory, networkAlone } from './transport/network-memory.ts';
import { noUdpPlace, udpPlaces } from './transport/race.ts';
import { arrivalsAtUs, SlowUdpDesk } from './transport/slow-udp-desk.ts';
import { TlsRelay } from './transport/tls-relay.ts';
import { TransportDesk } from './transport/transport-desk.ts';
import { type EdgeCount, UploadCount } from './transport/upload-count.ts';

export interface TransportParts {
  readonly stateDir: string;
  readonly settings: SettingsStore;
  readonly edges: EdgeStore;
  readonly registrations: RegistrationStore;
  readonly clock: Clock;
  readonly log: Log;
}

export interface TransportSide {
  readonly desk: TransportDesk;
  /** Whether UDP is slow here. */
  readonly slow: SlowUdpDesk;
  /** Likewise for what this machine sends. */
  readonly slowUpload: SlowUdpDesk;
  /** All three, in the order in which they are told. */
  readonly desks: readonly (TransportDesk | SlowUdpDesk)[];
  /** How an edge is reached by TLS; undefined where it is not, or the user wants none. */
  waysOf(edge: string): EdgeWays | undefined;
  /** It answered by TLS a moment ago, and not over UDP: TLS is among the first that are tried. */
  expectTls(edge: string): void;
  /** As EdgeFinder asks. */
  placesAt(edge: string, addresses: readonly string[], port: number): readonly Endpoint[];
  /** Throws 'no-tls-way': who chose TLS must not find the tunnel on UDP. */
  check(edge: string, choice: TransportChoice): void;
  /** What people read: never a place on this machine's own loopback. */
  shown(status: Status): Status;
  /** The watch on the network, once it is opened. */
  network: { readonly current: string } | undefined;
}

interface Moved {
  readonly driver: () => Pick<Driver, 'state' | 'send'>;
  readonly tunnel: HostTunnel;
  readonly proxy: ProxyTunnel;
}

/** Nothing is started. */
export function makeTransport(parts: TransportParts, { driver, tunnel, proxy }: Moved): TransportSide {
  const { settings, clock, log, stateDir } = parts;
  const ways = (edge: string): EdgeWays | undefined => edgeWays(parts, edge);
  const memory = new NetworkMemory(transportsPath(stateDir), () => clock.unix());
  const tunnelOf = (reach: Reach): HostTunnel | ProxyTunnel => (reach === 'proxy' ? proxy : tunnel);
  const network = (): string => side.network?.current ?? noNetwork;
  const desk = new TransportDesk({
    state: () => driver().state,
    send: (event) => driver().send(event),
    tunnelOf,
    waysOf: ways,
    choice: () => settings.current.transport,
    memory,
    network,
    markOf: (reach) => (reach === 'device' ? tunnelMark : 0),
    openRelay: (plan, signal, onEnd) => TlsRelay.open(plan, signal, onEnd, log),
    clock,
    log,
  });
  const mayChoose = (edge: string): boolean =>
    settings.current.transport === 'auto' && ways(edge) !== undefined;
  const watched = { state: () => driver().state, desk, clock, log };
  const slow = new SlowUdpDesk({
    ...watched,
    arrivals: async ({ reach }) => {
      const status = await tunnelOf(reach).status();
      return status === undefined ? undefined : arrivalsAtUs(status);
    },
    mayChoose,
  });
  const uploads = new UploadCount({
    statusOf: ({ reach }) => tunnelOf(reach).status(),
    open: (connected) => countAtEdge(parts, desk, connected),
  });
  const slowUpload = new SlowUdpDesk({
    ...watched,
    arrivals: (connected) => uploads.look(connected),
    mostLooks: mostUploadLooks,
    onRest: () => uploads.rest(),
    mayChoose: (edge) => mayChoose(edge) && parts.registrations.names().includes(edge),
  });
  const side: TransportSide = {
    desk,
    slow,
    slowUpload,
    desks: [desk, slow, slowUpload],
    network: undefined,
    waysOf: (edge) => (settings.current.transport === 'udp' ? undefined : ways(edge)),
    expectTls: (edge) => {
      if (settings.current.transport === 'auto') memory.remember(networkAlone(network()), edge, 'tls');
    },
    check: (edge, choice) => {
      if (choice === 'tls' && ways(edge) === undefined) throw new CulvertError('no-tls-way');
    },
    placesAt: (edge, addresses, port) => {
      const known = ways(edge);
      const { transport } = settings.current;
      side.check(edge, transport);
      if (known === undefined) return addresses.map((address) => ({ address, port }));
      desk.learn(
        edge,
        addresses.map((address) => ({ address, port })),
      );
      return transport === 'tls' ? [noUdpPlace] : udpPlaces(addresses, known.udpPorts);
    },
    shown: (status) => shownBy(desk, status),
  };
  return side;
}

/** Of what an upload shows, before nobody asks for a while. */
const mostUploadLooks = 8;
const countTimeoutMs = 2000;

function countAtEdge(
  { registrations }: TransportParts,
  desk: TransportDesk,
  { edge, reach, endpoints }: Connected,
): EdgeCount | undefined {
  const [place] = desk.outside(endpoints);
  const registration = registrations.find(edge);
  if (place === undefined || registration === undefined) return undefined;
  const mark = reach === 'device' ? tunnelMark : 0;
  const client = registeredClient(registration, {
    timeoutMs: countTimeoutMs,
    open: ({ port }) => connectMarked({ address: place.address, port }, mark),
  });
  return {
    ask: async () => (await client.call('diagnosis')).tunnel?.rxBytes,
    close: () => client.close(),
  };
}

function edgeWays({ edges, registrations }: TransportParts, name: string): EdgeWays | undefined {
  const peers = edges.list().find((edge) => edge.name === name)?.config.peers ?? [];
  const [peer] = peers;
  if (peer?.endpoint === undefined || peers.length > 1) return undefined;
  try {
    return waysOf(registrations.find(name), peer.endpoint.port);
  } catch {
    return undefined; // A damaged registration is said where it is needed.
  }
}

function shownBy(desk: TransportDesk, status: Status): Status {
  if (desk.transport !== 'tls' || status.edge === undefined) return status;
  const health: readonly HealthItem[] = status.state === 'connected' ? [healthItem(whyTls(desk))] : [];
  const { endpoint: _, ...edge } = status.edge;
  const outside = desk.outsideText;
  return {
    ...status,
    edge: { ...edge, ...(outside === undefined ? {} : { endpoint: outside }), transport: 'tls' },
    health: [...health, ...status.health],
  };
}

function whyTls({ isChosen, fault }: TransportDesk): HealthCode {
  if (isChosen) return 'tls-chosen';
  return fault === 'slow' ? 'udp-slow' : 'udp-blocked';
}
