/**
 * The ephemeral key of the coming handshake, drawn at a quiet moment: its public key and its agreement
 * with the peer that is expected take half as long as a handshake in all. Given out once.
 *
 * Forward secrecy stays as it is: the key protects the session that is made of it, and waits in the
 * same memory as the keys of the session before.
 */

import { wipe } from '../base/bytes.ts';
import type { Entropy } from '../base/ports.ts';
import type { CryptoSuite } from '../crypto/suite.ts';
import { drawEphemeral, drawKeyPair, type EphemeralKey, type KeyPair } from '../noise/ephemeral.ts';

export class EphemeralStock {
  readonly #suite: CryptoSuite;
  readonly #entropy: Entropy;
  #pair: KeyPair | undefined;
  /** Whom the next handshake is expected with, by the very array of the static key. */
  #expected: Uint8Array | undefined;
  #shared: Uint8Array | undefined;

  constructor(suite: CryptoSuite, entropy: Entropy) {
    this.#suite = suite;
    this.#entropy = entropy;
  }

  /** Draws a key, unless there is one; `expected`, which is kept, is the peer that it is likely to be for. */
  prepare(expected: Uint8Array | undefined): void {
    this.#pair ??= drawKeyPair(this.#suite, this.#entropy);
    if (expected === this.#expected) return;
    this.#forgetShared();
    this.#expected = expected;
    if (expected !== undefined) this.#shared = this.#suite.dh(this.#pair.secretKey, expected);
  }

  /** The key that was drawn ahead, for a handshake with this peer, or a fresh one. */
  take(remoteStatic: Uint8Array): EphemeralKey {
    const pair = this.#pair;
    if (pair === undefined) return drawEphemeral(this.#suite, this.#entropy, remoteStatic);
    const isExpected = this.#expected === remoteStatic;
    const shared = isExpected ? this.#shared : this.#suite.dh(pair.secretKey, remoteStatic);
    if (!isExpected) this.#forgetShared();
    this.#pair = undefined;
    this.#expected = undefined;
    this.#shared = undefined;
    return { ...pair, shared };
  }

  wipe(): void {
    this.#forgetShared();
    if (this.#pair === undefined) return;
    this.#suite.forget?.(this.#pair.secretKey);
    wipe(this.#pair.secretKey);
    this.#pair = undefined;
  }

  #forgetShared(): void {
    if (this.#shared !== undefined) wipe(this.#shared);
    this.#shared = undefined;
    this.#expected = undefined;
  }
}
