/**
 * One derived session (§5.4.5, §5.4.6): two transport keys, the send counter, the replay window.
 * Knows no peer and no device.
 */

import type { MonoMs } from '../base/time.ts';
import type { TransportKey } from '../crypto/suite.ts';
import { ReplayWindow } from './replay-window.ts';

export interface KeypairParts {
  readonly send: TransportKey;
  readonly receive: TransportKey;
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly isInitiator: boolean;
  readonly createdAt: MonoMs;
}

export class Keypair {
  readonly send: TransportKey;
  readonly receive: TransportKey;
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly isInitiator: boolean;
  readonly createdAt: MonoMs;
  readonly window: ReplayWindow = new ReplayWindow();
  /** Counter of the next datagram. Each value is used once. */
  sendCounter = 0;
  /** Greatest counter received; only kept where losses are counted. */
  heardUpTo = -1;
  /** True once an authenticated data packet arrived under this session. */
  confirmed = false;

  constructor(parts: KeypairParts) {
    this.send = parts.send;
    this.receive = parts.receive;
    this.localIndex = parts.localIndex;
    this.remoteIndex = parts.remoteIndex;
    this.isInitiator = parts.isInitiator;
    this.createdAt = parts.createdAt;
  }

  /** Whether the session was derived `ageMs` or longer ago. */
  isAged(ageMs: number, now: MonoMs): boolean {
    return now - this.createdAt >= ageMs;
  }

  /** Forgets both keys. The session is not usable afterwards. */
  wipe(): void {
    this.send.wipe();
    this.receive.wipe();
  }
}
