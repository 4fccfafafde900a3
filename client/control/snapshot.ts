/**
 * Status: the connection's state, the settings and the tunnel's counters → what people and programs
 * see (product.md §5). Pure.
 */

import { formatEndpoint } from '../../shared/core/base/ip.ts';
import { type HealthItem, healthItem } from '../../shared/core/control/health.ts';
import type {
  EdgeStatus,
  Mode,
  ProxyStatus,
  Status,
  TrafficStatus,
} from '../../shared/core/control/status.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import { disguiseFields } from '../../shared/core/wire/disguise-fields.ts';
import type { ConnectionState, PeerEndpoint, Problem, Reach } from '../connection/state.ts';
import { allowedIpsOf, withoutLength } from '../driver/effects.ts';
import type { DnsView, EdgeProfile } from '../driver/ports.ts';
import { scopeOf } from '../host/firewall/policy.ts';

export interface SnapshotParts {
  readonly state: ConnectionState;
  readonly mode: Mode;
  /** RFC 3339. */
  readonly since: string;
  /** When `connected` was earned last, RFC 3339. */
  readonly verifiedAt: string | undefined;
  /** The edge in use, else the one that the next `connect` takes. */
  readonly edge: EdgeProfile | undefined;
  readonly device: DeviceStatus | undefined;
  readonly interfaceName: string;
  /** While the proxy's port is bound. */
  readonly proxy: ProxyStatus | undefined;
  readonly dns: DnsView;
  readonly version: string;
}

export function snapshot(parts: SnapshotParts): Status {
  const { state, edge, device } = parts;
  return {
    state: shownKind(state),
    mode: parts.mode,
    since: parts.since,
    ...(edge === undefined ? {} : { edge: edgeStatus(edge, device, endpointsIn(state)) }),
    ...(state.kind === 'connected' && parts.verifiedAt !== undefined
      ? { verified: { at: parts.verifiedAt, ...state.proof, ...handshake(device) } }
      : {}),
    ...(device === undefined ? {} : { ...interfaceOf(parts), dataplane: device.dataplane }),
    addresses: (edge?.config.interface.addresses ?? []).map(withoutLength),
    ...(parts.dns.status === undefined ? {} : { dns: parts.dns.status }),
    ...(parts.proxy === undefined ? {} : { proxy: parts.proxy }),
    traffic: traffic(device),
    health: healthOf(parts),
    version: parts.version,
  };
}

/** `dns` is earned: names are answered, and port 53 is closed for others, before it is said. */
function shownKind(state: ConnectionState): Status['state'] {
  return state.kind === 'dns' && !state.ready ? 'connecting' : state.kind;
}

/** The edge that the state is about. */
export function edgeIn(state: ConnectionState): string | undefined {
  return 'edge' in state ? state.edge : undefined;
}

function endpointsIn(state: ConnectionState): readonly PeerEndpoint[] {
  return 'endpoints' in state ? state.endpoints : [];
}

function edgeStatus(
  edge: EdgeProfile,
  device: DeviceStatus | undefined,
  resolved: readonly PeerEndpoint[],
): EdgeStatus {
  const { disguise } = edge.config.interface;
  const endpoint = device?.peers.find((peer) => peer.endpoint !== undefined)?.endpoint ?? resolved[0];
  return {
    name: edge.name,
    ...(endpoint === undefined ? {} : { endpoint: formatEndpoint(endpoint) }),
    transport: 'udp',
    ...(disguise === undefined ? {} : { obfuscation: disguiseFields(disguise) }),
  };
}

/** The proxy has no interface: its other side is a stack of our own. */
function interfaceOf({ state, interfaceName }: SnapshotParts): { readonly interface?: string } {
  return 'reach' in state && state.reach === 'proxy' ? {} : { interface: interfaceName };
}

/** How long the last handshake took that we began. */
function handshake(device: DeviceStatus | undefined): { readonly handshakeMs?: number } {
  const times = (device?.peers ?? []).flatMap((peer) => peer.handshakeMs ?? []);
  return times.length === 0 ? {} : { handshakeMs: Math.min(...times) };
}

function traffic(device: DeviceStatus | undefined): TrafficStatus {
  const peers = device?.peers ?? [];
  return {
    rxBytes: peers.reduce((sum, peer) => sum + peer.rxBytes, 0),
    txBytes: peers.reduce((sum, peer) => sum + peer.txBytes, 0),
  };
}

/** Worst first. */
function healthOf(parts: SnapshotParts): readonly HealthItem[] {
  const { state, edge, mode } = parts;
  const items: HealthItem[] = [];
  if (state.kind === 'blocked' && state.unprotected) items.push(healthItem('cannot-block'));
  if ('problem' in state && state.problem !== undefined) items.push(problemItem(state.problem));
  if (state.kind === 'connecting' && state.trouble !== undefined) items.push(healthItem(state.trouble));
  if (edge !== undefined && state.kind !== 'off') {
    if (scopeOf(allowedIpsOf(edge)) !== 'everything') {
      items.push(healthItem(mode === 'proxy' ? 'split-proxy' : 'split-tunnel'));
    }
  }
  return [...items, ...parts.dns.health];
}

function problemItem(problem: Problem): HealthItem {
  return { code: problem.code, severity: 'error', text: problem.text, remedy: problem.remedy };
}

/** What `route explain` and the split tunnel go by. */
export interface PlaceNow {
  readonly mode: Mode;
  /** Undefined while protection is off. */
  readonly reach: Reach | undefined;
  readonly interfaceName: string;
  /** Of the edge in use, or of the newest. */
  readonly allowedIps: readonly string[];
}

export function placeNow(
  state: ConnectionState,
  settings: { readonly mode: Mode; readonly 'tunnel.interface': string },
  edges: readonly EdgeProfile[],
): PlaceNow {
  const edge = edges.find((one) => one.name === edgeIn(state)) ?? edges[0];
  const { mode, 'tunnel.interface': interfaceName } = settings;
  return {
    mode,
    reach: 'reach' in state ? state.reach : undefined,
    interfaceName,
    allowedIps: edge === undefined ? ['0.0.0.0/0', '::/0'] : allowedIpsOf(edge),
  };
}

/** The whole device is protected now, or on its way there or back. */
export function isDeviceHeld(state: ConnectionState): boolean {
  return 'reach' in state ? state.reach === 'device' : false;
}
