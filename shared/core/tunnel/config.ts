/**
 * What a tunnel device can be told and can tell, with the meaning of WireGuard's cross-platform
 * configuration protocol (wireguard.com/xplatform). Plain data: it also travels between threads.
 */

import type { DropCounts } from '../base/drop.ts';
import type { Endpoint } from '../base/endpoint.ts';
import type { DisguiseRules } from '../wire/disguise-rules.ts';

/** An address prefix as text, host bits zero: '10.0.0.0/8', 'fd00::/64'. */
export type PrefixText = string;

/** Whether packets are handled by this program or by the kernel's WireGuard; `auto`: the kernel where it can. */
export const backendChoices = ['userspace', 'kernel', 'auto'] as const;

export type BackendChoice = (typeof backendChoices)[number];

/** A change to a device. Absent fields stay as they are. Valid as a whole or not applied at all. */
export interface DeviceChange {
  /** 32 bytes; all zeros removes the key. */
  readonly privateKey?: Uint8Array;
  /**
   * Our extension of the protocol: with another private key the present sessions go on until there are new ones. Without
   * it they end at once, as WireGuard's do.
   */
  readonly keepSessions?: boolean;
  /** 0 asks for any free port. */
  readonly listenPort?: number;
  /** Firewall mark of outgoing datagrams; 0 removes it. */
  readonly fwmark?: number;
  /** How messages are disguised from now on; plainRules: not at all. Sessions go on. */
  readonly disguise?: DisguiseRules;
  readonly replacePeers?: boolean;
  readonly peers: readonly PeerChange[];
}

export interface PeerChange {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly remove?: boolean;
  /** Do nothing where the peer does not exist yet. */
  readonly updateOnly?: boolean;
  /** 32 bytes; all zeros removes it. */
  readonly presharedKey?: Uint8Array;
  /** Numeric address only. */
  readonly endpoint?: Endpoint;
  /** Seconds, 0 = off. */
  readonly persistentKeepalive?: number;
  /** Our extension of the protocol: ask for a new session now. The present one goes on meanwhile. */
  readonly renew?: boolean;
  /**
   * Ours as well: copies of every initiation go to these places too, the one under way included, until one is answered;
   * who answers is where the peer is. Adds to those of before; none at all forgets them.
   */
  readonly alsoTo?: readonly Endpoint[];
  readonly replaceAllowedIps?: boolean;
  readonly allowedIps: readonly PrefixText[];
  /**
   * Ours as well: prefixes that pass to this peer with the first packet of a session made from now on, that packet
   * included; one that has none left then is silent. Replaces those of before; none at all forgets them.
   */
  readonly claims?: readonly PrefixText[];
  /** Our extension of the protocol: prefixes to take away from this peer. */
  readonly removeAllowedIps?: readonly PrefixText[];
  /** Ours as well: how fast the peer may be and how much it may move. */
  readonly limits?: PeerLimits;
}

export interface PeerLimits {
  /** Bytes a second of packets inside the tunnel, in each direction; 0 = no limit. */
  readonly rateBytes: number;
  /** What the peer's rxBytes and txBytes may be together: the packet that would pass it is dropped, and all after. */
  readonly allowanceBytes: number | undefined;
}

export interface DeviceStatus {
  readonly privateKey: Uint8Array | undefined;
  readonly publicKey: Uint8Array | undefined;
  /** 0 while no socket is open. */
  readonly listenPort: number;
  readonly fwmark: number;
  /** Absent: messages are as WireGuard's are. */
  readonly disguise?: DisguiseRules;
  readonly peers: readonly PeerStatus[];
  readonly drops: DropCounts;
  /** What carries the packets, for people: crypto suite, offloads. */
  readonly dataplane: DataplaneStatus;
}

/** What a device knows of itself; the rest of DeviceStatus belongs to its sockets. */
export type CoreStatus = Pick<DeviceStatus, 'privateKey' | 'publicKey' | 'disguise' | 'peers' | 'drops'>;

export interface DataplaneStatus {
  readonly suite: string;
  readonly udp: string;
  readonly tun: string;
  readonly mtu: number;
}

export interface PeerArrivals {
  readonly received: number;
  readonly lost: number;
}

export interface PeerStatus {
  readonly publicKey: Uint8Array;
  /** All zeros where there is none. */
  readonly presharedKey: Uint8Array;
  readonly endpoint: Endpoint | undefined;
  /** Unix milliseconds of the last completed handshake, 0 = never. */
  readonly lastHandshakeMs: number;
  /** From our last answered initiation to its response, milliseconds; absent where the peer began, or nobody did. */
  readonly handshakeMs?: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  /** Datagrams that came, and that the network lost on their way to us; absent where they are not counted. */
  readonly arrivals?: PeerArrivals;
  readonly persistentKeepalive: number;
  readonly allowedIps: readonly PrefixText[];
  /** Absent: none. */
  readonly limits?: PeerLimits;
  /** It has moved all that its limits allow, and moves nothing more. Absent: it has not. */
  readonly isSpent?: boolean;
}
