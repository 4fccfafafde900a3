/**
 * How a device should set itself up: for our client as JSON, for stock WireGuard clients as a wg-quick file.
 * Pure but for a hash.
 */

import { createHash } from 'node:crypto';
import { encodeBase64 } from '../../shared/core/base/bytes.ts';
import { formatAddress, formatPrefix } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import {
  type DeviceConfig,
  type DirectoryEdge,
  protocolVersion,
} from '../../shared/core/registration/api.ts';
import { formatPin } from '../../shared/core/registration/invite.ts';
import { printWgConfig } from '../../shared/core/uapi/wg-config-print.ts';
import { disguiseFields } from '../../shared/core/wire/disguise-fields.ts';
import { isPlainOnWire } from '../../shared/core/wire/disguise-rules.ts';
import { gatewayOf } from '../network.ts';
import type { DeviceRecord } from '../peers/store.ts';
import type { EdgeFacts } from './edge-facts.ts';

/** Keeps the mappings of usual NATs. */
const keepaliveSeconds = 25;
const revisionLength = 16;

export function deviceConfig(facts: EdgeFacts, edgeKey: Uint8Array, device: DeviceRecord): DeviceConfig {
  const config = {
    protocol: protocolVersion,
    addresses: device.addresses.map(withLength),
    gateway: facts.pools.map((pool) => formatAddress(gatewayOf(pool.prefix))),
    dns: facts.dns,
    routes: facts.routes.map(formatPrefix),
    mtu: facts.mtu,
    ...(facts.disguise === undefined ? {} : { obfuscation: disguiseFields(facts.disguise) }),
    keepalive: keepaliveSeconds,
    hostRules: facts.hostRules
      .filter((rule) => rule.device === undefined || rule.device === device.name)
      .filter((rule) => rule.tag === undefined || device.tags.includes(rule.tag))
      .map(({ host, use }) => ({ host, use })),
    edge: directoryEdge(facts, edgeKey, device.publicKey),
  };
  const hash = createHash('sha256').update(JSON.stringify(config)).digest('base64url');
  return { revision: hash.slice(0, revisionLength), ...config };
}

export function directoryEdge(facts: EdgeFacts, edgeKey: Uint8Array, deviceKey: Uint8Array): DirectoryEdge {
  return {
    name: facts.name,
    publicKey: encodeBase64(edgeKey),
    host: facts.host ?? '',
    udpPorts: facts.udpPortOf === undefined ? facts.udpPorts : [facts.udpPortOf(deviceKey)],
    httpsPorts: facts.httpsPorts,
    pin: formatPin(facts.pin),
  };
}

/**
 * A file for the official apps. Without `privateKey` its line is missing: the device has its own key. Throws
 * where the edge does not know by which name it is reached.
 */
export function stockConfig(
  facts: EdgeFacts,
  edgeKey: Uint8Array,
  device: DeviceRecord,
  privateKey: Uint8Array | undefined,
): string {
  const { edge, addresses, dns, mtu, routes, keepalive } = deviceConfig(facts, edgeKey, device);
  const port = edge.udpPorts[0];
  if (edge.host === '' || port === undefined) {
    throw new CulvertError('bad-config', {
      text: 'The edge does not know by which name it is reached.',
      remedy: 'Set endpoint in edge.yaml to its host name or address.',
    });
  }
  const { disguise } = facts;
  const conf = printWgConfig({
    interface: {
      ...(privateKey === undefined ? {} : { privateKey }),
      ...(disguise === undefined ? {} : { disguise }),
      addresses,
      dns,
      searchDomains: [],
      mtu,
    },
    peers: [
      {
        publicKey: edgeKey,
        endpoint: { host: edge.host, port },
        persistentKeepalive: keepalive,
        allowedIps: routes,
      },
    ],
    ignored: [],
  });
  if (disguise === undefined) return conf;
  return `${isPlainOnWire(disguise) ? junkComment : disguiseComment}\n${conf}`;
}

const disguiseComment =
  '# This edge disguises WireGuard: only the AmneziaWG apps, amneziawg-tools and culvert can use this file.';
const junkComment =
  '# Jc, Jmin and Jmax are for the AmneziaWG apps and culvert. For an official WireGuard app delete those lines.';

function withLength(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}
