/**
 * Plaintext → datagrams: look up the peer, seal in place, or stage while a handshake runs
 * (§5.4.6, §6). Consecutive packets for one peer are a run: sessions, timers and addresses are
 * looked at once per run. Never allocates per packet, except to stage.
 */

import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { maxIcmpErrorSize, writeUnreachable } from '../packet/icmp.ts';
import { ipDestinationOffset, ipEcn, ipVersion } from '../packet/ip.ts';
import type { Keypair } from '../session/keypair.ts';
import { messageType } from '../wire/message.ts';
import {
  paddedLength,
  transportHeaderSize,
  transportOverhead,
  writeTransportHeader,
} from '../wire/transport.ts';
import { announce, drop, type TunnelContext } from './context.ts';
import type { Handshakes } from './handshakes.ts';
import type { Peer } from './peer.ts';

/** Between two turns of packets that a rate holds back: a timer for each would cost more than it carries. */
const leastWaitMs = 1;

export class Outbound {
  readonly #context: TunnelContext;
  readonly #handshakes: Handshakes;
  // The run that is being sealed.
  #peer: Peer | undefined;
  #keypair: Keypair | undefined;
  #address = 0;
  #sealed = 0;
  #sealedPlain = 0;

  constructor(context: TunnelContext, handshakes: Handshakes) {
    this.#context = context;
    this.#handshakes = handshakes;
  }

  /**
   * Seals every packet of `batch` in place and appends the datagrams to `out`. Packets without a
   * session are staged, those that nobody may get are answered with ICMP into `toTun`.
   */
  handle(batch: PacketBatch, now: MonoMs, toTun: PacketBatch, out: PacketBatch): void {
    const { bytes } = batch;
    for (let i = 0; i < batch.count; i++) {
      const offset = batch.offset[i]!;
      const length = batch.length[i]!;
      const peer = this.#route(bytes, offset, length, toTun);
      if (peer === undefined) continue;
      if (peer !== this.#peer) {
        this.#endRun(now, out);
        this.#beginRun(peer, now, out);
      }
      if (peer.limiter !== undefined && !this.#isInRate(peer, batch, i, now)) continue;
      if (this.#keypair === undefined)
        drop(this.#context, 'staging-full', peer.staged.push(bytes, offset, length));
      else this.#seal(bytes, offset, length, out);
    }
    this.#endRun(now, out);
  }

  /** Sends what waits for a session, or asks for one. */
  sendStaged(peer: Peer, now: MonoMs, out: PacketBatch): void {
    if (peer.staged.count === 0 && !peer.keepaliveStaged) return;
    this.#beginRun(peer, now, out);
    if (this.#keypair !== undefined) {
      for (let packet = peer.staged.peek(); packet !== undefined; packet = peer.staged.peek()) {
        const offset = out.count === out.capacity ? -1 : out.reserve(packet.length);
        if (offset < 0) break; // the rest goes with the next run
        out.bytes.set(packet, offset);
        this.#seal(out.bytes, offset, packet.length, out);
        peer.staged.shift();
      }
      if (peer.keepaliveStaged && this.#sealed === 0) this.#sealKeepalive(out);
      peer.keepaliveStaged = false;
    }
    this.#endRun(now, out);
  }

  /** Sends what the peer's rate has held back, as far as it may go by now. */
  sendPaced(peer: Peer, now: MonoMs, out: PacketBatch): void {
    const { limiter } = peer;
    if (limiter === undefined) return;
    this.#beginRun(peer, now, out);
    for (let packet = limiter.nextWaiting(now); packet !== undefined; packet = limiter.nextWaiting(now)) {
      if (this.#keypair === undefined) {
        drop(this.#context, 'staging-full', peer.staged.push(packet, 0, packet.length));
      } else {
        const offset = out.count === out.capacity ? -1 : out.reserve(packet.length);
        if (offset < 0) break; // the rest goes with the next run
        out.bytes.set(packet, offset);
        this.#seal(out.bytes, offset, packet.length, out);
      }
      limiter.sent(packet, now);
    }
    this.#endRun(now, out);
    this.#pace(peer, now);
  }

  /** An empty packet, so that the other side hears from us (§6.5). Asks for a session where there is none. */
  sendKeepalive(peer: Peer, now: MonoMs, out: PacketBatch): void {
    peer.keepaliveStaged = true;
    this.sendStaged(peer, now, out);
  }

  /** After our handshake completed: what waits, or an empty packet, tells the responder (§6.3). */
  confirmSession(peer: Peer, now: MonoMs, out: PacketBatch): void {
    this.sendKeepalive(peer, now, out);
  }

  /** Whether a packet to a peer with limits may go now. Else it waits, or is lost. */
  #isInRate(peer: Peer, batch: PacketBatch, i: number, now: MonoMs): boolean {
    const verdict = peer.limiter?.send(batch.bytes, batch.offset[i]!, batch.length[i]!, now) ?? 'ok';
    if (verdict === 'over-rate') drop(this.#context, verdict);
    else if (verdict === 'waits' && !peer.timers.isSet('paced')) this.#pace(peer, now);
    return verdict === 'ok';
  }

  #pace(peer: Peer, now: MonoMs): void {
    const waitMs = peer.limiter?.waitMs();
    if (waitMs !== undefined) this.#context.timers.pace(peer, now, Math.max(leastWaitMs, waitMs));
  }

  #sealKeepalive(out: PacketBatch): void {
    const offset = out.reserve(0);
    if (offset >= 0) this.#seal(out.bytes, offset, 0, out);
  }

  #beginRun(peer: Peer, now: MonoMs, out: PacketBatch): void {
    this.#peer = peer;
    this.#sealed = 0;
    this.#sealedPlain = 0;
    this.#keypair = usable(peer.keyring.current, this.#context, now);
    if (this.#keypair === undefined) return;
    this.#address = out.addAddress(peer.endpoint, 0);
    if (this.#address < 0) this.#keypair = undefined;
  }

  #endRun(now: MonoMs, out: PacketBatch): void {
    const peer = this.#peer;
    const keypair = this.#keypair;
    this.#peer = undefined;
    this.#keypair = undefined;
    if (peer === undefined) return;
    if (keypair === undefined) {
      this.#handshakes.initiate(peer, now, out);
      return;
    }
    if (this.#sealed === 0) return;
    const { timers, limits } = this.#context;
    timers.sent(peer, now);
    if (this.#sealedPlain > 0) {
      timers.dataSent(peer, now);
      if (peer.sending?.handleRun(peer.txBytes, now) === true)
        announce(this.#context, { kind: 'sending', publicKey: peer.publicKey });
    }
    const old = keypair.isInitiator && keypair.isAged(limits.rekeyAfterTimeMs, now);
    if (old || keypair.sendCounter > limits.rekeyAfterMessages) this.#handshakes.initiate(peer, now, out);
  }

  #seal(bytes: Uint8Array, offset: number, length: number, out: PacketBatch): void {
    const keypair = this.#keypair!;
    const peer = this.#peer!;
    const padded = paddedLength(length, this.#context.mtu);
    if (peer.limiter?.hasAllowance(peer.rxBytes + peer.txBytes + padded + transportOverhead) === false) {
      drop(this.#context, 'over-quota');
      return;
    }
    const tos = length === 0 ? 0 : ipEcn(bytes, offset);
    if (padded !== length) bytes.fill(0, offset + length, offset + padded);
    const counter = keypair.sendCounter++;
    keypair.send.seal(bytes, offset, padded, counter);
    const start = offset - transportHeaderSize;
    writeTransportHeader(bytes, start, keypair.remoteIndex, counter);
    const size = padded + transportOverhead;
    if (!this.#push(out, start, size, tos)) {
      drop(this.#context, 'batch-full');
      return;
    }
    peer.txBytes += size;
    this.#sealed++;
    if (length > 0) this.#sealedPlain++;
  }

  /** Appends a datagram of data, disguised where that is wanted. False where the batch is full. */
  #push(out: PacketBatch, start: number, size: number, tos: number): boolean {
    const { disguise } = this.#context;
    if (disguise === undefined) return out.push(start, size, this.#address, tos);
    disguise.mark(out.bytes, start, messageType.transport);
    const first = disguise.cover(out.bytes, start, messageType.transport);
    return out.push(first, size + start - first, this.#address, tos);
  }

  /** The peer that a packet is for, or undefined: then it is counted and, where it may be, answered. */
  #route(bytes: Uint8Array, offset: number, length: number, toTun: PacketBatch): Peer | undefined {
    const { allowedIps } = this.#context;
    const version = ipVersion(bytes, offset, length);
    if (version === 0) {
      drop(this.#context, 'malformed-packet');
      return undefined;
    }
    const destination = ipDestinationOffset(bytes, offset);
    const peer =
      version === 4 ? allowedIps.lookup4(bytes, destination) : allowedIps.lookup6(bytes, destination);
    if (peer?.hasEndpoint === true) return peer;
    drop(this.#context, peer === undefined ? 'no-route' : 'no-endpoint');
    this.#refuse(bytes, offset, length, toTun);
    return undefined;
  }

  /** Tells the sender that nobody is there, in the destination's name: we have no address of our own. */
  #refuse(bytes: Uint8Array, offset: number, length: number, toTun: PacketBatch): void {
    if (toTun.count === toTun.capacity) return;
    const at = toTun.reserve(maxIcmpErrorSize);
    if (at < 0) return;
    const size = writeUnreachable({ bytes, offset, length, to: toTun.bytes, toOffset: at });
    if (size > 0) toTun.push(at, size);
  }
}

/** The session that may seal now, or undefined. */
function usable(keypair: Keypair | undefined, context: TunnelContext, now: MonoMs): Keypair | undefined {
  if (keypair === undefined) return undefined;
  const { rejectAfterTimeMs, rejectAfterMessages } = context.limits;
  if (keypair.isAged(rejectAfterTimeMs, now)) return undefined;
  return keypair.sendCounter < rejectAfterMessages ? keypair : undefined;
}
