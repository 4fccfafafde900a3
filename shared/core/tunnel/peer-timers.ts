/**
 * The timer rules of §6, one function per occasion. They only set and clear deadlines; what is due
 * is carried out by device.ts. Times are never per packet but per run of packets.
 */

import type { Entropy } from '../base/ports.ts';
import { type MonoMs, secondMs } from '../base/time.ts';
import type { Limits } from '../session/limits.ts';
import type { Peer, PeerTimer } from './peer.ts';
import type { WakeQueue } from './wake-queue.ts';

/** On a slow link a send is not late before so many round trips, but for this time at most. */
const lateTrips = 2;
const latestMs: number = secondMs;

export class PeerTimers {
  readonly #limits: Limits;
  readonly #wakes: WakeQueue<Peer>;
  readonly #entropy: Entropy;
  readonly #random: Uint8Array = new Uint8Array(2);

  constructor(limits: Limits, wakes: WakeQueue<Peer>, entropy: Entropy) {
    this.#limits = limits;
    this.#wakes = wakes;
    this.#entropy = entropy;
  }

  /** Data left for the peer: it should answer within this time (§6.5). */
  dataSent(peer: Peer, now: MonoMs): void {
    if (peer.timers.isSet('new-handshake')) return;
    const { keepaliveTimeoutMs, rekeyTimeoutMs, announceUnansweredMs } = this.#limits;
    this.#set(peer, 'new-handshake', now, keepaliveTimeoutMs + rekeyTimeoutMs + this.#jitter());
    if (announceUnansweredMs > 0) this.#set(peer, 'unanswered', now, lateAfterMs(peer, announceUnansweredMs));
  }

  /** Data came from the peer: it must hear something within this time (§6.5). */
  dataReceived(peer: Peer, now: MonoMs): void {
    if (!peer.timers.isSet('keepalive')) {
      this.#set(peer, 'keepalive', now, this.#limits.keepaliveTimeoutMs);
    } else {
      peer.anotherKeepalive = true;
    }
  }

  /** Anything authenticated left for the peer. */
  sent(peer: Peer, now: MonoMs): void {
    peer.timers.clear('keepalive');
    this.persist(peer, now);
  }

  /** Anything authenticated came from the peer. */
  received(peer: Peer, now: MonoMs): void {
    peer.timers.clear('new-handshake');
    peer.timers.clear('unanswered');
    this.persist(peer, now);
  }

  /** An initiation left: ask again after a while (§6.4). */
  initiated(peer: Peer, now: MonoMs): void {
    this.#set(peer, 'retransmit-initiation', now, this.#limits.rekeyTimeoutMs + this.#jitter());
  }

  /** Both sides have the session. */
  completed(peer: Peer): void {
    peer.timers.clear('retransmit-initiation');
    peer.attempts = 0;
    peer.rekeyedLate = false;
  }

  /** A session was derived: after three lifetimes without another one, everything is forgotten (§6.3). */
  derived(peer: Peer, now: MonoMs): void {
    this.#set(peer, 'forget-keys', now, 3 * this.#limits.rejectAfterTimeMs);
  }

  /** Gave up: forget the keys in time also where no session was ever derived. */
  forgetLater(peer: Peer, now: MonoMs): void {
    if (!peer.timers.isSet('forget-keys')) this.derived(peer, now);
  }

  /** Another packet came while a keepalive was due: one more after the usual time. */
  keepaliveAgain(peer: Peer, now: MonoMs): void {
    peer.anotherKeepalive = false;
    this.#set(peer, 'keepalive', now, this.#limits.keepaliveTimeoutMs);
  }

  /** The interval was set: the first one leaves at once. */
  persistNow(peer: Peer, now: MonoMs): void {
    if (peer.persistentKeepaliveMs > 0) this.#set(peer, 'persistent-keepalive', now, 0);
    else peer.timers.clear('persistent-keepalive');
  }

  /** Packets wait and the peer can be reached now: ask for a session at once. */
  initiateNow(peer: Peer, now: MonoMs): void {
    this.#set(peer, 'new-handshake', now, 0);
  }

  /** Further places for the initiation under way: at once. */
  copyNow(peer: Peer, now: MonoMs): void {
    this.#set(peer, 'copy-initiation', now, 0);
  }

  /** Packets wait for the peer's rate: the next may go then. */
  pace(peer: Peer, now: MonoMs, waitMs: number): void {
    this.#set(peer, 'paced', now, waitMs);
  }

  /** Puts the peer back into the queue for its earliest deadline. */
  rearm(peer: Peer): void {
    this.#wakes.wake(peer, peer.timers.nextAt());
  }

  /** The next persistent keepalive, one interval from now, where the peer has one. */
  persist(peer: Peer, now: MonoMs): void {
    if (peer.persistentKeepaliveMs > 0)
      this.#set(peer, 'persistent-keepalive', now, peer.persistentKeepaliveMs);
  }

  /** Once per run of packets, which may be one packet: the sum is not handed on unless it must be. */
  #set(peer: Peer, timer: PeerTimer, now: MonoMs, delayMs: number): void {
    peer.timers.setAfter(timer, now, delayMs);
    if (now + delayMs < peer.wakeAt) this.#wakes.wake(peer, now + delayMs);
  }

  #jitter(): number {
    this.#entropy.fill(this.#random);
    const random = this.#random[0]! | (this.#random[1]! << 8);
    return Math.floor((random / 65536) * this.#limits.jitterMs);
  }
}

function lateAfterMs({ handshakeMs = 0 }: Peer, leastMs: number): number {
  return Math.max(leastMs, Math.min(handshakeMs * lateTrips, latestMs));
}
