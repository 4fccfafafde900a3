/**
 * Composition root of the daemon: builds in order, starts, stops in reverse. No logic.
 */

import { chmodSync, mkdirSync } from 'node:fs';
import { systemClock } from '../shared/node/clock.ts';
import type { TunnelBackend } from '../shared/node/dataplane/messages.ts';
import { createLog } from '../shared/node/log.ts';
import { run } from '../shared/node/run.ts';
import { serveUapi } from '../shared/node/uapi/uapi-socket.ts';
import { startBackend } from '../shared/node/wgtools/start-backend.ts';
import { claimStateDir, leaveStateDir } from './control/daemon-mark.ts';
import { LogRing } from './control/log-ring.ts';
import { Methods } from './control/methods.ts';
import { serveDaemon } from './control/server.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { Driver } from './driver/driver.ts';
import { resume } from './driver/resume.ts';
import { systemResolver } from './host/endpoints.ts';
import { NftablesFirewall } from './host/firewall/nftables.ts';
import { Journal } from './host/journal.ts';
import { hostPlace } from './host/place.ts';
import { checkWholeDevice } from './host/privileges.ts';
import { HostRestorer } from './host/restore.ts';
import { IpRoutes } from './host/routes/ip-route.ts';
import { hasIpv6, systemSysctl } from './host/sysctl.ts';
import { HostTunnel } from './host/tunnel.ts';
import { EdgeStore } from './settings/edges.ts';
import { edgesPath, journalPath, logPath, settingsPath, wishPath } from './settings/paths.ts';
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
  const settings = new SettingsStore(settingsPath(stateDir));
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
  const entry = new URL(
    `./packet-thread${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
    import.meta.url,
  );
  const startThread = (interfaceName: string, mtu: number): Promise<TunnelBackend> =>
    startBackend({ choice: settings.current['tunnel.backend'], entry, interfaceName, mtu, log });
  const tunnel = new HostTunnel({ startThread, serveUapi, log });
  const host = new HostRestorer(journal, { run, sysctl: systemSysctl });
  const driver = new Driver({
    ports: {
      tunnel,
      firewall: new NftablesFirewall(journal, run),
      routes: new IpRoutes({ journal, run, sysctl: systemSysctl, log }),
      host,
      resolver: systemResolver,
      wish,
      edges,
      settings: () => ({
        interfaceName: settings.current['tunnel.interface'],
        mtu: settings.current['tunnel.mtu'],
      }),
      ipv6: () => hasIpv6(systemSysctl),
    },
    clock,
    log,
  });
  const version = culvertVersion();
  const checkMachine = checkWholeDevice;
  const methods = new Methods({ driver, tunnel, settings, edges, logs, clock, version, checkMachine });
  const servers = await serveDaemon({ socket, isSystem, methods, driver, log });
  const wishedEdge = wish.read();
  const edgeKnown = edges.list().some((edge) => edge.name === wishedEdge);
  const changes = journal.pending().length > 0;
  await resume(
    { wishedEdge, edgeKnown, changes, autoConnect: settings.current.autoConnect },
    { driver, host, log },
  );
  log.info('the daemon is ready', { version });
  onReady();
  log.info('the daemon ends', { because: await stopped });
  await driver.close();
  for (const server of servers) await server.close();
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}
