/**
 * Datagrams → plaintext: classify, open in place, refuse replays, check the source against the
 * peer's allowed addresses (§5.4.6). Handshake messages leave the fast path here, to admission.
 * Consecutive packets of one session are a run: timers and roaming are looked at once per run.
 */

import type { DropReason } from '../base/drop.ts';
import { endpointSize } from '../base/endpoint.ts';
import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { checkIpv4, ipv4TotalLength, setIpv4CongestionExperienced } from '../packet/ipv4.ts';
import { checkIpv6, ipv6TotalLength, setIpv6CongestionExperienced } from '../packet/ipv6.ts';
import { moveEndpoint } from '../peers/roaming.ts';
import type { Keypair } from '../session/keypair.ts';
import { classify, messageType } from '../wire/message.ts';
import {
  readTransportCounter,
  readTransportIndex,
  transportHeaderSize,
  transportOverhead,
} from '../wire/transport.ts';
import { announce, drop, type IndexEntry, type TunnelContext } from './context.ts';
import type { HandshakeDesk } from './handshake-desk.ts';
import type { Handshakes } from './handshakes.ts';
import type { LossGauge } from './loss-gauge.ts';
import type { Outbound } from './outbound.ts';
import type { Peer } from './peer.ts';

const congestionExperienced = 3;

export class Inbound {
  readonly #context: TunnelContext;
  readonly #desk: HandshakeDesk;
  readonly #handshakes: Handshakes;
  readonly #outbound: Outbound;
  // The run that is being opened.
  #entry: IndexEntry | undefined;
  #index = -1;
  #address = -1;
  #opened = 0;
  #openedPlain = 0;
  #newest = -1;
  #promoted = false;

  constructor(context: TunnelContext, desk: HandshakeDesk, handshakes: Handshakes, outbound: Outbound) {
    this.#context = context;
    this.#desk = desk;
    this.#handshakes = handshakes;
    this.#outbound = outbound;
  }

  /** Opens every datagram of `batch` in place; plaintext goes to `toTun`, replies to `out`. */
  handle(batch: PacketBatch, now: MonoMs, toTun: PacketBatch, out: PacketBatch): void {
    const { disguise } = this.#context;
    for (let i = 0; i < batch.count; i++) {
      const kind =
        disguise === undefined
          ? classify(batch.bytes, batch.offset[i]!, batch.length[i]!)
          : disguise.reveal(batch, i);
      if (kind === messageType.transport) {
        const reason = this.#transport(batch, i, now, toTun, out);
        if (reason !== 'ok') drop(this.#context, reason);
        continue;
      }
      if (typeof kind === 'string') {
        drop(this.#context, kind);
        continue;
      }
      this.#endRun(now, out);
      const reason = this.#desk.handle(kind, batch, i, now, out);
      if (reason !== 'ok') drop(this.#context, reason);
    }
    this.#endRun(now, out);
  }

  #transport(
    batch: PacketBatch,
    i: number,
    now: MonoMs,
    toTun: PacketBatch,
    out: PacketBatch,
  ): DropReason | 'ok' {
    const { bytes } = batch;
    const offset = batch.offset[i]!;
    // Signed: the upper half of unsigned numbers would be a heap object for every run.
    const index = readTransportIndex(bytes, offset) | 0;
    if (index !== this.#index || this.#entry === undefined) {
      const reason = this.#beginRun(index, now, out);
      if (reason !== 'ok') return reason;
    }
    const entry = this.#entry!;
    const keypair = entry.keypair!;
    const counter = readTransportCounter(bytes, offset);
    if (counter < 0 || counter >= this.#context.limits.rejectAfterMessages) return 'counter-limit';
    const size = batch.length[i]!;
    const length = size - transportOverhead;
    const plain = offset + transportHeaderSize;
    if (!keypair.receive.open(bytes, plain, length, counter)) return 'bad-tag';
    if (!keypair.window.accept(counter)) return 'replayed';

    const peer = entry.peer;
    const { limiter } = peer;
    if (limiter?.hasAllowance(peer.rxBytes + peer.txBytes + size) === false) return 'over-quota';
    peer.rxBytes += size;
    this.#opened++;
    if (counter > this.#newest) this.#newest = counter;
    if (batch.address[i] !== this.#address) {
      this.#address = batch.address[i]!;
      if (moveEndpoint(peer.endpoint, batch.addresses, this.#address * endpointSize)) {
        announce(this.#context, { kind: 'roamed', publicKey: peer.publicKey });
      }
    }
    if (!keypair.confirmed) this.#confirm(entry, keypair, now);
    if (length === 0) return 'ok';
    this.#openedPlain++;
    if (limiter?.mayReceive(length, now) === false) return 'over-rate';
    return this.#deliver(bytes, plain, length, batch.tos[i]!, toTun);
  }

  /** Checks the packet inside and hands it on. */
  #deliver(
    bytes: Uint8Array,
    at: number,
    length: number,
    tos: number,
    toTun: PacketBatch,
  ): DropReason | 'ok' {
    const version = bytes[at]! >> 4;
    const { allowedIps } = this.#context;
    let total = 0;
    if (version === 4) {
      if (!checkIpv4(bytes, at, length)) return 'malformed-packet';
      total = ipv4TotalLength(bytes, at);
      if (allowedIps.lookup4(bytes, at + 12) !== this.#entry!.peer) return 'disallowed-source';
      if ((tos & 3) === congestionExperienced) setIpv4CongestionExperienced(bytes, at);
    } else if (version === 6) {
      if (!checkIpv6(bytes, at, length)) return 'malformed-packet';
      total = ipv6TotalLength(bytes, at);
      if (allowedIps.lookup6(bytes, at + 8) !== this.#entry!.peer) return 'disallowed-source';
      if ((tos & 3) === congestionExperienced) setIpv6CongestionExperienced(bytes, at);
    } else {
      return 'malformed-packet';
    }
    return toTun.push(at, total) ? 'ok' : 'batch-full';
  }

  #confirm(entry: IndexEntry, keypair: Keypair, now: MonoMs): void {
    keypair.confirmed = true;
    const { peer } = entry;
    const { publicKey } = peer;
    if (peer.keyring.received(keypair)) {
      this.#promoted = true;
      this.#handshakes.established(peer, now);
      announce(this.#context, { kind: 'established', publicKey, role: 'responder' });
    }
    announce(this.#context, { kind: 'confirmed', publicKey });
  }

  #beginRun(index: number, now: MonoMs, out: PacketBatch): DropReason | 'ok' {
    this.#endRun(now, out);
    const entry = this.#context.indices.get(index);
    if (entry === undefined) return 'unknown-index';
    if (entry.keypair === undefined) return 'no-keypair';
    if (entry.keypair.isAged(this.#context.limits.rejectAfterTimeMs, now)) return 'expired-keypair';
    this.#entry = entry;
    this.#index = index;
    this.#address = -1;
    this.#opened = 0;
    this.#openedPlain = 0;
    this.#newest = entry.keypair.heardUpTo;
    this.#promoted = false;
    return 'ok';
  }

  #endRun(now: MonoMs, out: PacketBatch): void {
    const entry = this.#entry;
    this.#entry = undefined;
    if (entry === undefined || this.#opened === 0) return;
    const { peer } = entry;
    const keypair = entry.keypair!;
    const { timers, limits } = this.#context;
    timers.received(peer, now);
    if (peer.loss !== undefined) this.#countLosses(peer, peer.loss, keypair, now);
    if (this.#openedPlain > 0) timers.dataReceived(peer, now);
    if (this.#promoted) this.#outbound.sendStaged(peer, now, out);
    // A session that dies before the next keepalive could tell: ask for a new one in time (§6.2).
    const lateMs = limits.rejectAfterTimeMs - limits.keepaliveTimeoutMs - limits.rekeyTimeoutMs;
    if (!peer.rekeyedLate && keypair.isInitiator && keypair.isAged(lateMs, now)) {
      peer.rekeyedLate = true;
      this.#handshakes.initiate(peer, now, out);
    }
  }
  #countLosses(peer: Peer, loss: LossGauge, keypair: Keypair, now: MonoMs): void {
    const grown = this.#newest - keypair.heardUpTo;
    keypair.heardUpTo = this.#newest;
    if (loss.handleRun(this.#opened, grown, now)) {
      announce(this.#context, { kind: 'lossy', publicKey: peer.publicKey });
    }
  }
}
