/** The daemon's pieces about networks that want a sign-in; joined by daemon.ts. No logic. */

import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import type { Log } from '../shared/core/base/ports.ts';
import { parsePin } from '../shared/core/registration/invite.ts';
import type { Clock } from '../shared/node/clock.ts';
import { systemEntropy } from '../shared/node/entropy.ts';
import { noResolver } from './diagnostics/dns-probe.ts';
import type { Driver } from './driver/driver.ts';
import type { PortalPort } from './driver/ports.ts';
import type { RegistrationStore } from './enroll/registrations.ts';
import { lookUpByNetwork } from './host/edge-names.ts';
import type { Lookout } from './host/firewall/policy.ts';
import { fingerprint } from './host/network/fingerprint.ts';
import { hasNetAdmin } from './host/privileges.ts';
import { tunnelMark } from './host/routes/plan.ts';
import { aroundNow, type SurroundingsOptions } from './host/surroundings.ts';
import { probesOf } from './portal/endpoints.ts';
import { PortalDesk } from './portal/portal-desk.ts';
import { askRound, type EdgeProbe } from './portal/probe.ts';
import type { SettingsStore } from './settings/store.ts';

export interface PortalSideParts {
  readonly driver: Driver;
  readonly settings: SettingsStore;
  readonly registrations: RegistrationStore;
  readonly signIn: SignInSide;
  readonly around: SurroundingsOptions;
  readonly clock: Clock;
  readonly log: Log;
}

/** Addresses of a name by the network's own servers, outside the tunnel; of a number, itself. */
export function networkLookUp(
  servers: () => readonly string[],
): (host: string, signal: AbortSignal) => Promise<readonly string[]> {
  const names = { servers, mark: tunnelMark, entropy: systemEntropy() };
  return (host, signal) =>
    isIP(host) === 0 ? lookUpByNetwork(host, names, signal) : Promise.resolve([host]);
}

/** What is needed of it before there is a connection to watch. */
export interface SignInSide {
  readonly port: PortalPort;
  /** The network's own name servers. */
  readonly servers: () => readonly string[];
  readonly names: () => readonly string[];
  /** Once it is made. */
  desk: PortalDesk | undefined;
}

export function makeSignIn(
  { settings, registrations }: Pick<PortalSideParts, 'settings' | 'registrations'>,
  servers: () => readonly string[],
): SignInSide {
  const lookout = (): Lookout | undefined => {
    if (!settings.current['portal.detection']) return undefined;
    const probes = probesOf(settings.current['portal.probes']).map(({ port }) => port);
    const edges = registrations.names().flatMap((name) => edgeProbe(registrations, name)?.port ?? []);
    return { servers: [...servers(), noResolver], ports: [...probes, ...edges] };
  };
  const side: SignInSide = {
    port: { lookout },
    servers,
    names: () => side.desk?.names ?? [],
    desk: undefined,
  };
  return side;
}

/** The API of an edge; undefined where this machine never enrolled there. */
export function edgeProbe(registrations: RegistrationStore, edge: string): EdgeProbe | undefined {
  if (!registrations.names().includes(edge)) return undefined;
  const found = registrations.find(edge);
  const pin = found === undefined ? undefined : parsePin(found.pin);
  return found === undefined || pin === undefined ? undefined : { host: found.host, port: found.port, pin };
}

export function makePortal(parts: PortalSideParts): PortalDesk {
  const { driver, settings, registrations, signIn, around, clock, log } = parts;
  const { servers } = signIn;
  const lookUp = networkLookUp(servers);
  const desk = new PortalDesk({
    state: () => driver.state,
    send: (event) => driver.send(event),
    settings,
    ask: (round, signal) => askRound(round, { lookUp, mark: hasNetAdmin() ? tunnelMark : 0 }, signal),
    lookUp,
    servers,
    edgeOf: (edge) => edgeProbe(registrations, edge),
    network: async () => {
      const { ssid, network } = await aroundNow(around);
      const snapshot = around.network()?.snapshot;
      // Without the ways to the edge, which come and go with the connection.
      const bare =
        snapshot === undefined ? network : fingerprint({ ...snapshot, ways: [] }, new Set(around.own()));
      const text = ssid === undefined ? bare : `ssid ${ssid}`;
      return createHash('sha256').update(text).digest('hex').slice(0, 16);
    },
    clock,
    log,
  });
  signIn.desk = desk;
  driver.onChange(() => desk.handleChange());
  return desk;
}
