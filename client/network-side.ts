/** The daemon's pieces about the way to the edge and about being off; joined by daemon.ts. */

import type { Log } from '../shared/core/base/ports.ts';
import type { Clock } from '../shared/node/clock.ts';
import { systemEntropy } from '../shared/node/entropy.ts';
import { run } from '../shared/node/run.ts';
import { RestDesk } from './control/rest-desk.ts';
import { edgeIn } from './control/snapshot.ts';
import type { Driver } from './driver/driver.ts';
import { allowedIpsOf } from './driver/effects.ts';
import type { HostPort } from './driver/ports.ts';
import { probeTarget } from './driver/probe-target.ts';
import type { RegistrationStore } from './enroll/registrations.ts';
import { dnsLinkName } from './host/dns/own-link.ts';
import { lookUpEdge, lookUpIpv6 } from './host/edge-names.ts';
import { EdgeFinder, type EdgeFinderOptions } from './host/endpoints.ts';
import { reachableAmong } from './host/network/netlink-source.ts';
import type { NetworkWatch } from './host/network/watch.ts';
import { systemWifi } from './host/network/wifi.ts';
import type { MtuKeeper, MtuPlan } from './host/path-mtu.ts';
import { tunnelMark, usualMtu } from './host/routes/plan.ts';
import { aroundNow, type SurroundingsOptions } from './host/surroundings.ts';
import type { EdgeStore } from './settings/edges.ts';
import type { KnownAddresses } from './settings/known-addresses.ts';
import { pausePath } from './settings/paths.ts';
import { PauseFile } from './settings/pause-file.ts';
import type { SettingsStore } from './settings/store.ts';
import type { WishFile } from './settings/wish.ts';

interface MtuParts {
  readonly edges: EdgeStore;
  readonly registrations: RegistrationStore;
  readonly settings: SettingsStore;
}

/** Where the machine is off: closed or open, as lockdown says. */
export async function followLockdown(driver: Driver, host: HostPort, log: Log): Promise<void> {
  await driver.idle();
  if (driver.state.kind !== 'off') return;
  await host.restore().catch((error: unknown) => {
    log.error('lockdown could not be followed', { text: String(error) });
  });
}

/** At start. Where lockdown is off there is nothing to follow. */
export async function closeWhereLocked(
  driver: Driver,
  host: HostPort,
  settings: SettingsStore,
  log: Log,
): Promise<void> {
  if (settings.current.lockdown) await followLockdown(driver, host, log);
}

/** Our networks in the tunnel: those of our addresses, and AllowedIPs that are no default route. */
function tunnelPrefixes(edges: EdgeStore, name: string | undefined): readonly string[] {
  const edge = edges.list().find((one) => one.name === name);
  if (edge === undefined) return [];
  return [...edge.config.interface.addresses, ...allowedIpsOf(edge)];
}

/** Of an edge of ours, whose own resolver answers; a stock server is not asked for sizes. */
export function mtuPlanFor({ edges, registrations, settings }: MtuParts, name: string): MtuPlan | undefined {
  const edge = edges.list().find((one) => one.name === name);
  const target = edge === undefined ? undefined : probeTarget(edge);
  if (edge === undefined || target?.port !== 53 || !registrations.names().includes(name)) return undefined;
  const { 'tunnel.mtu': mtu, 'tunnel.interface': interfaceName } = settings.current;
  const most = mtu === 0 ? usualMtu(edge.config.interface) : mtu;
  return { address: target.address, port: target.port, from: target.from, interfaceName, most };
}

/** Finds edges outside the tunnel. */
export function makeFinder(
  { clock, known }: { readonly clock: Clock; readonly known: KnownAddresses },
  servers: () => readonly string[],
  placesAt: EdgeFinderOptions['placesAt'],
): EdgeFinder {
  const near = (): readonly string[] => {
    const all = servers();
    const ways = reachableAmong(all, tunnelMark);
    return ways === undefined ? all : all.filter((one) => ways.has(one));
  };
  const names = { servers: near, mark: tunnelMark, entropy: systemEntropy() };
  return new EdgeFinder({
    lookUp: (host, signal) => lookUpEdge(host, names, signal),
    lookUpIpv6: (host, signal) => lookUpIpv6(host, names, signal),
    reachable: (addresses) => reachableAmong(addresses, tunnelMark),
    nameServers: servers,
    knownAddresses: (host) => known.of(host),
    ...(placesAt === undefined ? {} : { placesAt }),
    clock,
  });
}

/** Keeps in mind where an edge with a name has proven to be. */
export function rememberPlaces(driver: Driver, edges: EdgeStore, known: KnownAddresses): void {
  driver.onChange(() => {
    const { state } = driver;
    if (state.kind !== 'connected') return;
    const peers = edges.list().find((edge) => edge.name === state.edge)?.config.peers ?? [];
    for (const { peer, address } of state.endpoints) {
      const host = peers[peer]?.endpoint?.host;
      if (host !== undefined) known.note(host, address);
    }
  });
}

interface RestParts {
  readonly driver: Driver;
  readonly settings: SettingsStore;
  readonly edges: EdgeStore;
  readonly wish: WishFile;
  readonly mtu: MtuKeeper;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

interface RestSide {
  readonly rest: RestDesk;
  readonly around: SurroundingsOptions;
  /** The watch on the network, once it is opened. */
  readonly place: { network: NetworkWatch | undefined };
}

/** Pauses and trusted networks, and what is told of the network around. Nothing is looked at yet. */
export function makeRest(parts: RestParts): RestSide {
  const { driver, settings, edges, wish, mtu, stateDir, clock, log } = parts;
  const place: RestSide['place'] = { network: undefined };
  const around: SurroundingsOptions = {
    network: () => place.network,
    wifi: systemWifi(run),
    own: () => [settings.current['tunnel.interface'], dnsLinkName],
    tunnelPrefixes: () => tunnelPrefixes(edges, edgeIn(driver.state)),
    isLocked: () => settings.current.lockdown,
    mtu,
  };
  const rest = new RestDesk({
    state: () => driver.state,
    send: (event) => driver.send(event),
    settings,
    wish: () => wish.read(),
    pauses: new PauseFile(pausePath(stateDir)),
    around: () => aroundNow(around),
    clock,
    log,
  });
  return { rest, around, place };
}
