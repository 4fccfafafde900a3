/**
 * A WireGuard device: many peers, one identity. It only dispatches; the work is in outbound,
 * inbound, handshakes and peer-timers. Pure: told the time, given its randomness, handed its bytes.
 *
 * After any `handle…` the caller writes `out` and `toTun`, takes the events, and calls again no
 * later than `nextTimeoutAt`. A device that threw an assertion must not be used again.
 */

import type { DropReason } from '../base/drop.ts';
import { noDrops } from '../base/drop.ts';
import type { Entropy } from '../base/ports.ts';
import type { MonoMs, UnixMs } from '../base/time.ts';
import type { CryptoSuite } from '../crypto/suite.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { AllowedIps } from '../peers/allowed-ips.ts';
import { IndexTable } from '../peers/index-table.ts';
import { PeerTable } from '../peers/peer-table.ts';
import { type Limits, paperLimits } from '../session/limits.ts';
import type { CoreStatus, DeviceChange } from './config.ts';
import { Configurator } from './configurator.ts';
import { announce, drop, type IndexEntry, type TunnelContext } from './context.ts';
import { EphemeralStock } from './ephemerals.ts';
import type { TunnelEvent } from './events.ts';
import { HandshakeDesk } from './handshake-desk.ts';
import { Handshakes } from './handshakes.ts';
import { Inbound } from './inbound.ts';
import { Outbound } from './outbound.ts';
import type { Peer, PeerTimer } from './peer.ts';
import { PeerTimers } from './peer-timers.ts';
import { WakeQueue } from './wake-queue.ts';

export type TimeoutReason = 'peer-timer' | 'queued-handshakes';

export interface TunnelDeviceOptions {
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  /** Largest packet inside the tunnel, bytes. */
  readonly mtu: number;
  /** Replaces some of the paper's constants; for tests. */
  readonly limits?: Partial<Limits>;
  /** First counter of every session; for tests. */
  readonly firstCounter?: number;
}

/** Timers of peers carried out in one `handleTimeout`; the rest is due at once again. */
const timersPerCall = 256;

export class TunnelDevice {
  readonly #context: TunnelContext;
  readonly #wakes: WakeQueue<Peer> = new WakeQueue<Peer>();
  readonly #handshakes: Handshakes;
  readonly #desk: HandshakeDesk;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #configurator: Configurator;

  constructor(options: TunnelDeviceOptions) {
    const { suite, entropy, mtu } = options;
    const limits: Limits = { ...paperLimits, ...options.limits };
    const context: TunnelContext = {
      suite,
      entropy,
      ephemerals: new EphemeralStock(suite, entropy),
      limits,
      peers: new PeerTable<Peer>(),
      allowedIps: new AllowedIps<Peer>(),
      indices: new IndexTable<IndexEntry>(),
      timers: new PeerTimers(limits, this.#wakes, entropy),
      drops: noDrops(),
      events: [],
      identity: undefined,
      disguise: undefined,
      mtu,
      unixOffsetMs: 0,
      firstCounter: options.firstCounter ?? 0,
    };
    this.#context = context;
    this.#handshakes = new Handshakes(context);
    this.#outbound = new Outbound(context, this.#handshakes);
    this.#desk = new HandshakeDesk(context, this.#handshakes, this.#outbound);
    this.#inbound = new Inbound(context, this.#desk, this.#handshakes, this.#outbound);
    this.#configurator = new Configurator(context, this.#handshakes, (peer) => this.#wakes.forget(peer));
  }

  /**
   * Plaintext from the inside: sealed in place, appended to `out`. Answers that the inside should
   * see (ICMP) go to `toTun`. Packets without a session are copied and wait.
   */
  handleTun(batch: PacketBatch, now: MonoMs, toTun: PacketBatch, out: PacketBatch): void {
    this.#outbound.handle(batch, now, toTun, out);
  }

  /**
   * Datagrams from the outside: opened in place, plaintext appended to `toTun`, replies to `out`.
   * Hostile input only counts a drop.
   */
  handleUdp(batch: PacketBatch, now: MonoMs, toTun: PacketBatch, out: PacketBatch): void {
    this.#inbound.handle(batch, now, toTun, out);
    this.#desk.work(now, out);
  }

  /** Carries out what is due. Safe to call at any time. */
  handleTimeout(now: MonoMs, out: PacketBatch): void {
    this.#desk.work(now, out);
    for (let i = 0; i < timersPerCall; i++) {
      const peer = this.#wakes.take(now);
      if (peer === undefined) break;
      for (let due = peer.timers.takeDue(now); due !== undefined; due = peer.timers.takeDue(now)) {
        this.#fire(peer, due, now, out);
      }
      this.#context.timers.rearm(peer);
    }
  }

  /** When `handleTimeout` must be called at the latest; Infinity = nothing waits. */
  nextTimeoutAt(): number {
    return this.#desk.waiting > 0 ? 0 : this.#wakes.nextAt();
  }

  /** Why; for logs and tests. */
  nextTimeoutReason(): TimeoutReason {
    return this.#desk.waiting > 0 ? 'queued-handshakes' : 'peer-timer';
  }

  /** Facts since the last call. */
  takeEvents(): readonly TunnelEvent[] {
    const { events } = this.#context;
    if (events.length > 0) this.#context.events = [];
    return events;
  }

  /** Applies a change whose texts have been validated. What must be sent for it is due at once. */
  configure(change: DeviceChange, now: MonoMs): void {
    this.#configurator.apply(change, now);
  }

  /** Tells the wall clock, for timestamps in initiations and in `status`. */
  setWallClock(now: MonoMs, unix: UnixMs): void {
    this.#context.unixOffsetMs = unix - now;
  }

  /** Padding never passes the MTU. */
  setMtu(mtu: number): void {
    this.#context.mtu = mtu;
  }

  /** Counts packets that a port could not take. */
  countDrops(reason: DropReason, packets: number): void {
    drop(this.#context, reason, packets);
  }

  status(): CoreStatus {
    return this.#configurator.status();
  }

  /** Does ahead what the next handshake would do. To be called when nothing else is to be done. */
  prepare(): void {
    const { peers, ephemerals } = this.#context;
    const [only] = peers.size === 1 ? peers.values() : [];
    ephemerals.prepare(only?.publicKey);
  }

  /** Forgets every key. The device is not usable afterwards. */
  wipe(): void {
    this.#context.ephemerals.wipe();
    this.#configurator.wipe();
  }

  #fire(peer: Peer, timer: PeerTimer, now: MonoMs, out: PacketBatch): void {
    const { timers } = this.#context;
    switch (timer) {
      case 'retransmit-initiation':
        this.#handshakes.retransmit(peer, now, out);
        return;
      case 'keepalive':
        this.#outbound.sendKeepalive(peer, now, out);
        if (peer.anotherKeepalive) timers.keepaliveAgain(peer, now);
        return;
      case 'new-handshake':
        peer.forgetSticky();
        this.#handshakes.initiate(peer, now, out);
        return;
      case 'forget-keys':
        this.#handshakes.forget(peer);
        return;
      case 'unanswered':
        announce(this.#context, { kind: 'unanswered', publicKey: peer.publicKey });
        return;
      case 'copy-initiation':
        this.#handshakes.copy(peer, out);
        return;
      case 'paced':
        this.#outbound.sendPaced(peer, now, out);
        return;
      case 'persistent-keepalive':
        if (peer.persistentKeepaliveMs > 0) this.#outbound.sendKeepalive(peer, now, out);
        // Without a session the keepalive only asked for one: keep asking at this pace.
        if (peer.persistentKeepaliveMs > 0 && !peer.timers.isSet('persistent-keepalive'))
          timers.persist(peer, now);
        return;
    }
  }
}
