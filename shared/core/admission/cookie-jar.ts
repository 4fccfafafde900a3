/**
 * The sender's side of macs and cookies (§5.4.4, §5.4.7), one jar per peer: signs our handshake
 * messages, takes in a cookie that answers one of them, and forgets it after two minutes.
 */

import { wipe } from '../base/bytes.ts';
import { type MonoMs, secondMs } from '../base/time.ts';
import { type CryptoSuite, macSize } from '../crypto/suite.ts';
import { readCookieReply } from '../wire/cookie-reply.ts';
import { cookieKey, mac1Of, macKey, writeMac1, writeMac2 } from './macs.ts';

/** A cookie older than this is not used (§5.4.4). */
export const cookieLifeMs: number = 120 * secondMs;

export class CookieJar {
  readonly #suite: CryptoSuite;
  readonly #mac1Key: Uint8Array;
  readonly #cookieKey: Uint8Array;
  readonly #lastMac1: Uint8Array = new Uint8Array(macSize);
  /** True between a message of ours and the first cookie that answers it. */
  #awaitsCookie = false;
  #cookie: Uint8Array | undefined;
  #receivedAt: MonoMs | undefined;

  /** `remoteStatic`: public key of the peer that our messages go to. */
  constructor(suite: CryptoSuite, remoteStatic: Uint8Array) {
    this.#suite = suite;
    this.#mac1Key = macKey(suite, remoteStatic);
    this.#cookieKey = cookieKey(suite, remoteStatic);
  }

  /** Writes both macs of a handshake message of ours. `message` is a view of exactly its bytes. */
  sign(message: Uint8Array, now: MonoMs): void {
    writeMac1(this.#suite, this.#mac1Key, message);
    this.#lastMac1.set(mac1Of(message));
    this.#awaitsCookie = true;
    writeMac2(this.#suite, this.#freshCookie(now), message);
  }

  /**
   * Takes the cookie out of the reply at `bytes[offset]`. Refused where no message of ours waits
   * for one, and where it does not answer the last one: then an earlier cookie stays.
   */
  receive(bytes: Uint8Array, offset: number, now: MonoMs): 'ok' | 'bad-cookie' {
    if (!this.#awaitsCookie) return 'bad-cookie';
    const reply = readCookieReply(bytes, offset);
    const cookie = this.#suite.xopen(this.#cookieKey, reply.nonce, reply.sealedCookie, this.#lastMac1);
    if (cookie === undefined) return 'bad-cookie';
    this.forget();
    this.#cookie = cookie;
    this.#receivedAt = now;
    return 'ok';
  }

  /** Forgets the cookie: it is bound to our address, and to the peer's key. */
  forget(): void {
    if (this.#cookie !== undefined) wipe(this.#cookie);
    this.#cookie = undefined;
    this.#receivedAt = undefined;
    this.#awaitsCookie = false;
  }

  #freshCookie(now: MonoMs): Uint8Array | undefined {
    if (this.#receivedAt === undefined || now - this.#receivedAt < cookieLifeMs) return this.#cookie;
    if (this.#cookie !== undefined) wipe(this.#cookie);
    this.#cookie = undefined;
    this.#receivedAt = undefined;
    return undefined;
  }
}
