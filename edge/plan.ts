/** From the configuration to what the host, the kernel and the tunnel are asked for. Pure. */

import { readU32LE } from '../shared/core/base/bytes.ts';
import { formatAddress, formatPrefix, type Prefix } from '../shared/core/base/ip.ts';
import { shardInterfaces } from '../shared/node/dataplane/sharded-backend.ts';
import type { EdgeConfig } from './config.ts';
import type { DeviceEntry } from './egress/devices.ts';
import type { GatewayPort } from './gateway/interface-gateway.ts';
import type { GuardNetwork, GuardOpening, GuardPlan } from './host/guard-rules.ts';
import type { LinkPlan } from './host/link.ts';
import type { RouteSources } from './host/worker-routes.ts';
import { gatewayOf, prefixesOf } from './network.ts';
import type { OwnFacts } from './registration/start-registration.ts';

/**
 * `services`: what the edge itself serves on its addresses in the tunnel. `devices`: those of the store.
 * `routed`: what rules open for their own paths.
 */
export function guardPlan(
  config: EdgeConfig,
  services: readonly GatewayPort[] = [],
  devices: readonly Pick<DeviceEntry, 'name' | 'prefixes'>[] = [],
  routed: readonly GuardOpening[] = [],
): GuardPlan {
  const sourcesOf = (device: string | undefined): readonly string[] | undefined =>
    device === undefined ? undefined : prefixesFor(device, config, devices).map(formatPrefix);
  return {
    interfaceNames: interfacesOf(config),
    mtu: config.mtu,
    v4: guardNetwork(config.network.v4),
    v6: guardNetwork(config.network.v6),
    closePrivate: config.closePrivate,
    connectionsPerSecond: config.connectionsPerSecond,
    services,
    allow: [
      ...config.allow.map(({ cidr, device }) => ({ cidr: formatPrefix(cidr), from: sourcesOf(device) })),
      ...config.pairs.flatMap(({ device, to }) =>
        prefixesFor(to, config, devices).map((prefix) => ({
          cidr: formatPrefix(prefix),
          from: sourcesOf(device),
        })),
      ),
      ...routed,
    ],
  };
}

/** Nobody of that name: nobody is let through. */
function prefixesFor(
  name: string,
  config: EdgeConfig,
  devices: readonly Pick<DeviceEntry, 'name' | 'prefixes'>[],
): readonly Prefix[] {
  const peer = config.peers.find((one) => one.name === name);
  return peer?.allowedIps ?? devices.find((device) => device.name === name)?.prefixes ?? [];
}

/** What the registration API tells devices about this edge. */
export function ownFacts(config: EdgeConfig): OwnFacts {
  const prefixes = prefixesOf(config.network);
  const reserved = config.peers.flatMap((peer) => peer.allowedIps);
  return {
    name: config.name,
    host: config.endpoint,
    udpPorts: config.udpPorts.slice(0, config.workers),
    pools: prefixes.map((prefix) => ({ prefix, reserved })),
    dns: prefixes.map((prefix) => formatAddress(gatewayOf(prefix))),
    // Both families, whatever the network has: what the tunnel cannot carry must not go beside it.
    routes: everything,
    mtu: config.mtu,
    disguise: config.disguise,
    hostRules: config.rules.flatMap(({ match: { host, device, tag }, use }) =>
      host === undefined
        ? []
        : [{ host, use, ...(device === undefined ? {} : { device }), ...(tag === undefined ? {} : { tag }) }],
    ),
    paths: config.paths.map(({ id, type }) => ({ id, type, state: 'up' })),
    guardedNames: guardedNames(config),
    ...(config.workers === 1 ? {} : { udpPortOf: (key: Uint8Array) => portOf(config, key) }),
  };
}

/** A name of them would give whoever takes it what is another's. */
function guardedNames({ peers, allowNames, rules }: EdgeConfig): ReadonlySet<string> {
  const ofRules = rules.flatMap(({ match }) => match.device ?? []);
  const names = [...peers, ...allowNames].map(({ name }) => name);
  return new Set([...names, ...ofRules].map((name) => name.toLowerCase()));
}

const everything: readonly Prefix[] = [
  { address: new Uint8Array(4), bits: 0 },
  { address: new Uint8Array(16), bits: 0 },
];

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

export function interfacesOf(config: EdgeConfig): readonly string[] {
  return shardInterfaces(config.interfaceName, config.workers);
}

/** What the kernel backend follows while it runs. */
const kernelFollows: ReadonlySet<string> = new Set(['egress.paths', 'egress.probe']);

/** Keys of the file that a running edge cannot change, and that differ. */
export function needRestart(before: EdgeConfig, after: EdgeConfig): readonly string[] {
  const compared: readonly (readonly [key: string, of: (config: EdgeConfig) => string])[] = [
    ['interface', (config) => config.interfaceName],
    ['mtu', (config) => String(config.mtu)],
    ['listen.udp', (config) => config.udpPorts.join()],
    ['workers', (config) => String(config.workers)],
    ['obfuscation', (config) => JSON.stringify(config.disguise ?? null)],
    ['network', (config) => prefixesOf(config.network).map(formatPrefix).join()],
    ['privateKeyFile', (config) => config.privateKeyFile],
    ['egress.backend', (config) => config.backend],
    ['egress.paths', (config) => JSON.stringify(config.paths)],
    ['egress.probe', (config) => JSON.stringify(config.probe)],
    ['dns', (config) => JSON.stringify(config.dns)],
    ['limits', (config) => String(config.connectionsPerDevice)],
    ['listen.https', (config) => config.httpsPorts.join()],
    ['listen.metrics', (config) => JSON.stringify(config.metrics)],
    ['certificate', (config) => JSON.stringify([config.certificate, config.acme])],
  ];
  const isFixed = (key: string): boolean => before.backend !== 'kernel' || !kernelFollows.has(key);
  return compared.filter(([key, of]) => isFixed(key) && of(before) !== of(after)).map(([key]) => key);
}

function guardNetwork(prefix: Prefix | undefined): GuardNetwork | undefined {
  if (prefix === undefined) return undefined;
  return { prefix: formatPrefix(prefix), gateway: formatAddress(gatewayOf(prefix)) };
}
