/**
 * The handshakes of all peers: build, send, answer, complete, forget (§5.4, §6). Messages come here
 * after admission. Slow path: may allocate.
 */

import type { DropReason } from '../base/drop.ts';
import { type MonoMs, unixMs } from '../base/time.ts';
import { beginInitiation } from '../noise/initiator.ts';
import { openInitiation, type ReceivedInitiation } from '../noise/responder.ts';
import type { SessionKeys } from '../noise/symmetric.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { moveEndpoint } from '../peers/roaming.ts';
import { Keypair } from '../session/keypair.ts';
import { initiationSize } from '../wire/initiation.ts';
import { messageType } from '../wire/message.ts';
import { readResponse, responseSize } from '../wire/response.ts';
import { compareTimestamps, nextTimestamp } from '../wire/tai64n.ts';
import { announce, drop, type IndexEntry, type TunnelContext } from './context.ts';
import { markMessage, pushMessage, reserveMessage } from './disguised.ts';
import type { Peer } from './peer.ts';

/** Type-of-service of handshake messages: class AF41, as other implementations mark them. */
const handshakeTos = 0x88;

export class Handshakes {
  readonly #context: TunnelContext;

  constructor(context: TunnelContext) {
    this.#context = context;
  }

  /** Asks the peer for a new session, unless that was done a moment ago or cannot be done. */
  initiate(peer: Peer, now: MonoMs, out: PacketBatch): void {
    const { limits } = this.#context;
    const last = peer.lastInitiationAt;
    if (last !== undefined && now - last < limits.rekeyTimeoutMs) return;
    peer.attempts = 0;
    this.#sendInitiation(peer, now, out);
  }

  /** No response came: ask again, or give up (§6.4). */
  retransmit(peer: Peer, now: MonoMs, out: PacketBatch): void {
    const { limits, timers } = this.#context;
    const mostAttempts = Math.floor(limits.rekeyAttemptTimeMs / limits.rekeyTimeoutMs);
    if (peer.attempts >= mostAttempts) {
      drop(this.#context, 'staging-full', peer.staged.clear());
      peer.keepaliveStaged = false;
      peer.timers.clear('keepalive');
      this.forgetPending(peer);
      timers.forgetLater(peer, now);
      announce(this.#context, { kind: 'gave-up', publicKey: peer.publicKey });
      return;
    }
    peer.attempts++;
    peer.forgetSticky();
    this.#sendInitiation(peer, now, out);
  }

  #sendInitiation(peer: Peer, now: MonoMs, out: PacketBatch): void {
    const { suite, entropy, ephemerals, identity, indices, timers } = this.#context;
    if (identity === undefined || peer.staticShared === undefined || !peer.hasEndpoint) return;
    const offset = reserveMessage(this.#context, out, messageType.initiation);
    const address = out.addAddress(peer.endpoint, 0);
    if (offset < 0 || address < 0) return;
    this.forgetPending(peer);
    const localIndex = indices.insert({ peer, keypair: undefined }, entropy);
    if (localIndex === undefined) return;
    const timestamp = nextTimestamp(peer.sentTimestamp, unixMs(now + this.#context.unixOffsetMs));
    peer.sentTimestamp = timestamp;
    const begun = beginInitiation(
      {
        suite,
        entropy,
        ephemeral: ephemerals.take(peer.publicKey),
        local: identity,
        remoteStatic: peer.publicKey,
        staticShared: peer.staticShared,
        timestamp,
        localIndex,
      },
      out.bytes,
      offset,
    );
    if (begun === 'bad-handshake') {
      indices.delete(localIndex);
      return;
    }
    peer.pending = begun;
    markMessage(this.#context, out, offset, messageType.initiation);
    peer.cookieJar.sign(out.bytes.subarray(offset, offset + initiationSize), now);
    this.#pushInitiation(out, offset, address);
    peer.pendingMessage = out.bytes.slice(offset, offset + initiationSize);
    peer.copied = 0;
    if (peer.alsoTo.length > 0) this.copy(peer, out);
    peer.lastInitiationAt = now;
    peer.txBytes += initiationSize;
    timers.sent(peer, now);
    timers.initiated(peer, now);
  }

  /**
   * The initiation under way to the places that do not have it yet. The responder answers the first that arrives and
   * takes the others for repeats; its answer says where it is.
   */
  copy(peer: Peer, out: PacketBatch): void {
    const { pendingMessage, alsoTo } = peer;
    if (peer.pending === undefined || pendingMessage === undefined) return;
    for (const record of alsoTo.slice(peer.copied)) {
      const offset = reserveMessage(this.#context, out, messageType.initiation);
      const address = out.addAddress(record, 0);
      if (offset < 0 || address < 0) return;
      out.bytes.set(pendingMessage, offset);
      this.#pushInitiation(out, offset, address);
      peer.txBytes += initiationSize;
      peer.copied++;
    }
  }

  #pushInitiation(out: PacketBatch, offset: number, address: number): void {
    this.#context.disguise?.pushJunk(out, address, handshakeTos);
    const place = { offset, address, tos: handshakeTos };
    if (!pushMessage(this.#context, out, messageType.initiation, place)) drop(this.#context, 'batch-full');
  }

  /**
   * Answers an admitted initiation at `bytes[offset]` that came from the endpoint record at
   * `source[sourceAt]`. The new session waits until the initiator uses it.
   */
  answer(message: HandshakeMessage, now: MonoMs, out: PacketBatch): DropReason | 'ok' {
    const { suite, identity, peers } = this.#context;
    if (identity === undefined) return 'unknown-peer';
    const received = openInitiation(suite, identity, message.bytes, message.offset);
    if (received === 'bad-handshake') return received;
    const peer = peers.get(received.remoteStatic);
    if (peer?.staticShared === undefined) {
      received.wipe();
      return 'unknown-peer';
    }
    const timestamp = received.openTimestamp(peer.staticShared);
    if (timestamp === 'bad-handshake') return timestamp;
    const reason = this.#fresh(peer, timestamp, now);
    if (reason !== 'ok') {
      received.wipe();
      return reason;
    }
    peer.greatestTimestamp.set(timestamp);
    peer.lastConsumedAt = now;
    peer.rxBytes += initiationSize;
    this.#moved(peer, message);
    return this.#respond(peer, received, now, out);
  }

  #respond(peer: Peer, received: ReceivedInitiation, now: MonoMs, out: PacketBatch): DropReason | 'ok' {
    const { entropy, ephemerals, indices, timers } = this.#context;
    const offset = reserveMessage(this.#context, out, messageType.response);
    const address = out.addAddress(peer.endpoint, 0);
    const localIndex =
      offset < 0 || address < 0 ? undefined : indices.insert({ peer, keypair: undefined }, entropy);
    if (localIndex === undefined) {
      received.wipe();
      return 'batch-full';
    }
    const keys = received.respond(
      { entropy, ephemeral: ephemerals.take(peer.publicKey), presharedKey: peer.presharedKey, localIndex },
      out.bytes,
      offset,
    );
    if (keys === 'bad-handshake') {
      indices.delete(localIndex);
      return keys;
    }
    this.#derive(peer, keys, now);
    markMessage(this.#context, out, offset, messageType.response);
    peer.cookieJar.sign(out.bytes.subarray(offset, offset + responseSize), now);
    const place = { offset, address, tos: handshakeTos };
    if (!pushMessage(this.#context, out, messageType.response, place)) return 'batch-full';
    peer.txBytes += responseSize;
    timers.received(peer, now);
    timers.sent(peer, now);
    return 'ok';
  }

  /**
   * Completes our own handshake with the response at `bytes[offset]`. Returns the peer, whose
   * staged packets (or a keepalive) the caller must send: that confirms the session to the responder.
   */
  complete(message: HandshakeMessage, now: MonoMs): Peer | DropReason {
    const { indices, timers } = this.#context;
    const { receiver } = readResponse(message.bytes, message.offset);
    const entry = indices.get(receiver);
    if (entry === undefined) return 'unknown-index';
    const { peer } = entry;
    const { pending } = peer;
    if (entry.keypair !== undefined || pending?.localIndex !== receiver) return 'unexpected-response';
    const keys = pending.finish(peer.presharedKey, message.bytes, message.offset);
    if (typeof keys === 'string') return keys;
    peer.pending = undefined;
    peer.pendingMessage = undefined;
    peer.alsoTo = [];
    peer.copied = 0;
    peer.rxBytes += responseSize;
    this.#moved(peer, message);
    this.#derive(peer, keys, now);
    this.established(peer, now);
    timers.received(peer, now);
    peer.handshakeMs = now - (peer.lastInitiationAt ?? now);
    announce(this.#context, {
      kind: 'established',
      publicKey: peer.publicKey,
      role: 'initiator',
    });
    return peer;
  }

  /** Both sides are known to have the session: what the peer claims is its own from here on. */
  established(peer: Peer, now: MonoMs): void {
    this.#context.timers.completed(peer);
    peer.lastHandshakeUnixMs = Math.round(now + this.#context.unixOffsetMs);
    if (peer.claims.length > 0) this.#takeOver(peer);
  }

  /** Before the packet that confirms the session is looked at, so that not even that one is lost. */
  #takeOver(peer: Peer): void {
    const { allowedIps } = this.#context;
    for (const { address, bits } of peer.claims) {
      const before = address.length === 4 ? allowedIps.lookup4(address, 0) : allowedIps.lookup6(address, 0);
      allowedIps.insert(address, bits, peer);
      if (before !== undefined && before !== peer && allowedIps.entriesOf(before).length === 0)
        this.#silence(before);
    }
    peer.claims = [];
  }

  /** Nothing waits for it and nothing is asked of it. Its sessions can still be heard until they end. */
  #silence(peer: Peer): void {
    this.forgetPending(peer);
    peer.staged.clear();
    peer.keepaliveStaged = false;
    for (const timer of [
      'retransmit-initiation',
      'new-handshake',
      'keepalive',
      'unanswered',
      'paced',
    ] as const)
      peer.timers.clear(timer);
  }

  /** Forgets every session, and the handshake under way. */
  forget(peer: Peer): void {
    const had = peer.keyring.current !== undefined;
    peer.keyring.clear();
    this.forgetPending(peer);
    peer.lastInitiationAt = undefined;
    peer.staged.clear();
    peer.keepaliveStaged = false;
    if (had) announce(this.#context, { kind: 'expired', publicKey: peer.publicKey });
  }

  #fresh(peer: Peer, timestamp: Uint8Array, now: MonoMs): DropReason | 'ok' {
    if (compareTimestamps(timestamp, peer.greatestTimestamp) <= 0) return 'stale-timestamp';
    const last = peer.lastConsumedAt;
    const often = last !== undefined && now - last < this.#context.limits.initiationMinIntervalMs;
    return often ? 'initiation-flood' : 'ok';
  }

  #derive(peer: Peer, keys: SessionKeys, now: MonoMs): void {
    const { suite, indices, timers, firstCounter } = this.#context;
    const keypair = new Keypair({
      send: suite.transportKey(keys.sendKey),
      receive: suite.transportKey(keys.receiveKey),
      localIndex: keys.localIndex,
      remoteIndex: keys.remoteIndex,
      isInitiator: keys.role === 'initiator',
      createdAt: now,
    });
    keypair.sendCounter = firstCounter;
    keys.sendKey.fill(0);
    keys.receiveKey.fill(0);
    const entry: IndexEntry = { peer, keypair };
    indices.replace(keys.localIndex, entry);
    peer.keyring.add(keypair);
    timers.derived(peer, now);
  }

  #moved(peer: Peer, message: HandshakeMessage): void {
    if (moveEndpoint(peer.endpoint, message.source, message.sourceAt)) {
      announce(this.#context, { kind: 'roamed', publicKey: peer.publicKey });
    }
  }

  /** Forgets the handshake under way; sessions go on. */
  forgetPending(peer: Peer): void {
    if (peer.pending === undefined) return;
    this.#context.indices.delete(peer.pending.localIndex);
    peer.pending.wipe();
    peer.pending = undefined;
    peer.pendingMessage = undefined;
  }
}

/** A handshake message in somebody's bytes, and the endpoint record that it came from. */
export interface HandshakeMessage {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly source: Uint8Array;
  readonly sourceAt: number;
}
