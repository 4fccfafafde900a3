/**
 * The way out through this host's kernel: a TUN interface, forwarding, translation, and the guard, which stands
 * before the first packet can pass and falls after the last one has.
 */

import type { TunnelBackend } from '../shared/node/dataplane/messages.ts';
import { run } from '../shared/node/run.ts';
import { uapiPath } from '../shared/node/uapi/uapi-socket.ts';
import type { EdgeConfig } from './config.ts';
import type { DeviceFollowing, EdgeEgress, EgressParts } from './egress-parts.ts';
import type { GatewayPort } from './gateway/interface-gateway.ts';
import { KernelGateway } from './gateway/kernel-gateway.ts';
import { forgetConnections } from './host/connection-tracking.ts';
import { applyForwarding, planForwarding } from './host/forwarding.ts';
import { applyGuard } from './host/kernel-nat.ts';
import { kernelSettings } from './host/kernel-settings.ts';
import { bringUp } from './host/link.ts';
import { undoJournal } from './host/undo.ts';
import { peerChanges } from './peers/peer-changes.ts';
import { serveWgSocket } from './peers/wg-socket.ts';
import { guardPlan, linkPlans } from './plan.ts';
import { threadEntry } from './thread-entry.ts';
import { startEdgeTunnel } from './workers.ts';

/** Rejects with CulvertError; the teardown then takes back what stands. */
export async function startKernelEgress(parts: EgressParts): Promise<EdgeEgress> {
  const { config, identity, journal, teardown, log } = parts;
  teardown.add('changes of the host', () => undoJournal(journal, { run, settings: kernelSettings, log }));
  await applyGuard(guardPlan(config, []), journal, run);
  const tunnel = await startEdgeTunnel({ config, entry: threadEntry('packet-thread'), log, run });
  teardown.add('tunnel', () => tunnel.stop());
  tunnel.onEnd(parts.onEnd);
  await tunnel.configure({
    privateKey: identity.privateKey,
    listenPort: config.udpPorts[0] ?? 0,
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
  });
  teardown.add('gateway', () => gateway.close());
  await applyGuard(guardPlan(config, gateway.ports), journal, run);
  journal.record({ kind: 'socket-file', path: parts.socketPath });
  journal.record({ kind: 'socket-file', path: parts.apiSocket });
  return new KernelEgress(tunnel, gateway, parts);
}

class KernelEgress implements EdgeEgress {
  readonly tunnel: TunnelBackend;
  readonly #gateway: KernelGateway;
  readonly #ports: readonly GatewayPort[];
  readonly #parts: EgressParts;

  constructor(tunnel: TunnelBackend, gateway: KernelGateway, parts: EgressParts) {
    this.tunnel = tunnel;
    this.#gateway = gateway;
    this.#ports = gateway.ports;
    this.#parts = parts;
  }

  counts(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async reload(before: EdgeConfig, after: EdgeConfig): Promise<void> {
    await this.tunnel.configure({ peers: peerChanges(before.peers, after.peers) });
    const { devices, journal } = this.#parts;
    await applyGuard(guardPlan(after, this.#ports, devices()), journal, run);
    this.#gateway.reload(after, devices);
  }

  async follow({ cut }: DeviceFollowing): Promise<void> {
    const { current, devices, journal, log } = this.#parts;
    const addresses = cut.flatMap((one) => one.addresses);
    this.#gateway.reload(current(), devices);
    this.#gateway.cut(addresses);
    const namesDevices = current().allow.some((opening) => opening.device !== undefined);
    if (namesDevices) await applyGuard(guardPlan(current(), this.#ports, devices()), journal, run);
    await forgetConnections(addresses, run, log);
  }
}
