/**
 * What the driver needs from the world, as contracts. The real ones live in host/ and settings/;
 * tests give others.
 */

import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { WgConfig } from '../../shared/core/uapi/wg-config.ts';
import type { Fact } from '../connection/event.ts';
import type { PeerEndpoint } from '../connection/state.ts';
import type { FirewallPolicy } from '../host/firewall/policy.ts';
import type { RoutesPlan } from '../host/routes/plan.ts';

/** An edge that was imported from a wg-quick file. Holds secrets: never logged, never sent. */
export interface EdgeProfile {
  readonly name: string;
  readonly config: WgConfig;
}

export interface TunnelPlan {
  readonly edge: EdgeProfile;
  readonly endpoints: readonly PeerEndpoint[];
  readonly interfaceName: string;
  readonly mtu: number;
  /** Firewall mark of outgoing datagrams. */
  readonly mark: number;
}

export interface TunnelPort {
  /** Rejects with nothing left behind. `onFact` is called until `stop`. */
  start(plan: TunnelPlan, onFact: (fact: Fact) => void): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
  /** Sends a packet into the tunnel that asks for an answer. */
  probe(): Promise<void>;
  /** Undefined while there is no tunnel. */
  status(): Promise<DeviceStatus | undefined>;
}

export interface FirewallPort {
  apply(policy: FirewallPolicy): Promise<void>;
}

export interface RoutesPort {
  apply(plan: RoutesPlan): Promise<void>;
}

export interface HostPort {
  /** Undoes all changes, the firewall last. */
  restore(): Promise<void>;
}

export interface ResolvePort {
  /** Numeric endpoints of an edge, outside the tunnel. Rejects with 'endpoint-unresolved'. */
  resolve(edge: EdgeProfile, signal: AbortSignal): Promise<readonly PeerEndpoint[]>;
  /** Addresses of the system's name servers; empty where no name has to be looked up. */
  nameServers(edge: EdgeProfile): readonly string[];
}

export interface WishPort {
  /** Undefined: the user wants off. On disk when it returns. */
  remember(edge: string | undefined): void;
}

export interface EdgePort {
  /** Rejects with 'unknown-edge' or 'bad-config'. */
  profile(name: string): EdgeProfile;
}

/** Of the settings, what the connection needs. */
export interface TunnelSettings {
  readonly interfaceName: string;
  /** 0: the file's, or the default. */
  readonly mtu: number;
}

export interface DriverPorts {
  readonly tunnel: TunnelPort;
  readonly firewall: FirewallPort;
  readonly routes: RoutesPort;
  readonly host: HostPort;
  readonly resolver: ResolvePort;
  readonly wish: WishPort;
  readonly edges: EdgePort;
  readonly settings: () => TunnelSettings;
  /** True where this machine has IPv6. */
  readonly ipv6: () => boolean;
}
