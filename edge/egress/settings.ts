/** What the worker of a rootless edge is given, made from the configuration. Pure; all of it can be cloned. */

import { type Prefix, parseAddress } from '../../shared/core/base/ip.ts';
import type { EdgeConfig } from '../config.ts';
import type { DnsConfig } from '../config-dns.ts';
import type { DevicePair, Opening } from '../config-egress.ts';
import type { PathsConfig } from '../config-paths.ts';
import { gatewayOf, prefixesOf } from '../network.ts';
import { keyText } from '../peers/peer-changes.ts';
import type { DeviceEntry } from './devices.ts';
import type { EgressRule } from './rules.ts';

export interface EgressSettings {
  /** The edge's own addresses in the tunnel. */
  readonly gateways: readonly Uint8Array[];
  /** Addresses of this machine that no interface has, as far as the configuration tells. */
  readonly ownAddresses: readonly Uint8Array[];
  /** Where devices reach the edge: a name or an address. */
  readonly endpoint: string | undefined;
  /** Of the tunnel, bytes. */
  readonly mtu: number;
  readonly dns: DnsConfig;
  readonly connectionsPerDevice: number;
  /** Ways out, and how they are measured. */
  readonly ways: Omit<PathsConfig, 'rules'>;
  readonly rules: EgressRules;
  /** Unix socket on which the API of devices answers. */
  readonly apiSocket?: string;
}

/** What a reload may change. */
export interface EgressRules {
  readonly edgeName: string;
  readonly network: readonly Prefix[];
  readonly closePrivate: boolean;
  /** That one device may open; 0 = no limit. */
  readonly connectionsPerSecond: number;
  readonly allow: readonly Opening[];
  readonly pairs: readonly DevicePair[];
  readonly devices: readonly DeviceEntry[];
  /** Which flows take which path. */
  readonly rules: readonly EgressRule[];
}

export function egressSettings(config: EdgeConfig): EgressSettings {
  const endpoint = config.endpoint === undefined ? undefined : parseAddress(config.endpoint);
  return {
    gateways: prefixesOf(config.network).map(gatewayOf),
    // Behind a translator the public address is on no interface, and would still lead back here.
    ownAddresses: endpoint === undefined ? [] : [endpoint],
    endpoint: config.endpoint,
    mtu: config.mtu,
    dns: config.dns,
    connectionsPerDevice: config.connectionsPerDevice,
    ways: { paths: config.paths, probe: config.probe },
    rules: egressRules(config),
  };
}

export function egressRules(config: EdgeConfig): EgressRules {
  return {
    edgeName: config.name,
    network: prefixesOf(config.network),
    closePrivate: config.closePrivate,
    connectionsPerSecond: config.connectionsPerSecond,
    allow: config.allow,
    pairs: config.pairs,
    devices: config.peers.map((peer) => ({
      name: peer.name,
      key: keyText(peer.publicKey),
      prefixes: peer.allowedIps,
      tags: peer.tags,
    })),
    rules: config.rules,
  };
}
