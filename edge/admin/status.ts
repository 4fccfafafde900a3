/** What `culvert-edge status` tells: types, and the pure function that makes it. No keys but public ones. */

import { formatEndpoint, parsePrefix } from '../../shared/core/base/ip.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import type { DataplaneStatus, DeviceStatus, PeerStatus } from '../../shared/core/tunnel/config.ts';
import type { EdgeConfig } from '../config.ts';
import { prefixesOf, shortText } from '../network.ts';
import { keyText } from '../peers/peer-changes.ts';
import { portOf } from '../plan.ts';

export interface EdgeStatus {
  readonly name: string;
  readonly version: string;
  readonly publicKey: string;
  /** 'host:port' as clients reach the edge; null where edge.yaml names no endpoint. */
  readonly endpoint: string | null;
  readonly interface: string;
  readonly listen: { readonly udp: readonly number[] };
  readonly network: readonly string[];
  readonly devices: readonly EdgeDevice[];
  readonly paths: readonly EdgePath[];
  readonly dataplane: DataplaneStatus;
  /** Packets that were dropped since the start, by reason; reasons that never happened are left out. */
  readonly drops: Readonly<Record<string, number>>;
  readonly uptimeSeconds: number;
}

export interface EdgeDevice {
  /** The first 16 characters of the public key in hex: stable while the key is. */
  readonly id: string;
  /** Empty for a peer that was added with `wg set`. */
  readonly name: string;
  readonly publicKey: string;
  readonly addresses: readonly string[];
  /** Where the device must reach the edge: with several workers each has its own port. */
  readonly udpPort: number;
  /** Time of the last handshake, null where there was none since the start. */
  readonly lastSeen: string | null;
  /** What the edge received from the device, in bytes inside the tunnel. */
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly path: string;
}

export interface EdgePath {
  readonly id: string;
  readonly type: 'direct';
}

export interface StatusSources {
  readonly config: EdgeConfig;
  readonly publicKey: Uint8Array;
  readonly version: string;
  readonly device: DeviceStatus;
  readonly startedAt: UnixMs;
  readonly now: UnixMs;
}

export function edgeStatus(sources: StatusSources): EdgeStatus {
  const { config, device } = sources;
  const names = new Map(config.peers.map((peer) => [keyText(peer.publicKey), peer.name]));
  return {
    name: config.name,
    version: sources.version,
    publicKey: keyText(sources.publicKey),
    endpoint:
      config.endpoint === undefined
        ? null
        : formatEndpoint({ address: config.endpoint, port: device.listenPort }),
    interface: config.interfaceName,
    listen: { udp: config.workers === 1 ? [device.listenPort] : config.udpPorts.slice(0, config.workers) },
    network: prefixesOf(config.network).map(shortText),
    devices: device.peers.map((peer) => deviceOf(peer, names.get(keyText(peer.publicKey)) ?? '', config)),
    paths: [{ id: 'direct', type: 'direct' }],
    dataplane: device.dataplane,
    drops: Object.fromEntries(Object.entries(device.drops).filter(([, count]) => count > 0)),
    uptimeSeconds: Math.max(0, Math.floor((sources.now - sources.startedAt) / 1000)),
  };
}

function deviceOf(peer: PeerStatus, name: string, config: EdgeConfig): EdgeDevice {
  return {
    id: Buffer.from(peer.publicKey).toString('hex').slice(0, 16),
    name,
    publicKey: keyText(peer.publicKey),
    addresses: peer.allowedIps.map(addressText),
    udpPort: portOf(config, peer.publicKey),
    lastSeen: peer.lastHandshakeMs === 0 ? null : new Date(peer.lastHandshakeMs).toISOString(),
    rxBytes: peer.rxBytes,
    txBytes: peer.txBytes,
    path: 'direct',
  };
}

function addressText(text: string): string {
  const prefix = parsePrefix(text);
  return prefix === undefined ? text : shortText(prefix);
}
