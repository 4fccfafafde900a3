/**
 * The responder's side of cookies (§5.3, §5.4.7): under load, whoever calls must first show that it
 * receives at its address. A cookie is a mac of the address under a secret that changes every two
 * minutes; nothing is remembered per caller.
 */

import { assert } from '../base/assert.ts';
import { wipe } from '../base/bytes.ts';
import { endpointRemoteSize } from '../base/endpoint.ts';
import type { Entropy } from '../base/ports.ts';
import { type MonoMs, secondMs } from '../base/time.ts';
import { type CryptoSuite, keySize, xnonceSize } from '../crypto/suite.ts';
import { writeCookieReply } from '../wire/cookie-reply.ts';
import { checkMac2, cookieKey, mac1Of } from './macs.ts';

/** A secret makes cookies for this long; for as long again they are still accepted. */
export const cookieSecretLifeMs: number = 120 * secondMs;

export interface CookieIssuerOptions {
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  /** Our own. */
  readonly publicKey: Uint8Array;
}

interface Secret {
  readonly bytes: Uint8Array;
  readonly bornAt: MonoMs;
}

/** A handshake message that is answered with a cookie. */
export interface CookieRequest {
  /** The message's sender index. */
  readonly sender: number;
  /** View of exactly the message. */
  readonly message: Uint8Array;
  /** View of the remote part of its endpoint record (base/endpoint.ts, 24 bytes). */
  readonly source: Uint8Array;
}

export class CookieIssuer {
  readonly #suite: CryptoSuite;
  readonly #entropy: Entropy;
  readonly #cookieKey: Uint8Array;
  #current: Secret | undefined;
  #previous: Secret | undefined;

  constructor(options: CookieIssuerOptions) {
    this.#suite = options.suite;
    this.#entropy = options.entropy;
    this.#cookieKey = cookieKey(options.suite, options.publicKey);
  }

  /**
   * True when mac2 of `message` was made with a cookie that we gave to `source` (24 bytes, as in
   * CookieRequest). The secret before the current one counts too, so that a cookie is good for two
   * minutes at least, four at most.
   */
  checkMac2(message: Uint8Array, source: Uint8Array, now: MonoMs): boolean {
    this.#rotate(now);
    const good = this.#made(this.#current, message, source);
    return this.#made(this.#previous, message, source) || good;
  }

  /** Writes a cookie reply to `out[offset]` (64 bytes must fit). */
  writeReply(request: CookieRequest, now: MonoMs, out: Uint8Array, offset: number): void {
    const secret = this.#rotate(now);
    const nonce = new Uint8Array(xnonceSize);
    this.#entropy.fill(nonce);
    const cookie = this.#cookie(secret, request.source);
    const sealedCookie = this.#suite.xseal(this.#cookieKey, nonce, cookie, mac1Of(request.message));
    wipe(cookie);
    writeCookieReply({ receiver: request.sender, nonce, sealedCookie }, out, offset);
  }

  #made(secret: Secret | undefined, message: Uint8Array, source: Uint8Array): boolean {
    if (secret === undefined) return false;
    const cookie = this.#cookie(secret, source);
    const good = checkMac2(this.#suite, cookie, message);
    wipe(cookie);
    return good;
  }

  #cookie(secret: Secret, source: Uint8Array): Uint8Array {
    assert(source.length === endpointRemoteSize, 'a source is the remote part of an endpoint record');
    return this.#suite.mac(secret.bytes, source);
  }

  #rotate(now: MonoMs): Secret {
    if (this.#previous !== undefined && now - this.#previous.bornAt >= 2 * cookieSecretLifeMs) {
      wipe(this.#previous.bytes);
      this.#previous = undefined;
    }
    const current = this.#current;
    if (current !== undefined && now - current.bornAt < cookieSecretLifeMs) return current;
    if (this.#previous !== undefined) wipe(this.#previous.bytes);
    const still = current !== undefined && now - current.bornAt < 2 * cookieSecretLifeMs;
    this.#previous = still ? current : undefined;
    const fresh = { bytes: new Uint8Array(keySize), bornAt: now };
    this.#entropy.fill(fresh.bytes);
    this.#current = fresh;
    return fresh;
  }
}
