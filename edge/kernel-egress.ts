/**
 * The way out through this host's kernel: a TUN interface, forwarding, translation, and the guard, which stands
 * before the first packet can pass and falls after the last one has.
 */

import { systemClock } from '../shared/node/clock.ts';
import type { TunnelBackend } from '../shared/node/dataplane/messages.ts';
import { systemEntropy } from '../shared/node/entropy.ts';
import { run } from '../shared/node/run.ts';
import { uapiPath } from '../shared/node/uapi/uapi-socket.ts';
import type { EdgeConfig } from './config.ts';
import type { DeviceDelta } from './egress/devices.ts';
import type { PathStatus } from './egress/egress-paths.ts';
import type { PathsAnswer, PathsQuestion } from './egress/paths-question.ts';
import { egressRules } from './egress/settings.ts';
import type { DeviceFollowing, EdgeEgress, EgressParts } from './egress-parts.ts';
import type { GatewayPort } from './gateway/interface-gateway.ts';
import { KernelGateway } from './gateway/kernel-gateway.ts';
import { ConnectionTracking } from './host/connection-tracking.ts';
import { applyForwarding, planForwarding } from './host/forwarding.ts';
import { applyGuard, GuardCounts } from './host/kernel-nat.ts';
import { KernelPathDesk } from './host/kernel-path-desk.ts';
import { KernelPaths } from './host/kernel-paths.ts';
import { kernelSettings } from './host/kernel-settings.ts';
import { bringUp } from './host/link.ts';
import { undoJournal } from './host/undo.ts';
import { shortText } from './network.ts';
import { peerChanges } from './peers/peer-changes.ts';
import { serveWgSocket } from './peers/wg-socket.ts';
import { guardPlan, interfacesOf, linkPlans } from './plan.ts';
import { threadEntry } from './thread-entry.ts';
import { startEdgeTunnel } from './workers.ts';

/** Rejects with CulvertError; the teardown then takes back what stands. */
export async function startKernelEgress(parts: EgressParts): Promise<EdgeEgress> {
  const { config, identity, journal, teardown, log } = parts;
  teardown.add('changes of the host', () => undoJournal(journal, { run, settings: kernelSettings, log }));
  await applyGuard(guardPlan(config, []), journal, run);
  const paths = await startPaths(parts);
  const desk = new KernelPathDesk({ paths, clock: systemClock(), run });
  const tunnel = await startEdgeTunnel({ config, entry: threadEntry('packet-thread'), log, run });
  teardown.add('tunnel', () => tunnel.stop());
  tunnel.onEnd(parts.onEnd);
  await tunnel.configure({
    privateKey: identity.privateKey,
    listenPort: config.udpPorts[0] ?? 0,
    ...(config.disguise === undefined ? {} : { disguise: config.disguise }),
    peers: peerChanges([], config.peers),
  });
  for (const plan of linkPlans(config)) await bringUp(plan, run);
  await tunnel.route();
  const families = { v4: config.network.v4 !== undefined, v6: config.network.v6 !== undefined };
  applyForwarding(planForwarding(families, kernelSettings), journal, kernelSettings);
  journal.record({ kind: 'socket-file', path: uapiPath(tunnel.interfaceName) });
  const closeWgSocket = await serveWgSocket({
    tunnel,
    log,
    owned: () => ({
      privateKey: identity.privateKey,
      listenPort: parts.current().udpPorts[0] ?? 0,
      disguise: parts.current().disguise,
      peers: parts.current().peers,
      devices: parts.devices(),
      isDevice: parts.isStoreKey,
    }),
  });
  teardown.add('socket of wg', closeWgSocket);
  const gateway = await KernelGateway.start({
    config,
    log,
    unixNow: parts.unixNow,
    apiSocket: parts.apiSocket,
    pathOf: (device) => desk.usualPath(device),
    status: () => tunnel.status(),
    names: paths,
  });
  teardown.add('gateway', () => gateway.close());
  await applyGuard(guardPlan(config, gateway.ports, [], paths.openings()), journal, run);
  journal.record({ kind: 'socket-file', path: parts.socketPath });
  journal.record({ kind: 'socket-file', path: parts.apiSocket });
  return new KernelEgress({ tunnel, gateway, paths, desk }, parts);
}

/** Before the tunnel: no device's packet may leave by another path than its own. */
async function startPaths(parts: EgressParts): Promise<KernelPaths> {
  const { config, journal, teardown, log } = parts;
  const paths = await KernelPaths.start({
    config,
    devices: (now) => [...egressRules(now).devices, ...parts.devices()],
    interfaceNames: interfacesOf(config),
    journal,
    run,
    settings: kernelSettings,
    clock: systemClock(),
    entropy: systemEntropy(),
    log,
  });
  teardown.add('paths', () => paths.close());
  return paths;
}

interface KernelEgressTools {
  readonly tunnel: TunnelBackend;
  readonly gateway: KernelGateway;
  readonly paths: KernelPaths;
  readonly desk: KernelPathDesk;
}

class KernelEgress implements EdgeEgress {
  readonly tunnel: TunnelBackend;
  readonly #gateway: KernelGateway;
  readonly #ports: readonly GatewayPort[];
  readonly #parts: EgressParts;
  readonly #guardCounts = new GuardCounts(run);
  readonly #tracking: ConnectionTracking;
  readonly #paths: KernelPaths;
  readonly #desk: KernelPathDesk;
  /** Keys of the store's devices that were here before. */
  readonly #seen = new Set<string>();

  constructor({ tunnel, gateway, paths, desk }: KernelEgressTools, parts: EgressParts) {
    this.tunnel = tunnel;
    this.#paths = paths;
    this.#desk = desk;
    this.#gateway = gateway;
    this.#ports = gateway.ports;
    this.#parts = parts;
    this.#tracking = new ConnectionTracking({ run, log: parts.log });
  }

  counts(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  guardDrops(): Promise<Readonly<Record<string, number>>> {
    return this.#guardCounts.read();
  }

  paths(question: PathsQuestion): Promise<PathsAnswer> {
    return this.#desk.answer(question);
  }

  pathStatus(): Promise<readonly PathStatus[]> {
    return this.#desk.freshStatus();
  }

  /** The paths first: whoever comes has his own before he can speak. */
  async reload(before: EdgeConfig, after: EdgeConfig): Promise<void> {
    await this.#paths.reload(after);
    try {
      await this.tunnel.configure({ peers: peerChanges(before.peers, after.peers) });
    } catch (cause) {
      await this.#paths.reload(before);
      throw cause;
    }
    await this.#guard(after);
    this.#gateway.reload(after, this.#parts.devices);
  }

  async follow({ cut, delta }: DeviceFollowing): Promise<void> {
    const { current, devices } = this.#parts;
    const addresses = cut.flatMap((one) => one.addresses);
    this.#gateway.reload(current(), devices);
    this.#gateway.cut(addresses);
    await this.#paths.follow();
    if (namesDevices(current())) await this.#guard(current());
    const forgotten = [...addresses, ...this.#newlyPinned(delta)];
    // Not awaited: nothing passes for them any more, and it takes its time.
    if (forgotten.length > 0) void this.#tracking.forget(forgotten);
  }

  async #guard(config: EdgeConfig): Promise<void> {
    const { devices, journal } = this.#parts;
    await this.#guardCounts.keep();
    const plan = guardPlan(config, this.#ports, devices(), this.#paths.openings());
    await applyGuard(plan, journal, run);
  }

  /** Addresses of new devices with a path of their own: what they began before it was known began elsewhere. */
  #newlyPinned({ set, gone }: DeviceDelta): readonly string[] {
    for (const key of gone) this.#seen.delete(key);
    const fresh = set.filter((device) => !this.#seen.has(device.key));
    for (const { key } of fresh) this.#seen.add(key);
    const pinned = fresh.filter((device) => device.path !== undefined);
    return pinned.flatMap((device) => device.prefixes.map(shortText));
  }
}

/** Whether what the guard opens depends on who is there. */
function namesDevices({ allowNames, rules }: EdgeConfig): boolean {
  return (
    allowNames.length > 0 ||
    rules.some(({ match }) => match.cidr !== undefined && (match.device ?? match.tag) !== undefined)
  );
}
