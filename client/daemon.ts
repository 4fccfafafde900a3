/**
 * Composition root of the daemon: builds in order, starts, stops in reverse. No logic.
 */

import { chmodSync, mkdirSync } from 'node:fs';
import type { Log } from '../shared/core/base/ports.ts';
import { type Clock, systemClock } from '../shared/node/clock.ts';
import type { TunnelBackend } from '../shared/node/dataplane/messages.ts';
import { systemEntropy } from '../shared/node/entropy.ts';
import type { FlowBackend } from '../shared/node/flows/contract.ts';
import { startFlowThread } from '../shared/node/flows/flow-thread-link.ts';
import { createLog } from '../shared/node/log.ts';
import { run } from '../shared/node/run.ts';
import { serveUapi } from '../shared/node/uapi/uapi-socket.ts';
import { startBackend } from '../shared/node/wgtools/start-backend.ts';
import { reachOf } from './connection/state.ts';
import { claimStateDir, leaveStateDir } from './control/daemon-mark.ts';
import { LogRing } from './control/log-ring.ts';
import { Methods } from './control/methods.ts';
import { serveDaemon } from './control/server.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { Driver } from './driver/driver.ts';
import { resume } from './driver/resume.ts';
import { ConfigFollower } from './enroll/config-follower.ts';
import { EnrollmentDesk } from './enroll/enrollment-desk.ts';
import { gatewayIn } from './enroll/gateway-address.ts';
import { RegistrationStore } from './enroll/registrations.ts';
import { systemFiles } from './host/dns/host-files.ts';
import { systemNameServers } from './host/dns/name-servers.ts';
import { dnsLinkName, openOwnLink } from './host/dns/own-link.ts';
import { SystemDns } from './host/dns/system-dns.ts';
import { systemResolver } from './host/endpoints.ts';
import { NftablesFirewall } from './host/firewall/nftables.ts';
import { Journal } from './host/journal.ts';
import { SleepWatch } from './host/network/sleep.ts';
import { NetworkWatch, openNetworkSource } from './host/network/watch.ts';
import { hostPlace } from './host/place.ts';
import { HostDns } from './host/private-dns.ts';
import { checkMode, hasNetAdmin } from './host/privileges.ts';
import { ProxyTunnel, type ProxyWorkerPlan } from './host/proxy-tunnel.ts';
import { HostRestorer, undoDns } from './host/restore.ts';
import { IpRoutes } from './host/routes/ip-route.ts';
import { hasIpv6, systemSysctl } from './host/sysctl.ts';
import { HostTunnel } from './host/tunnel.ts';
import { proxyNetLimits } from './proxy/limits.ts';
import { PrivateDns } from './resolver/private-dns.ts';
import { privateDnsSettings, stubPlaces } from './settings/dns-settings.ts';
import { EdgeStore } from './settings/edges.ts';
import {
  edgesPath,
  journalPath,
  logPath,
  pendingKeyPath,
  registrationsPath,
  settingsPath,
  wishPath,
} from './settings/paths.ts';
import { defaultsFor, proxyAccessOf } from './settings/schema.ts';
import { SettingsStore } from './settings/store.ts';
import { WishFile } from './settings/wish.ts';
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
  const { driver, tunnel, proxy, dns, host } = makeDriver({ settings, journal, wish, edges, clock, log });
  const version = culvertVersion();
  const checkMachine = checkMode;
  const enrollment = new EnrollmentDesk({
    edges,
    registrations: new RegistrationStore(registrationsPath(stateDir)),
    pendingPath: pendingKeyPath(stateDir),
    unixNow: () => clock.unix(),
    gatewayOf: (edge) => gatewayIn(driver.state, edges, edge),
  });
  const follower = new ConfigFollower({
    enrollment,
    connectedTo: () => (driver.state.kind === 'connected' ? driver.state.edge : undefined),
    reconnect: (edge) => driver.send({ kind: 'reconnect', edge, reach: reachOf(settings.current.mode) }),
    log,
  });
  driver.onChange(() => follower.handleChange());
  const methods = new Methods({
    driver,
    tunnel,
    proxy,
    dns,
    settings,
    edges,
    enrollment,
    logs,
    clock,
    version,
    checkMachine,
  });
  const servers = await serveDaemon({ socket, isSystem, methods, driver, log });
  const wishedEdge = wish.read();
  const { autoConnect, mode } = settings.current;
  const reach = reachOf(mode);
  const edgeKnown = reach === 'dns' || edges.list().some((edge) => edge.name === wishedEdge);
  const changes = journal.pending().length > 0;
  await resume({ wishedEdge, edgeKnown, reach, changes, autoConnect }, { driver, host, log });
  const watches = watchNetwork({ driver, settings, log });
  log.info('the daemon is ready', { version });
  onReady();
  log.info('the daemon ends', { because: await stopped });
  for (const watch of watches) watch.close();
  follower.close();
  await driver.close();
  for (const server of servers) await server.close();
}

/** Tells the driver when the network is another one, or the machine slept. */
function watchNetwork(parts: {
  readonly driver: Driver;
  readonly settings: SettingsStore;
  readonly log: Log;
}): readonly { close(): void }[] {
  const { driver, settings, log } = parts;
  const news = (): void => driver.send({ kind: 'network-news' });
  const network = new NetworkWatch({
    source: openNetworkSource(log),
    log,
    own: () => [settings.current['tunnel.interface'], dnsLinkName],
    targets: () => [],
    mark: () => 0,
    onFact: (fact) => {
      if (fact.kind !== 'network-gone') news();
    },
  });
  const sleep = new SleepWatch({
    onFact: ({ sleptMs }) => {
      log.info('the machine slept', { seconds: Math.round(sleptMs / 1000) });
      network.check();
      news();
    },
  });
  network.start();
  sleep.start();
  return [network, sleep];
}

interface DriverParts extends DnsParts {
  readonly wish: WishFile;
  readonly edges: EdgeStore;
}

interface Machinery {
  readonly driver: Driver;
  readonly tunnel: HostTunnel;
  readonly proxy: ProxyTunnel;
  readonly dns: HostDns;
  readonly host: HostRestorer;
}

/** The driver with everything that it can move. Nothing is started. */
function makeDriver(parts: DriverParts): Machinery {
  const { settings, journal, wish, edges, clock, log } = parts;
  const { tunnel, proxy } = makeTunnels(settings, log);
  const host = new HostRestorer(journal, { run, sysctl: systemSysctl });
  const dns = makeDns(parts);
  const driver = new Driver({
    ports: {
      tunnel,
      proxy,
      dns,
      firewall: new NftablesFirewall(journal, run),
      routes: new IpRoutes({ journal, run, sysctl: systemSysctl, log }),
      host,
      resolver: systemResolver,
      wish,
      edges,
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
  return { driver, tunnel, proxy, dns, host };
}

/** The one of the whole device, and the one behind the proxy. Neither is started. */
function makeTunnels(settings: SettingsStore, log: Log): { tunnel: HostTunnel; proxy: ProxyTunnel } {
  const startThread = (interfaceName: string, mtu: number): Promise<TunnelBackend> => {
    const choice = settings.current['tunnel.backend'];
    return startBackend({ choice, entry: besideUs('packet-thread'), interfaceName, mtu, log });
  };
  const startWorker = (plan: ProxyWorkerPlan): Promise<FlowBackend> => {
    const entry = besideUs('flow-thread');
    return startFlowThread({ entry, log, acceptAny: false, limits: proxyNetLimits, ...plan });
  };
  return {
    tunnel: new HostTunnel({ startThread, serveUapi, log }),
    proxy: new ProxyTunnel({ startWorker, log }),
  };
}

interface DnsParts {
  readonly settings: SettingsStore;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
}

/** Private DNS and the system's side of it. Nothing is opened. */
function makeDns({ settings, journal, clock, log }: DnsParts): HostDns {
  const entropy = systemEntropy();
  const system = new SystemDns({
    files: systemFiles,
    run,
    journal,
    clock,
    log,
    etc: '/etc',
    choice: () => settings.current['dns.system'],
    onLost: (rival) => {
      log.warn('another program keeps taking the DNS of this system back', { rival: rival ?? 'unknown' });
      dns.handleLost();
    },
  });
  const dns = new HostDns({
    settingsFor: (transport) => privateDnsSettings(settings.current, transport),
    places: () => stubPlaces(settings.current),
    open: (given, edgeServers) =>
      new PrivateDns(given, {
        clock,
        log,
        entropy,
        networkServers: () => networkServers(system),
        edgeServers,
      }),
    system,
    mayChange: () => process.getuid?.() === 0,
    undoLeft: () => undoDns(journal, { run, sysctl: systemSysctl }),
    openLink: openOwnLink,
    run,
    log,
  });
  return dns;
}

/** Those that the system's files name now, and those that they named before ours stood there. */
function networkServers(system: SystemDns): readonly string[] {
  return [...new Set([...system.networkServers, ...systemNameServers()])];
}

/** The entry of a worker: from sources `.ts`, from what was built `.js`. */
function besideUs(name: string): URL {
  return new URL(`./${name}${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url);
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}
