/**
 * One peer: who it is, where it is, its sessions, what waits for it, its timers' state. Knows no
 * device and decides nothing; outbound, inbound, handshakes and peer-timers act on it.
 */

import type { CookieJar } from '../admission/cookie-jar.ts';
import { Deadlines } from '../base/deadlines.ts';
import { endpointSize } from '../base/endpoint.ts';
import type { Prefix } from '../base/ip.ts';
import type { MonoMs } from '../base/time.ts';
import type { InitiatorHandshake } from '../noise/initiator.ts';
import type { Keypair } from '../session/keypair.ts';
import { Keyring } from '../session/keyring.ts';
import type { LossGauge } from './loss-gauge.ts';
import type { PeerLimiter } from './peer-limit.ts';
import type { SendGauge } from './send-gauge.ts';
import { type StagedBudget, StagedPackets } from './staged.ts';

/** The timers of §6, by what happens when they fire. */
export const peerTimers = [
  'retransmit-initiation',
  'keepalive',
  'new-handshake',
  'forget-keys',
  'persistent-keepalive',
  // Ours: packets that a rate has held back may go.
  'paced',
  'unanswered',
  // Ours: the initiation under way is to go to further places.
  'copy-initiation',
] as const;

export type PeerTimer = (typeof peerTimers)[number];

/** Places for copies of an initiation: every port and address family of an edge. */
export const maxCopies = 32;

/** The addresses of one device, and room. */
export const maxClaims = 16;

export interface PeerOptions {
  readonly publicKey: Uint8Array;
  readonly cookieJar: CookieJar;
  readonly budget: StagedBudget;
  readonly retired: (keypair: Keypair) => void;
}

export class Peer {
  readonly publicKey: Uint8Array;
  readonly cookieJar: CookieJar;
  readonly presharedKey: Uint8Array = new Uint8Array(32);
  /** X25519 of both static keys; undefined while we have no key or the peer's is of low order. */
  staticShared: Uint8Array | undefined;
  /** Record of base/endpoint.ts; family 0 = unknown. */
  readonly endpoint: Uint8Array = new Uint8Array(endpointSize);
  readonly keyring: Keyring;
  readonly staged: StagedPackets;
  /** A keepalive waits for a session (it has no bytes to stage). */
  keepaliveStaged = false;
  /** An initiation of ours that waits for its response. */
  pending: InitiatorHandshake | undefined;
  /** The message itself, for copies. */
  pendingMessage: Uint8Array | undefined;
  /** Where copies of initiations go: endpoint records, at most `maxCopies`. */
  alsoTo: readonly Uint8Array[] = [];
  /** What passes to this peer with the first packet of its next session, at most `maxClaims`. */
  claims: readonly Prefix[] = [];
  /** Of `alsoTo`, how many have the initiation under way. */
  copied = 0;

  readonly timers: Deadlines<PeerTimer> = new Deadlines(peerTimers);
  /** Written by the wake queue. */
  wakeAt: number = Number.POSITIVE_INFINITY;
  persistentKeepaliveMs = 0;
  /** Initiations sent since the last answer. */
  attempts = 0;
  lastInitiationAt: MonoMs | undefined;
  lastConsumedAt: MonoMs | undefined;
  /** Timestamp of our last initiation. */
  sentTimestamp: Uint8Array | undefined;
  /** Greatest timestamp received from this peer (§5.1). */
  readonly greatestTimestamp: Uint8Array = new Uint8Array(12);
  /** More data came while a keepalive was due already. */
  anotherKeepalive = false;
  /** We asked for a new session late in the life of the current one; once is enough. */
  rekeyedLate = false;

  /** Undefined, for most: no limits. */
  limiter: PeerLimiter | undefined;
  rxBytes = 0;
  txBytes = 0;
  /** Undefined where losses are not counted. */
  loss: LossGauge | undefined;
  /** Likewise. */
  sending: SendGauge | undefined;
  /** From our last answered initiation to its response, milliseconds. */
  handshakeMs: number | undefined;
  /** Unix milliseconds, 0 = never. */
  lastHandshakeUnixMs = 0;

  constructor(options: PeerOptions) {
    this.publicKey = options.publicKey;
    this.cookieJar = options.cookieJar;
    this.staged = new StagedPackets(options.budget);
    this.keyring = new Keyring(options.retired);
  }

  get hasEndpoint(): boolean {
    return this.endpoint[0] !== 0;
  }

  /** Forgets on which of our own addresses this peer's packets came in: after silence it may be wrong. */
  forgetSticky(): void {
    this.endpoint.fill(0, 24);
  }
}
