/** What the registration API is told about the edge it belongs to. Asked at every call: a reload may change it. */

import type { Prefix } from '../../shared/core/base/ip.ts';
import type { PathEntry } from '../../shared/core/control/paths-api.ts';
import type { HostRule } from '../../shared/core/registration/api.ts';
import type { DisguiseRules } from '../../shared/core/wire/disguise-rules.ts';
import type { AddressPool } from '../peers/addresses.ts';

export interface EdgeFacts {
  readonly name: string;
  /** Host name or address that devices are told; undefined where nobody said. */
  readonly host: string | undefined;
  readonly udpPorts: readonly number[];
  /** The first is the one in invitations. */
  readonly httpsPorts: readonly number[];
  /** 'sha256/…' of the certificate in use. */
  readonly pin: Uint8Array;
  /** The network of the tunnel, IPv4 first; its first addresses are the gateway's. */
  readonly pools: readonly AddressPool[];
  /** Resolvers for devices; empty: none are told. */
  readonly dns: readonly string[];
  /** What belongs into the tunnel. */
  readonly routes: readonly Prefix[];
  readonly mtu: number;
  /** Absent: messages are as WireGuard's are. */
  readonly disguise?: DisguiseRules | undefined;
  /** Rules for hosts; those with a device or a tag are for them alone. */
  readonly hostRules: readonly (HostRule & { readonly device?: string; readonly tag?: string })[];
  readonly paths: readonly PathEntry[];
  /** In small letters: names that mean something in edge.yaml, which no device gives itself. */
  readonly guardedNames?: ReadonlySet<string>;
  /** UDP port that serves a device with this key, where each worker has its own; default: all of them. */
  readonly udpPortOf?: (publicKey: Uint8Array) => number;
}
