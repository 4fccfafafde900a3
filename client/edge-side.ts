/** The daemon's pieces that talk with the edge in use, apart from the tunnel; joined by daemon.ts. */

import type { Log } from '../shared/core/base/ports.ts';
import type { Clock } from '../shared/node/clock.ts';
import { type Reach, reachOf } from './connection/state.ts';
import { Ways } from './control/ways.ts';
import { lookFromOutside } from './diagnose-side.ts';
import type { Driver } from './driver/driver.ts';
import { EdgeVersions } from './enroll/edge-version.ts';
import { EnrollmentDesk } from './enroll/enrollment-desk.ts';
import { followFamilies } from './enroll/families-teller.ts';
import { followEdge } from './enroll/follow-edge.ts';
import { gatewayIn } from './enroll/gateway-address.ts';
import type { RegistrationStore } from './enroll/registrations.ts';
import type { FailoverSide } from './failover/follow-edges.ts';
import type { HostDns } from './host/private-dns.ts';
import type { ProxyTunnel } from './host/proxy-tunnel.ts';
import { tunnelMark } from './host/routes/plan.ts';
import type { HostTunnel } from './host/tunnel.ts';
import { rememberPlaces } from './network-side.ts';
import { connectMarked } from './portal/marked-socket.ts';
import { networkLookUp } from './portal-side.ts';
import { followQuantum, type QuantumSide } from './quantum/follow-quantum.ts';
import type { EdgeStore } from './settings/edges.ts';
import type { KnownAddresses } from './settings/known-addresses.ts';
import { pendingKeyPath } from './settings/paths.ts';
import type { SettingsStore } from './settings/store.ts';
import type { TransportDesk } from './transport/transport-desk.ts';

export interface EdgeSideParts {
  readonly stateDir: string;
  readonly settings: SettingsStore;
  readonly edges: EdgeStore;
  readonly registrations: RegistrationStore;
  readonly known: KnownAddresses;
  readonly clock: Clock;
  readonly log: Log;
}

interface Moved {
  readonly driver: Driver;
  readonly tunnel: HostTunnel;
  readonly proxy: ProxyTunnel;
  readonly dns: HostDns;
  readonly failover: FailoverSide;
  readonly signIn: { readonly servers: () => readonly string[] };
  readonly transport: { readonly desk: TransportDesk };
}

export interface EdgeSide {
  readonly enrollment: EnrollmentDesk;
  readonly follower: ReturnType<typeof followEdge>;
  readonly ways: Ways;
  readonly versions: EdgeVersions;
  readonly families: ReturnType<typeof followFamilies>;
  readonly quantum: QuantumSide;
}

export function joinEdge(
  parts: EdgeSideParts,
  { driver, tunnel, proxy, dns, failover, signIn, transport }: Moved,
): EdgeSide {
  const { stateDir, settings, edges, registrations, known, clock, log } = parts;
  rememberPlaces(driver, edges, known);
  const versions = new EdgeVersions();
  const enrollment = new EnrollmentDesk({
    edges,
    registrations,
    pendingPath: pendingKeyPath(stateDir),
    unixNow: () => clock.unix(),
    onProven: (host, address) => known.note(host, address),
    onConfig: (edge, config) => {
      ways.handleConfig(edge, config);
      versions.handleConfig(edge, config);
    },
    gatewayOf: (edge) => gatewayIn(driver.state, edges, edge),
  });
  const reachNow = (): Reach => reachOf(settings.current.mode);
  const follower = followEdge({
    driver,
    enrollment,
    refreshSilent: async (edge) => {
      if (reachNow() !== 'device') return enrollment.refresh(edge);
      const host = registrations.find(edge)?.host;
      const address = host === undefined ? undefined : await outsideAddress(host, signIn.servers);
      if (address === undefined) return enrollment.refresh(edge);
      return enrollment.refresh(edge, ({ port }) => connectMarked({ address, port }, tunnelMark));
    },
    reach: reachNow,
    onStopping: (edge) => void failover.desk.handleStopping(edge),
    onLook: (edge, asked) =>
      void lookFromOutside({ ...parts, driver, tunnel, proxy, enrollment, signIn, transport }, edge, asked),
    log,
  });
  const ways = new Ways({
    state: () => driver.state,
    tunnel,
    proxy,
    edges,
    enrollment,
    registrations,
    settings: () => settings.current,
    onWatchChange: () => dns.handleWatchChange(),
    clock,
  });
  driver.onChange(() => ways.handleChange());
  const families = followFamilies({ driver, enrollment, registrations, settings, log });
  const quantum = followQuantum({ driver, tunnel, proxy, enrollment, edges, registrations, settings, log });
  return { enrollment, follower, ways, versions, families, quantum };
}

const lookUpMs = 3000;

/** By the network's own name servers; undefined where they do not know it. */
async function outsideAddress(host: string, servers: () => readonly string[]): Promise<string | undefined> {
  const found = await networkLookUp(servers)(host, AbortSignal.timeout(lookUpMs)).catch(() => []);
  return found[0];
}
