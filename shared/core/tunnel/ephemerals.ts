/**
 * One ephemeral key of a coming handshake, drawn at a quiet moment: making its public key takes as
 * long as half of what a peer waits for in all. It is given out once, and then forgotten here. Only
 * where the suite keeps what it has computed for a key; elsewhere it is drawn when it is needed.
 *
 * Forward secrecy stays as it is: the key protects the session that is made of it, and waits in the
 * same memory as the keys of the session before.
 */

import { wipe } from '../base/bytes.ts';
import type { Entropy } from '../base/ports.ts';
import { type CryptoSuite, keySize } from '../crypto/suite.ts';

/** To be given to a handshake as its source of ephemeral keys. */
export class EphemeralStock implements Entropy {
  readonly #suite: CryptoSuite;
  readonly #entropy: Entropy;
  readonly #secret: Uint8Array = new Uint8Array(keySize);
  #full = false;

  constructor(suite: CryptoSuite, entropy: Entropy) {
    this.#suite = suite;
    this.#entropy = entropy;
  }

  /** Draws a key ahead, unless there is one. */
  prepare(): void {
    if (this.#full || this.#suite.forget === undefined) return;
    this.#entropy.fill(this.#secret);
    this.#suite.publicKey(this.#secret);
    this.#full = true;
  }

  /** The key that was drawn ahead, or fresh bytes. */
  fill(bytes: Uint8Array): void {
    if (!this.#full || bytes.length !== keySize) {
      this.#entropy.fill(bytes);
      return;
    }
    bytes.set(this.#secret);
    wipe(this.#secret);
    this.#full = false;
  }

  wipe(): void {
    if (!this.#full) return;
    this.#suite.forget?.(this.#secret);
    wipe(this.#secret);
    this.#full = false;
  }
}
