/**
 * What the driver needs from the world, as contracts. The real ones live in host/ and settings/;
 * tests give others.
 */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { HealthItem } from '../../shared/core/control/health.ts';
import type { DnsStatus, Mode, ProxyStatus } from '../../shared/core/control/status.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { WgConfig } from '../../shared/core/uapi/wg-config.ts';
import type { Fact } from '../connection/event.ts';
import type { PeerEndpoint } from '../connection/state.ts';
import type { FirewallPolicy, Lookout } from '../host/firewall/policy.ts';
import type { RoutesPlan } from '../host/routes/plan.ts';
import type { Credentials } from '../proxy/access.ts';
import type { Gate } from '../proxy/context.ts';

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
  /** Idempotent. `keeps`: what carries packets may stay, without keys and peers, for a `start` that follows. */
  stop(keeps?: boolean): Promise<void>;
  /** Sends a packet into the tunnel that asks for an answer. */
  probe(): Promise<void>;
  /** Asks for a new session at these endpoints now; the present session goes on meanwhile. Nothing happens without a tunnel. */
  renew(endpoints: readonly PeerEndpoint[]): Promise<void>;
  /** Undefined while there is no tunnel. */
  status(): Promise<DeviceStatus | undefined>;
  /** There is no network, or there is one again: without it nothing is tried. Absent: it makes no difference. */
  rest?(isResting: boolean): Promise<void>;
}

/** The proxy's port, and the tunnel behind it. Where the one ends by itself, so does the other: nothing is left open. */
export interface ProxyPort extends TunnelPort {
  /**
   * Binds the port, closed; nothing happens where it is bound for the same plan. Rejects with
   * 'port-in-use' and the like, with nothing left behind.
   */
  openPort(plan: ProxyPlan): Promise<void>;
  /** Where no port is bound, nothing happens: there is nothing to open. Closing never fails. */
  setGate(gate: Gate): Promise<void>;
  /** Ends port and tunnel. Idempotent. */
  close(): Promise<void>;
  /** Undefined while the port is not bound. */
  readonly place: ProxyStatus | undefined;
}

export interface ProxyPlan {
  readonly edge: EdgeProfile;
  /** Largest packet inside the tunnel. */
  readonly mtu: number;
  readonly access: ProxyAccess;
}

/** How programs may use the proxy. */
export interface ProxyAccess {
  /** 0: any free one. */
  readonly port: number;
  readonly credentials?: Credentials;
}

export interface DnsPlan {
  readonly mode: Mode;
  /** Absent in modes without a tunnel. */
  readonly tunnel?: { readonly interfaceName: string; readonly edge: EdgeProfile };
}

/** Private DNS, and the system told to use it. */
export interface DnsPort {
  /** `start` follows in a moment; changes nothing. Absent: there is nothing that would take long. */
  prepare?(plan: DnsPlan): void;
  /** Does what the mode says; repeated, what changed. Rejects with CulvertError. */
  start(plan: DnsPlan): Promise<void>;
  /** Gives the system's DNS back, also what an earlier run left, and stops answering. Idempotent. */
  stop(): Promise<void>;
  /** What the user reads about it. */
  readonly view: DnsView;
}

export interface DnsView {
  /** Absent while we answer nothing. */
  readonly status?: DnsStatus;
  readonly health: readonly HealthItem[];
}

export interface FirewallPort {
  apply(policy: FirewallPolicy): Promise<void>;
}

export interface RoutesPort {
  apply(plan: RoutesPlan): Promise<void>;
}

export interface HostPort {
  /** Undoes all changes, the firewall last; in lockdown everything is blocked then. */
  restore(): Promise<void>;
  /** Lets the network through where lockdown closed it, for what needs it outside a tunnel. Absent: nothing ever does. */
  open?(): Promise<void>;
}

export interface EdgePlaces {
  /** One for each peer: where to try first. */
  readonly endpoints: readonly PeerEndpoint[];
  /** All of them. */
  readonly choices: readonly PeerEndpoint[];
}

export interface SeekRequest {
  readonly edge: EdgeProfile;
  /** Where it is tried now. */
  readonly endpoints: readonly PeerEndpoint[];
  /** It does not answer; else the network is another one, and all may be well. */
  readonly silent: boolean;
}

export interface ResolvePort {
  /** Numeric endpoints of an edge, outside the tunnel. Rejects with 'endpoint-unresolved'. */
  resolve(edge: EdgeProfile, signal: AbortSignal): Promise<EdgePlaces>;
  /** Where it may be reached now that it was not heard, or the network is another one. Rejects where nothing is known. */
  seek(request: SeekRequest): Promise<Pick<EdgePlaces, 'choices'> & { readonly lost: boolean }>;
  /** Addresses of the system's name servers; empty where no name has to be looked up. */
  nameServers(edge: EdgeProfile): readonly string[];
}

/** Whoever asks the network whether it wants a sign-in. */
export interface PortalPort {
  /** What its questions need of the firewall; undefined where the user does not want them. */
  lookout(): Lookout | undefined;
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
  readonly mode: Mode;
  readonly interfaceName: string;
  /** 0: the file's, or the default. */
  readonly mtu: number;
  readonly proxy: ProxyAccess;
}

export interface DriverPorts {
  /** Of the whole device. */
  readonly tunnel: TunnelPort;
  readonly proxy: ProxyPort;
  readonly dns: DnsPort;
  readonly firewall: FirewallPort;
  readonly routes: RoutesPort;
  readonly host: HostPort;
  readonly resolver: ResolvePort;
  readonly wish: WishPort;
  readonly edges: EdgePort;
  /** Absent: nobody asks networks whether they want a sign-in. */
  readonly portal?: PortalPort;
  /** What else of ours the firewall must let out for this edge, datagrams and connections with our mark. */
  readonly openings?: (edge: string) => {
    readonly udp: readonly Endpoint[];
    readonly tcp: readonly Endpoint[];
  };
  readonly settings: () => TunnelSettings;
  /** True where this machine has IPv6. */
  readonly ipv6: () => boolean;
}
