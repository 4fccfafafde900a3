/**
 * Where handshake messages come in: who may make us do public-key work (§5.3)? Macs are checked at
 * once, admitted initiations wait in a bounded queue, a few are answered per call, so that data
 * keeps flowing under a flood.
 */

import { CookieIssuer } from '../admission/cookie-issuer.ts';
import { LoadGauge } from '../admission/load-gauge.ts';
import { checkMac1 } from '../admission/macs.ts';
import { RateLimiter } from '../admission/rate-limiter.ts';
import { readU32LE } from '../base/bytes.ts';
import type { DropReason } from '../base/drop.ts';
import { endpointRemoteSize, endpointSize } from '../base/endpoint.ts';
import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { readCookieReply } from '../wire/cookie-reply.ts';
import { initiationSize } from '../wire/initiation.ts';
import { type MessageType, messageType } from '../wire/message.ts';
import { responseSize } from '../wire/response.ts';
import { drop, type LocalIdentity, type TunnelContext } from './context.ts';
import { markMessage, pushMessage, reserveMessage } from './disguised.ts';
import { HandshakeQueue, handshakeQueueBusy } from './handshake-queue.ts';
import type { HandshakeMessage, Handshakes } from './handshakes.ts';
import type { Outbound } from './outbound.ts';

/** Initiations answered per call. */
const answersPerCall = 4;
/** Handshakes per second from which on cookies are asked for even where none waits; a core does about 3500. */
const busyPerSecond = 5000;
const senderAt = 4;

export class HandshakeDesk {
  readonly #context: TunnelContext;
  readonly #handshakes: Handshakes;
  readonly #outbound: Outbound;
  readonly #queue: HandshakeQueue = new HandshakeQueue();
  readonly #gauge: LoadGauge = new LoadGauge({ busyDepth: handshakeQueueBusy, busyPerSecond });
  readonly #limiter: RateLimiter = new RateLimiter();
  #issuer: CookieIssuer | undefined;
  #issuerFor: LocalIdentity | undefined;

  constructor(context: TunnelContext, handshakes: Handshakes, outbound: Outbound) {
    this.#context = context;
    this.#handshakes = handshakes;
    this.#outbound = outbound;
  }

  /** Initiations that wait for `work`. */
  get waiting(): number {
    return this.#queue.count;
  }

  /** Takes in handshake message `i` of `batch`. */
  handle(
    kind: Exclude<MessageType, typeof messageType.transport>,
    batch: PacketBatch,
    i: number,
    now: MonoMs,
    out: PacketBatch,
  ): DropReason | 'ok' {
    const message: HandshakeMessage = {
      bytes: batch.bytes,
      offset: batch.offset[i]!,
      source: batch.addresses,
      sourceAt: batch.address[i]! * endpointSize,
    };
    switch (kind) {
      case messageType.cookieReply:
        return this.#cookie(message, now);
      case messageType.initiation: {
        const reason = this.#admit(message, initiationSize, now, out);
        if (reason !== 'ok') return reason;
        const { bytes, offset, source, sourceAt } = message;
        return this.#queue.push(bytes, offset, source, sourceAt) ? 'ok' : 'rate-limited';
      }
      case messageType.response: {
        const reason = this.#admit(message, responseSize, now, out);
        if (reason !== 'ok') return reason;
        const peer = this.#handshakes.complete(message, now);
        if (typeof peer === 'string') return peer;
        this.#outbound.confirmSession(peer, now, out);
        return 'ok';
      }
    }
  }

  /** Answers a few of the initiations that wait. */
  work(now: MonoMs, out: PacketBatch): void {
    for (let n = 0; n < answersPerCall; n++) {
      const slot = this.#queue.take();
      if (slot < 0) return;
      this.#gauge.count(now);
      const message: HandshakeMessage = {
        bytes: this.#queue.messages,
        offset: slot * initiationSize,
        source: this.#queue.sources,
        sourceAt: slot * endpointSize,
      };
      const reason = this.#handshakes.answer(message, now, out);
      if (reason !== 'ok') drop(this.#context, reason);
    }
  }

  #cookie(message: HandshakeMessage, now: MonoMs): DropReason | 'ok' {
    const { receiver } = readCookieReply(message.bytes, message.offset);
    const entry = this.#context.indices.get(receiver);
    if (entry === undefined) return 'unknown-index';
    return entry.peer.cookieJar.receive(message.bytes, message.offset, now);
  }

  /** Checks mac1, and under load mac2 and the source's rate; asks for a cookie where mac2 is missing. */
  #admit(message: HandshakeMessage, size: number, now: MonoMs, out: PacketBatch): DropReason | 'ok' {
    const { suite, identity } = this.#context;
    if (identity === undefined) return 'bad-mac1';
    const { bytes, offset, source, sourceAt } = message;
    const view = bytes.subarray(offset, offset + size);
    if (!checkMac1(suite, identity.mac1Key, view)) return 'bad-mac1';
    if (!this.#gauge.isUnderLoad(this.#queue.count, now)) return 'ok';
    const issuer = this.#issuerOf(identity);
    const remote = source.subarray(sourceAt, sourceAt + endpointRemoteSize);
    if (issuer.checkMac2(view, remote, now)) {
      return this.#limiter.allow(source, sourceAt, now) ? 'ok' : 'rate-limited';
    }
    const at = reserveMessage(this.#context, out, messageType.cookieReply);
    const address = out.addAddress(source, sourceAt);
    if (at < 0 || address < 0) return 'batch-full';
    issuer.writeReply(
      { sender: readU32LE(bytes, offset + senderAt), message: view, source: remote },
      now,
      out.bytes,
      at,
    );
    markMessage(this.#context, out, at, messageType.cookieReply);
    pushMessage(this.#context, out, messageType.cookieReply, { offset: at, address, tos: 0 });
    return 'bad-mac2-under-load';
  }

  #issuerOf(identity: LocalIdentity): CookieIssuer {
    if (this.#issuer === undefined || this.#issuerFor !== identity) {
      const { suite, entropy } = this.#context;
      this.#issuer = new CookieIssuer({ suite, entropy, publicKey: identity.publicKey });
      this.#issuerFor = identity;
    }
    return this.#issuer;
  }
}
