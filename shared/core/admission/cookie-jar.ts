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
  readonly #remoteStatic: Uint8Array;
  /** Made with the first message: of ten thousand peers most never get one. */
  #keys: Keys | undefined;
  /** True between a message of ours and the first cookie that answers it. */
  #awaitsCookie = false;
  #cookie: Uint8Array | undefined;
  #receivedAt: MonoMs | undefined;

  /** `remoteStatic`: public key of the peer that our messages go to. Kept, not copied. */
  constructor(suite: CryptoSuite, remoteStatic: Uint8Array) {
    this.#suite = suite;
    this.#remoteStatic = remoteStatic;
  }

  /** Writes both macs of a handshake message of ours. `message` is a view of exactly its bytes. */
  sign(message: Uint8Array, now: MonoMs): void {
    this.#keys ??= keysFor(this.#suite, this.#remoteStatic);
    writeMac1(this.#suite, this.#keys.mac1Key, message);
    this.#keys.lastMac1.set(mac1Of(message));
    this.#awaitsCookie = true;
    writeMac2(this.#suite, this.#freshCookie(now), message);
  }

  /**
   * Takes the cookie out of the reply at `bytes[offset]`. Refused where no message of ours waits
   * for one, and where it does not answer the last one: then an earlier cookie stays.
   */
  receive(bytes: Uint8Array, offset: number, now: MonoMs): 'ok' | 'bad-cookie' {
    if (!this.#awaitsCookie || this.#keys === undefined) return 'bad-cookie';
    const reply = readCookieReply(bytes, offset);
    const cookie = this.#suite.xopen(
      this.#keys.cookieKey,
      reply.nonce,
      reply.sealedCookie,
      this.#keys.lastMac1,
    );
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

interface Keys {
  readonly mac1Key: Uint8Array;
  readonly cookieKey: Uint8Array;
  /** Of the last message of ours. */
  readonly lastMac1: Uint8Array;
}

function keysFor(suite: CryptoSuite, remoteStatic: Uint8Array): Keys {
  return {
    mac1Key: macKey(suite, remoteStatic),
    cookieKey: cookieKey(suite, remoteStatic),
    lastMac1: new Uint8Array(macSize),
  };
}
