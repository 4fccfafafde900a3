/** What the rooms of one device share. Owned by device.ts. */

import type { DropCounts, DropReason } from '../base/drop.ts';
import type { Entropy } from '../base/ports.ts';
import type { CryptoSuite } from '../crypto/suite.ts';
import type { AllowedIps } from '../peers/allowed-ips.ts';
import type { IndexTable } from '../peers/index-table.ts';
import type { PeerTable } from '../peers/peer-table.ts';
import type { Keypair } from '../session/keypair.ts';
import type { Limits } from '../session/limits.ts';
import type { Disguise } from '../wire/disguise.ts';
import type { EphemeralStock } from './ephemerals.ts';
import type { TunnelEvent } from './events.ts';
import type { Peer } from './peer.ts';
import type { PeerTimers } from './peer-timers.ts';

/** What one of our indices stands for: a session, or (no keypair) an initiation that waits for its response. */
export interface IndexEntry {
  readonly peer: Peer;
  readonly keypair: Keypair | undefined;
}

export interface LocalIdentity {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
  /** Key of mac1 in messages to us. */
  readonly mac1Key: Uint8Array;
}

export interface TunnelContext {
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  readonly ephemerals: EphemeralStock;
  readonly limits: Limits;
  readonly peers: PeerTable<Peer>;
  readonly allowedIps: AllowedIps<Peer>;
  readonly indices: IndexTable<IndexEntry>;
  readonly timers: PeerTimers;
  readonly drops: DropCounts;
  /** Taken by `takeEvents`; bounded there. */
  events: TunnelEvent[];
  identity: LocalIdentity | undefined;
  /** Undefined: WireGuard's messages as they are. */
  disguise: Disguise | undefined;
  /** Largest packet inside the tunnel; padding never passes it. */
  mtu: number;
  /** Unix time minus monotonic time. */
  unixOffsetMs: number;
  /** First counter of every session: 0, except in tests. */
  readonly firstCounter: number;
}

/** Counts a drop. */
export function drop(context: TunnelContext, reason: DropReason, packets = 1): void {
  context.drops[reason] += packets;
}

/** Events kept until somebody takes them; then the oldest knowledge is worth nothing. */
const eventCapacity = 4096;

/** Announces a fact. */
export function announce(context: TunnelContext, event: TunnelEvent): void {
  if (context.events.length < eventCapacity) context.events.push(event);
}
