/** From the configuration to what the host, the kernel and the tunnel are asked for. Pure. */

import { formatAddress, formatPrefix, type Prefix } from '../shared/core/base/ip.ts';
import type { EdgeConfig } from './config.ts';
import type { GuardNetwork, GuardPlan } from './host/guard-rules.ts';
import type { LinkPlan } from './host/link.ts';
import { gatewayOf, prefixesOf } from './network.ts';

export function guardPlan(config: EdgeConfig): GuardPlan {
  return {
    interfaceName: config.interfaceName,
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

export function linkPlan(config: EdgeConfig): LinkPlan {
  return {
    interfaceName: config.interfaceName,
    mtu: config.mtu,
    addresses: prefixesOf(config.network).map(
      (prefix) => `${formatAddress(gatewayOf(prefix))}/${prefix.bits}`,
    ),
  };
}

/** Keys of the file that a running edge cannot change, and that differ. */
export function needRestart(before: EdgeConfig, after: EdgeConfig): readonly string[] {
  const compared: readonly (readonly [key: string, of: (config: EdgeConfig) => string])[] = [
    ['interface', (config) => config.interfaceName],
    ['mtu', (config) => String(config.mtu)],
    ['listen.udp', (config) => config.udpPorts.join()],
    ['network', (config) => prefixesOf(config.network).map(formatPrefix).join()],
    ['privateKeyFile', (config) => config.privateKeyFile],
  ];
  return compared.filter(([, of]) => of(before) !== of(after)).map(([key]) => key);
}

function guardNetwork(prefix: Prefix | undefined): GuardNetwork | undefined {
  if (prefix === undefined) return undefined;
  return { prefix: formatPrefix(prefix), gateway: formatAddress(gatewayOf(prefix)) };
}
