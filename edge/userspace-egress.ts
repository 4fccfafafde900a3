/**
 * The way out without privileges: a worker whose tunnel ends in a userspace stack, and sockets of this program.
 * Touches nothing of the host: no interface, no firewall, no setting.
 */

import { CulvertError } from '../shared/core/control/codes.ts';
import type { NetLimits } from '../shared/core/netstack/limits.ts';
import type { FlowBackend } from '../shared/node/flows/contract.ts';
import { startFlowThread } from '../shared/node/flows/flow-thread-link.ts';
import type { EgressCounts } from './admin/status.ts';
import type { EdgeConfig } from './config.ts';
import type { PathsAnswer, PathsQuestion } from './egress/paths-question.ts';
import { type EgressRules, egressRules, egressSettings } from './egress/settings.ts';
import type { DeviceFollowing, EdgeEgress, EgressParts } from './egress-parts.ts';
import { peerChanges } from './peers/peer-changes.ts';
import { threadEntry } from './thread-entry.ts';

/** Ports below it need a privilege on most systems. */
const firstFreePort = 1024;
const mebi = 1024 * 1024;
/** Of all devices together; each has its own share in edge.yaml. */
const stackLimits = {
  connections: 65_536,
  udpFlows: 32_768,
  timeWait: 32_768,
  halfOpen: 8192,
  halfOpenPerSource: 4096,
  memoryBytes: 512 * mebi,
} as const satisfies Partial<NetLimits>;

/** Rejects with CulvertError; the teardown then takes back what stands. */
export async function startUserspaceEgress(parts: EgressParts): Promise<EdgeEgress> {
  const { config, identity, teardown, log } = parts;
  const settings = { ...egressSettings(config), apiSocket: parts.apiSocket };
  const tunnel = await startFlowThread({
    entry: threadEntry('flow-thread'),
    log,
    mtu: config.mtu,
    addresses: settings.gateways,
    acceptAny: true,
    limits: {
      ...stackLimits,
      connectionsPerSource: config.connectionsPerDevice,
      udpFlowsPerSource: Math.min(config.connectionsPerDevice, stackLimits.udpFlows),
    },
    settings,
  });
  teardown.add('tunnel', () => tunnel.stop());
  tunnel.onEnd(parts.onEnd);
  const listenPort = config.udpPorts[0] ?? 0;
  try {
    await tunnel.configure({
      privateKey: identity.privateKey,
      listenPort,
      ...(config.disguise === undefined ? {} : { disguise: config.disguise }),
      peers: peerChanges([], config.peers),
    });
  } catch (cause) {
    throw explainPort(cause, listenPort);
  }
  return new UserspaceEgress(tunnel, parts);
}

class UserspaceEgress implements EdgeEgress {
  readonly tunnel: FlowBackend;
  readonly #parts: EgressParts;

  constructor(tunnel: FlowBackend, parts: EgressParts) {
    this.tunnel = tunnel;
    this.#parts = parts;
  }

  async counts(): Promise<EgressCounts> {
    return (await this.tunnel.call('counts')) as EgressCounts;
  }

  async paths(question: PathsQuestion): Promise<PathsAnswer> {
    return (await this.tunnel.call('paths', question)) as PathsAnswer;
  }

  /** The rules first: whoever comes is known before he can speak, whoever goes is cut at once. */
  async reload(before: EdgeConfig, after: EdgeConfig): Promise<void> {
    await this.tunnel.call('reload', this.#rules(after));
    try {
      await this.tunnel.configure({ peers: peerChanges(before.peers, after.peers) });
    } catch (cause) {
      await this.tunnel.call('reload', this.#rules(before));
      throw cause;
    }
  }

  /** Whoever is no device any more loses what he had open. */
  async follow({ delta }: DeviceFollowing): Promise<void> {
    await this.tunnel.call('devices', delta);
  }

  #rules(config: EdgeConfig): EgressRules {
    const rules = egressRules(config);
    return { ...rules, devices: [...rules.devices, ...this.#parts.devices()] };
  }
}

function explainPort(cause: unknown, port: number): unknown {
  if (!(cause instanceof CulvertError) || cause.code !== 'not-root' || port >= firstFreePort) return cause;
  return new CulvertError('no-permission', {
    text: `This program may not open UDP port ${port}: ports below ${firstFreePort} need CAP_NET_BIND_SERVICE.`,
    remedy: `Put a port from ${firstFreePort} on first in listen.udp, or give the program that capability.`,
    cause,
  });
}
