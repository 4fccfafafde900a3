/** From the configuration to what the host, the kernel and the tunnel are asked for. Pure. */

import { readU32LE } from '../shared/core/base/bytes.ts';
import { formatAddress, formatPrefix, type Prefix } from '../shared/core/base/ip.ts';
import { shardInterfaces } from '../shared/node/dataplane/sharded-backend.ts';
import type { EdgeConfig } from './config.ts';
import type { GuardNetwork, GuardPlan } from './host/guard-rules.ts';
import type { LinkPlan } from './host/link.ts';
import type { RouteSources } from './host/worker-routes.ts';
import { gatewayOf, prefixesOf } from './network.ts';

export function guardPlan(config: EdgeConfig): GuardPlan {
  return {
    interfaceNames: interfacesOf(config),
    mtu: config.mtu,
    v4: guardNetwork(config.network.v4),
    v6: guardNetwork(config.network.v6),
    closePrivate: config.closePrivate,
    allow: config.allow.map((opening) => ({
      cidr: formatPrefix(opening.cidr),
      from:
        opening.device === undefined
          ? undefined
          : config.peers.find((peer) => peer.name === opening.device)?.allowedIps.map(formatPrefix),
    })),
  };
}

/** By worker. The first one's interface has the edge's addresses. */
export function linkPlans(config: EdgeConfig): readonly LinkPlan[] {
  const addresses = prefixesOf(config.network).map(
    (prefix) => `${formatAddress(gatewayOf(prefix))}/${prefix.bits}`,
  );
  return interfacesOf(config).map((interfaceName, i) => ({
    interfaceName,
    mtu: config.mtu,
    addresses: i === 0 ? addresses : [],
  }));
}

/** The edge's own addresses, by family. */
export function gatewaysOf(config: EdgeConfig): RouteSources {
  return { v4: guardNetwork(config.network.v4)?.gateway, v6: guardNetwork(config.network.v6)?.gateway };
}

/** The worker that a device belongs to: always the same one, since the device is told that worker's port. */
export function workerOf(publicKey: Uint8Array, workers: number): number {
  return readU32LE(publicKey, 0) % workers;
}

/** The UDP port that a device must use. */
export function portOf(config: EdgeConfig, publicKey: Uint8Array): number {
  return config.udpPorts[workerOf(publicKey, config.workers)] ?? 0;
}

function interfacesOf(config: EdgeConfig): readonly string[] {
  return shardInterfaces(config.interfaceName, config.workers);
}

/** Keys of the file that a running edge cannot change, and that differ. */
export function needRestart(before: EdgeConfig, after: EdgeConfig): readonly string[] {
  const compared: readonly (readonly [key: string, of: (config: EdgeConfig) => string])[] = [
    ['interface', (config) => config.interfaceName],
    ['mtu', (config) => String(config.mtu)],
    ['listen.udp', (config) => config.udpPorts.join()],
    ['workers', (config) => String(config.workers)],
    ['network', (config) => prefixesOf(config.network).map(formatPrefix).join()],
    ['privateKeyFile', (config) => config.privateKeyFile],
  ];
  return compared.filter(([, of]) => of(before) !== of(after)).map(([key]) => key);
}

function guardNetwork(prefix: Prefix | undefined): GuardNetwork | undefined {
  if (prefix === undefined) return undefined;
  return { prefix: formatPrefix(prefix), gateway: formatAddress(gatewayOf(prefix)) };
}
