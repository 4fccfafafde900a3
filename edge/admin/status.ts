/** What `culvert-edge status` tells: types, and the pure function that makes it. No keys but public ones. */

import { formatEndpoint, parsePrefix } from '../../shared/core/base/ip.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import type { DataplaneStatus, DeviceStatus, PeerStatus } from '../../shared/core/tunnel/config.ts';
import { type DisguiseFields, disguiseFields } from '../../shared/core/wire/disguise-fields.ts';
import type { EdgeConfig } from '../config.ts';
import type { EgressBackend } from '../config-egress.ts';
import type { DnsCounts } from '../dns/counts.ts';
import type { PathStatus } from '../egress/egress-paths.ts';
import { prefixesOf, shortText } from '../network.ts';
import { keyText } from '../peers/peer-changes.ts';
import type { DeviceRecord } from '../peers/store.ts';
import { portOf } from '../plan.ts';
import type { EdgeActivity } from './activity.ts';
import type { CertificateStatus } from './certificate-status.ts';

export interface EdgeStatus {
  readonly name: string;
  readonly version: string;
  readonly publicKey: string;
  /** 'host:port' as clients reach the edge; null where edge.yaml names no endpoint. */
  readonly endpoint: string | null;
  /** Null where the edge makes none. */
  readonly interface: string | null;
  readonly egress: EgressStatus;
  readonly listen: {
    readonly udp: readonly number[];
    /** Those that could be opened; the first is the one in invitations. */
    readonly https: readonly number[];
  };
  /** 'sha256/…': by this devices know the edge's certificate. */
  readonly pin: string;
  readonly certificate: CertificateStatus;
  /** Devices of the store, those that may not connect now included. */
  readonly enrolled: number;
  readonly network: readonly string[];
  /** How messages are disguised, by AmneziaWG's names; absent: not at all. */
  readonly obfuscation?: DisguiseFields;
  readonly devices: readonly EdgeDevice[];
  readonly paths: readonly EdgePath[];
  readonly dataplane: DataplaneStatus;
  /** Packets that were dropped since the start, by reason; reasons that never happened are left out. */
  readonly drops: Readonly<Record<string, number>>;
  readonly uptimeSeconds: number;
  readonly activity: EdgeActivity;
}

export interface EgressStatus {
  readonly backend: EgressBackend;
  /** Why that one: half a sentence. */
  readonly why: string;
  /** Null where the kernel forwards: it counts for itself. */
  readonly flows: EgressCounts | null;
  /** Packets of devices that the kernel's firewall dropped since the start, by reason; null in user space. */
  readonly guard: Readonly<Record<string, number>> | null;
}

export interface EgressCounts {
  /** TCP connections of all devices in the userspace stack, those with the edge itself included. */
  readonly connections: number;
  readonly udpFlows: number;
  /** Series of echo requests to destinations outside. */
  readonly echoFlows?: number;
  /** Whether the system lets the edge ping for its devices; else half a sentence, and what to do. */
  readonly ping?: {
    readonly allowed: boolean;
    readonly why: string | null;
    readonly remedy: string | null;
  };
  readonly memoryBytes: number;
  /** Of the resolver inside the tunnel, all filters together. */
  readonly dns?: DnsCounts;
  /** Flows that were refused since the start, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** The ways out; absent where there is one that nobody measures. */
  readonly paths?: readonly PathStatus[];
}

export interface EdgeDevice {
  /** Of the store; of a peer in edge.yaml the first 16 characters of its public key in hex. */
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

/** The rest is there where the edge measures its paths. */
export type EdgePath = Pick<PathStatus, 'id' | 'type'> & Partial<PathStatus>;

export interface StatusSources {
  readonly config: EdgeConfig;
  readonly publicKey: Uint8Array;
  readonly version: string;
  readonly device: DeviceStatus;
  readonly httpsPorts: readonly number[];
  readonly pin: string;
  readonly certificate: CertificateStatus;
  readonly activity: EdgeActivity;
  readonly enrolled: number;
  /** Of the store. */
  readonly deviceOf: (publicKey: Uint8Array) => Pick<DeviceRecord, 'id' | 'name' | 'path'> | undefined;
  readonly flows: EgressCounts | undefined;
  /** Where the counts do not have them. */
  readonly paths?: readonly PathStatus[] | undefined;
  readonly guard?: Readonly<Record<string, number>> | undefined;
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
    interface: config.backend === 'kernel' ? config.interfaceName : null,
    egress: {
      backend: config.backend,
      why: config.backendReason,
      flows: flowsOf(sources.flows),
      guard: sources.guard === undefined ? null : happened(sources.guard),
    },
    listen: {
      udp: config.workers === 1 ? [device.listenPort] : config.udpPorts.slice(0, config.workers),
      https: sources.httpsPorts,
    },
    pin: sources.pin,
    certificate: sources.certificate,
    activity: sources.activity,
    enrolled: sources.enrolled,
    network: prefixesOf(config.network).map(shortText),
    ...(device.disguise === undefined ? {} : { obfuscation: disguiseFields(device.disguise) }),
    devices: oncePerDevice(
      device.peers.map((peer) => {
        const known = sources.deviceOf(peer.publicKey);
        const name = known?.name ?? names.get(keyText(peer.publicKey)) ?? '';
        return deviceOf(peer, { id: known?.id, name, path: known?.path }, config);
      }),
    ),
    paths: sources.paths ?? sources.flows?.paths ?? config.paths.map(({ id, type }) => ({ id, type })),
    dataplane: device.dataplane,
    drops: happened(device.drops),
    uptimeSeconds: Math.max(0, Math.floor((sources.now - sources.startedAt) / 1000)),
  };
}

function flowsOf(counts: EgressCounts | undefined): EgressCounts | null {
  if (counts === undefined) return null;
  const { paths: _shownApart, ...flows } = counts;
  return { ...flows, refused: happened(counts.refused) };
}

function happened(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

function deviceOf(
  peer: PeerStatus,
  known: { readonly id: string | undefined; readonly name: string; readonly path: string | undefined },
  config: EdgeConfig,
): EdgeDevice {
  return {
    id: known.id ?? Buffer.from(peer.publicKey).toString('hex').slice(0, 16),
    name: known.name,
    publicKey: keyText(peer.publicKey),
    addresses: peer.allowedIps.map(addressText),
    udpPort: portOf(config, peer.publicKey),
    lastSeen: peer.lastHandshakeMs === 0 ? null : new Date(peer.lastHandshakeMs).toISOString(),
    rxBytes: peer.rxBytes,
    txBytes: peer.txBytes,
    path: known.path ?? usualPath(config),
  };
}

/** A device with a key for its session has two peers; the first is the one with its own key. */
function oncePerDevice(devices: readonly EdgeDevice[]): readonly EdgeDevice[] {
  const byId = new Map<string, EdgeDevice>();
  for (const one of devices) {
    const before = byId.get(one.id);
    byId.set(one.id, before === undefined ? one : together(before, one));
  }
  return [...byId.values()];
}

function together(first: EdgeDevice, second: EdgeDevice): EdgeDevice {
  const seen = [first.lastSeen, second.lastSeen].filter((at) => at !== null);
  return {
    ...first,
    addresses: first.addresses.length > 0 ? first.addresses : second.addresses,
    lastSeen: seen.toSorted().at(-1) ?? null,
    rxBytes: first.rxBytes + second.rxBytes,
    txBytes: first.txBytes + second.txBytes,
  };
}

function usualPath(config: EdgeConfig): string {
  const [only, ...others] = config.paths;
  return only === undefined || others.length > 0 ? 'auto' : only.id;
}

function addressText(text: string): string {
  const prefix = parsePrefix(text);
  return prefix === undefined ? text : shortText(prefix);
}
