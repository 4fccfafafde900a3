/**
 * Status: what the daemon says about itself, to the command line, the desktop and other programs
 * (product.md §5). Fields that do not apply are absent, never null. Always there: state, mode,
 * since, addresses, traffic, health. Adding fields is free, renaming breaks other people's programs.
 */

import { Type } from '@sinclair/typebox';
import type { DataplaneStatus } from '../tunnel/config.ts';
import type { DisguiseFields } from '../wire/disguise-fields.ts';
import { disguiseSchema } from './disguise-shape.ts';
import { type HealthItem, healthItemShape } from './health.ts';
import { type ChosenPath, chosenPathShape, type Receipt, receiptShape } from './path-status.ts';
import { type PortalStatus, portalStatusShape } from './portal-api.ts';
import { type Shape, shapeOf } from './shape.ts';

export const stateNames = [
  'off',
  'enrolling',
  'connecting',
  'connected',
  'dns',
  'portal',
  'waiting',
  'blocked',
  'disconnecting',
] as const;

export type StateName = (typeof stateNames)[number];

/** The modes, by the names that are printed. */
export const modes = ['tunnel+doh', 'tunnel+dot', 'tunnel', 'tunnel_only', 'doh', 'dot', 'proxy'] as const;

export type Mode = (typeof modes)[number];

/** Names that people bring from WARP. Accepted, never printed. */
const modeAliases: Readonly<Record<string, Mode>> = {
  'warp+doh': 'tunnel+doh',
  'warp+dot': 'tunnel+dot',
  warp: 'tunnel',
};

/** Modes in which the whole device is protected: firewall, routes and system DNS apply. */
export const wholeDeviceModes: readonly Mode[] = ['tunnel+doh', 'tunnel+dot', 'tunnel', 'tunnel_only'];

/** The mode that a person named, by its own name or an alias. */
export function parseMode(text: string): Mode | undefined {
  const name = text.trim().toLowerCase();
  return (
    modes.find((mode) => mode === name) ?? (Object.hasOwn(modeAliases, name) ? modeAliases[name] : undefined)
  );
}

export interface EdgeStatus {
  readonly name: string;
  /** Numeric address and port in use; absent before the name is looked up. */
  readonly endpoint?: string;
  /** 'tls': the same datagrams inside TLS. */
  readonly transport: 'udp' | 'tls';
  /** While the session is safe from quantum computers; else absent. */
  readonly quantum?: true;
  /** How messages are disguised, by AmneziaWG's names; absent: not at all. */
  readonly obfuscation?: DisguiseFields;
}

export interface VerifiedStatus {
  /** When `connected` was earned last, RFC 3339. */
  readonly at: string;
  readonly rttMs?: number;
  /** How long the last handshake took that we began. */
  readonly handshakeMs?: number;
  /** That places outside see, as far as the edge knows. */
  readonly visibleAddress?: string;
}

export interface ProxyStatus {
  /** Where programs reach the local proxy, while its port is bound: '127.0.0.1:40000'. */
  readonly address: string;
  /** Who is asked for names, inside the tunnel. Empty: nobody, names fail. */
  readonly resolvers: readonly string[];
}

export interface DnsStatus {
  /** 'edge': the edge's own resolver is asked, inside the tunnel. */
  readonly transport: 'doh' | 'dot' | 'edge';
  readonly families: 'off' | 'malware' | 'full';
  /** The first upstream, as a URL. */
  readonly upstream: string;
  /** Where programs ask: '127.0.83.53:53'. */
  readonly listen: string;
  /** Names that the user gave to the network while there is a tunnel: they are asked outside it. Absent: none. */
  readonly besideTunnel?: readonly RuleServers[];
}

/** A name with everything below it, and the servers that are asked for it. */
export interface RuleServers {
  readonly name: string;
  readonly servers: readonly string[];
}

export interface TrafficStatus {
  /** Bytes that came through the tunnel since it was started. */
  readonly rxBytes: number;
  readonly txBytes: number;
}

export interface Status {
  readonly state: StateName;
  readonly mode: Mode;
  /** When this state began, RFC 3339. */
  readonly since: string;
  readonly edge?: EdgeStatus;
  readonly verified?: VerifiedStatus;
  /** Name of the tunnel's network interface; absent in mode proxy, which needs none. */
  readonly interface?: string;
  /** What carries the packets: crypto suite, offloads of both sides. */
  readonly dataplane?: DataplaneStatus;
  /** Our addresses inside the tunnel, without prefix length. Empty where there is no edge. */
  readonly addresses: readonly string[];
  /** Why it is off although protection is wanted. */
  readonly reason?: 'paused' | 'trusted-network';
  /** Of a pause: when protection comes back by itself, RFC 3339. */
  readonly resumesAt?: string;
  /** While the network wants a sign-in. */
  readonly portal?: PortalStatus;
  /** While private DNS answers on this machine. */
  readonly dns?: DnsStatus;
  readonly proxy?: ProxyStatus;
  /** The edge's way out; only of an edge that this machine enrolled with. */
  readonly path?: ChosenPath;
  readonly traffic: TrafficStatus;
  /** What the tunnel costs in time; while it is up. */
  readonly receipt?: Receipt;
  readonly health: readonly HealthItem[];
  /** Version of the daemon. */
  readonly version: string;
}

const count = Type.Integer({ minimum: 0 });
const text = Type.String();

export const dnsStatusShape: Shape<DnsStatus> = shapeOf<DnsStatus>(
  Type.Object({
    transport: Type.Union([Type.Literal('doh'), Type.Literal('dot'), Type.Literal('edge')]),
    families: Type.Union([Type.Literal('off'), Type.Literal('malware'), Type.Literal('full')]),
    upstream: text,
    listen: text,
    besideTunnel: Type.Optional(Type.Array(Type.Object({ name: text, servers: Type.Array(text) }))),
  }),
);

export const statusShape: Shape<Status> = shapeOf<Status>(
  Type.Object({
    state: Type.Union(stateNames.map((name) => Type.Literal(name))),
    mode: Type.Union(modes.map((name) => Type.Literal(name))),
    since: text,
    edge: Type.Optional(
      Type.Object({
        name: text,
        endpoint: Type.Optional(text),
        transport: Type.Union([Type.Literal('udp'), Type.Literal('tls')]),
        quantum: Type.Optional(Type.Literal(true)),
        obfuscation: Type.Optional(disguiseSchema),
      }),
    ),
    verified: Type.Optional(
      Type.Object({
        at: text,
        rttMs: Type.Optional(Type.Number()),
        handshakeMs: Type.Optional(Type.Number()),
        visibleAddress: Type.Optional(text),
      }),
    ),
    interface: Type.Optional(text),
    dataplane: Type.Optional(
      Type.Object({ suite: text, udp: text, tun: text, mtu: Type.Integer({ minimum: 0 }) }),
    ),
    addresses: Type.Array(text),
    reason: Type.Optional(Type.Union([Type.Literal('paused'), Type.Literal('trusted-network')])),
    resumesAt: Type.Optional(text),
    portal: Type.Optional(portalStatusShape),
    dns: Type.Optional(dnsStatusShape),
    proxy: Type.Optional(Type.Object({ address: text, resolvers: Type.Array(text) })),
    path: Type.Optional(chosenPathShape),
    traffic: Type.Object({ rxBytes: count, txBytes: count }),
    receipt: Type.Optional(receiptShape),
    health: Type.Array(healthItemShape),
    version: text,
  }),
);
