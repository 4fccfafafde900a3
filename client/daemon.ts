/**
 * Composition root of the daemon: builds in order, starts, stops in reverse. No logic.
 */

import { chmodSync, mkdirSync } from 'node:fs';
import type { Log } from '../shared/core/base/ports.ts';
import { healthItem } from '../shared/core/control/health.ts';
import { type Clock, systemClock } from '../shared/node/clock.ts';
import { SettledMemory } from '../shared/node/give-back.ts';
import { collectSoon } from '../shared/node/heap.ts';
import { createLog } from '../shared/node/log.ts';
import { run } from '../shared/node/run.ts';
import { isAsleep, reachOf } from './connection/state.ts';
import { claimStateDir, leaveStateDir } from './control/daemon-mark.ts';
import { LogRing } from './control/log-ring.ts';
import { Methods } from './control/methods.ts';
import { bothWatches } from './control/name-teller.ts';
import type { RestDesk } from './control/rest-desk.ts';
import { serveDaemon } from './control/server.ts';
import { edgeIn, isDeviceHeld } from './control/snapshot.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { diagnoseHandlers } from './diagnose-side.ts';
import { makeDns, networkServers } from './dns-side.ts';
import { Driver } from './driver/driver.ts';
import type { HostPort } from './driver/ports.ts';
import { resume } from './driver/resume.ts';
import { joinEdge } from './edge-side.ts';
import { RegistrationStore } from './enroll/registrations.ts';
import { type FailoverSide, followEdges } from './failover/follow-edges.ts';
import { dnsLinkName } from './host/dns/own-link.ts';
import { followWithGuardian } from './host/guardian.ts';
import { Journal } from './host/journal.ts';
import { lockedHost } from './host/lockdown.ts';
import { MtuKeeper } from './host/path-mtu.ts';
import { hostPlace } from './host/place.ts';
import type { HostDns } from './host/private-dns.ts';
import { checkMode, hasNetAdmin } from './host/privileges.ts';
import type { ProxyTunnel } from './host/proxy-tunnel.ts';
import { HostRestorer } from './host/restore.ts';
import { makeSplitParts, type SplitParts } from './host/split-parts.ts';
import { hostHealth } from './host/surroundings.ts';
import { hasIpv6, systemSysctl } from './host/sysctl.ts';
import type { HostTunnel } from './host/tunnel.ts';
import { Vitals } from './host/vitals.ts';
import { closeWhereLocked, followLockdown, makeFinder, makeRest, mtuPlanFor } from './network-side.ts';
import { makePortal, makeSignIn, type SignInSide } from './portal-side.ts';
import type { AnswerWatch } from './resolver/pipeline.ts';
import { EdgeStore } from './settings/edges.ts';
import { KnownAddresses } from './settings/known-addresses.ts';
import {
  edgesPath,
  journalPath,
  knownAddressesPath,
  logPath,
  registrationsPath,
  settingsPath,
  wishPath,
} from './settings/paths.ts';
import { defaultsFor, proxyAccessOf } from './settings/schema.ts';
import { SplitFiles } from './settings/split-files.ts';
import { SettingsStore } from './settings/store.ts';
import { WishFile } from './settings/wish.ts';
import { makeSplit, watchNetwork } from './split-side.ts';
import { makeTransport, type TransportSide } from './transport-side.ts';
import { makeTunnels, type TunnelSide } from './tunnel-side.ts';
import { culvertVersion } from './version.ts';

/** Runs until SIGTERM or SIGINT. What is closed then stays closed: only disconnect and restore open it. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { stateDir, socket } = options;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  chmodSync(stateDir, 0o700);
  await claimStateDir(stateDir, socket);
  try {
    await serveUntilStopped(options);
  } finally {
    leaveStateDir(stateDir);
  }
}

async function serveUntilStopped(options: DaemonOptions): Promise<void> {
  const { stateDir, socket, isSystem, onReady } = options;
  const stopped = stopSignal();
  const parts = makeParts(stateDir, () => ways.watch);
  const { settings, splitParts, log } = parts;
  const machinery = makeDriver(parts);
  const { driver, host, mtu, transport, failover, spare } = machinery;
  spare.handleChange(driver.state);
  const version = culvertVersion();
  const { enrollment, follower, ways, versions, families, quantum } = joinEdge(parts, machinery);
  const guardian = followWithGuardian({
    stateDir,
    driver,
    settings,
    isDevice: () => isDeviceHeld(driver.state),
    log,
  });
  const split = makeSplit({ ...parts, ...machinery, methods: () => methods });
  const { rest, around, place } = makeRest({ ...parts, driver, mtu });
  const portal = makePortal({ ...parts, ...machinery, around });
  const methods = new Methods({
    ...parts,
    ...machinery,
    rest,
    portal,
    diagnose: (status) => diagnoseHandlers({ ...parts, ...machinery, enrollment, status }),
    hostHealth: (state) => hostHealth(state, around),
    onSettings: (before, now) => {
      void rest.check();
      portal.handleChange();
      if (before.lockdown !== now.lockdown) void followLockdown(driver, host, log);
    },
    enrollment,
    split,
    ways,
    quantum,
    version,
    checkMachine: checkMode,
    edgeHealth: () => [
      ...(follower.isEdgeStopping ? [healthItem('edge-stopping')] : []),
      ...versions.health(edgeIn(driver.state)),
    ],
  });
  const servers = await serveDaemon({ socket, isSystem, methods, driver, split: splitParts.split, log });
  await resumeWhatWas(parts, { driver, host, rest });
  const onMoved = (): void => {
    for (const one of [...transport.desks, portal]) one.handleMove();
    void rest.check();
  };
  const following = watchNetwork({ ...parts, ...machinery, onMoved });
  place.network = transport.network = following.network;
  void rest.check();
  const memory = new SettledMemory();
  const settle = (): void => {
    memory.handleChange(driver.state.kind);
    collectSoon(isAsleep(driver.state));
  };
  driver.onChange(settle);
  settle();
  log.info('the daemon is ready', { version });
  onReady();
  log.info('the daemon ends', { because: await stopped });
  const first = [memory, following, portal, rest, follower, families, quantum, ways];
  for (const one of [...first, ...transport.desks, failover.desk, machinery.early, spare]) one.close();
  await driver.close();
  for (const one of [splitParts, guardian]) one.close();
  for (const server of servers) await server.close();
}

/** What everything else is built from. */
function makeParts(stateDir: string, otherWatch: () => AnswerWatch): DaemonParts {
  const settings = new SettingsStore(
    settingsPath(stateDir),
    defaultsFor({ mayChangeNetwork: hasNetAdmin() }),
  );
  const logs = new LogRing(logPath(stateDir));
  // Whoever read our standard error may be gone: that must not end a daemon that keeps traffic closed.
  process.stderr.on('error', () => undefined);
  const write = (line: string): void => {
    logs.write(line);
    process.stderr.write(line);
  };
  const log = createLog({ level: settings.current['log.level'], format: 'json', part: 'daemon', write });
  const clock = systemClock();
  const edges = new EdgeStore(edgesPath(stateDir));
  const wish = new WishFile(wishPath(stateDir));
  const journal = new Journal(journalPath(stateDir), hostPlace());
  const registrations = new RegistrationStore(registrationsPath(stateDir));
  const splitParts = makeSplitParts({
    files: new SplitFiles(stateDir),
    journal,
    run,
    sysctl: systemSysctl,
    clock,
    log,
    interfaceName: () => settings.current['tunnel.interface'],
    own: () => [settings.current['tunnel.interface'], dnsLinkName],
    mayChange: hasNetAdmin(),
  });
  const watch = bothWatches(splitParts.watch, otherWatch);
  const known = new KnownAddresses(knownAddressesPath(stateDir));
  const found = { settings, journal, wish, edges, registrations, known, splitParts, watch, logs };
  return { ...found, stateDir, clock, log };
}

interface Resuming {
  readonly driver: Driver;
  readonly host: HostPort;
  readonly rest: RestDesk;
}

/** Goes on where an earlier daemon ended, as far as the user still wants that. */
async function resumeWhatWas(parts: DaemonParts, { driver, host, rest }: Resuming): Promise<void> {
  const { settings, journal, wish, edges, log } = parts;
  const wishedEdge = wish.read();
  const { autoConnect, mode } = settings.current;
  const reach = reachOf(mode);
  const edgeKnown = reach === 'dns' || edges.list().some((edge) => edge.name === wishedEdge);
  const changes = journal.pending().length > 0;
  const resting = rest.isResting;
  await resume({ wishedEdge, edgeKnown, reach, changes, autoConnect, resting }, { driver, host, log });
  await closeWhereLocked(driver, host, settings, log);
}

interface DaemonParts extends DriverParts {
  readonly logs: LogRing;
}

interface DriverParts extends DnsParts {
  readonly stateDir: string;
  readonly registrations: RegistrationStore;
  readonly known: KnownAddresses;
  readonly wish: WishFile;
  readonly edges: EdgeStore;
}

interface Machinery {
  readonly driver: Driver;
  readonly tunnel: HostTunnel;
  readonly proxy: ProxyTunnel;
  readonly early: TunnelSide['early'];
  readonly spare: TunnelSide['spare'];
  readonly dns: HostDns;
  readonly host: HostPort;
  readonly vitals: Vitals;
  readonly mtu: MtuKeeper;
  readonly transport: TransportSide;
  readonly failover: FailoverSide;
  readonly signIn: SignInSide;
}

/** What the tunnels say of loss and load; the transport is made after them. */
function lateHearing(transport: () => TransportSide): { onLossy: () => void; onSending: () => void } {
  return {
    onLossy: () => transport().slow.handleLoss(),
    onSending: () => transport().slowUpload.handleLoss(),
  };
}

/** The driver with everything that it can move. Nothing is started. */
function makeDriver(parts: DriverParts): Machinery {
  const { settings, journal, wish, edges, splitParts, clock, log } = parts;
  const { firewall, routes } = splitParts;
  const { tunnel, proxy, early, spare } = makeTunnels(parts, {
    onUnanswered: () => {
      vitals.doubt();
      void failover.desk.handleDoubt();
    },
    ...lateHearing(() => transport),
  });
  const transport = makeTransport(parts, { driver: () => driver, tunnel, proxy });
  const restorer = new HostRestorer(journal, { run, sysctl: systemSysctl });
  const lockable = lockedHost({
    isOn: () => settings.current.lockdown,
    interfaceName: () => settings.current['tunnel.interface'],
    firewall,
    undo: (keepFirewall) => restorer.restore(keepFirewall),
    open: async () => {
      await firewall.release();
      await restorer.open();
    },
  });
  const released = splitParts.releasing(lockable);
  const host: HostPort = { ...lockable, restore: () => released.restore() };
  const signIn = makeSignIn(parts, () => networkServers(system));
  const { dns, system } = makeDns({ ...parts, names: splitParts.names, signInNames: signIn.names });
  const finder = makeFinder(parts, signIn.servers, transport.placesAt);
  const driver = new Driver({
    ports: {
      tunnel,
      proxy,
      dns,
      firewall,
      routes,
      host,
      resolver: finder,
      portal: signIn.port,
      wish,
      edges,
      openings: (edge) => {
        const { udp, tcp } = transport.desk.openings(edge);
        const others = failover.openings(edge);
        return { udp: [...udp, ...others.udp], tcp: [...tcp, ...others.tcp] };
      },
      settings: () => ({
        mode: settings.current.mode,
        interfaceName: settings.current['tunnel.interface'],
        mtu: settings.current['tunnel.mtu'],
        proxy: proxyAccessOf(settings.current),
      }),
      ipv6: () => hasIpv6(systemSysctl),
    },
    clock,
    log,
  });
  const mtu = new MtuKeeper({
    setMtu: async (name, size) => void (await run('ip', ['link', 'set', 'dev', name, 'mtu', String(size)])),
    onChange: () => void (mtu.isBroken && transport.desk.handleFault('large-lost')),
    clock,
    log,
  });
  const vitals = makeVitals(parts, { driver: () => driver, tunnel, proxy, finder, mtu, transport });
  for (const one of transport.desks) driver.onChange(() => one.handleChange());
  driver.onChange(() => vitals.handleChange());
  for (const one of [early, spare]) driver.onChange(() => one.handleChange(driver.state));
  settings.onChange(() => spare.handleSettings());
  const failover = followEdges({ ...parts, ...transport, driver, tunnel, proxy });
  return { driver, tunnel, proxy, early, spare, dns, host, vitals, mtu, transport, failover, signIn };
}

interface Watched {
  readonly driver: () => Driver;
  readonly tunnel: HostTunnel;
  readonly proxy: ProxyTunnel;
  readonly finder: ReturnType<typeof makeFinder>;
  readonly mtu: MtuKeeper;
  readonly transport: TransportSide;
}

/** Looks whether the edge can still be heard. */
function makeVitals(parts: DriverParts, { driver, tunnel, proxy, finder, mtu, transport }: Watched): Vitals {
  const { settings, edges, clock, log } = parts;
  return new Vitals({
    state: () => driver().state,
    send: (event) => driver().send(event),
    tunnelOf: (reach) => (reach === 'proxy' ? proxy : tunnel),
    habitsOf: (edge) => ({
      answersProbes: parts.registrations.names().includes(edge),
      peers: edges.list().find(({ name }) => name === edge)?.config.peers.length ?? 1,
      announced: settings.current.mode === 'proxy' || settings.current['tunnel.backend'] === 'userspace',
    }),
    onHeard: () => finder.heard(),
    mtu,
    mtuPlanFor: (edge) => mtuPlanFor(parts, edge),
    outside: (places) => transport.desk.outside(places),
    clock,
    log,
  });
}

interface DnsParts {
  readonly settings: SettingsStore;
  readonly journal: Journal;
  readonly splitParts: SplitParts;
  readonly watch: AnswerWatch;
  readonly clock: Clock;
  readonly log: Log;
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}
