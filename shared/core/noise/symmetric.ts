/**
 * What both sides of a handshake keep in step (§5.4.2): the chaining key C and the hash H, under
 * the operations of the Noise framework. Knows no message.
 */

import { assert } from '../base/assert.ts';
import { wipe } from '../base/bytes.ts';
import { kdf1, kdf2, kdf3 } from '../crypto/hkdf.ts';
import type { CryptoSuite } from '../crypto/suite.ts';
import { construction, identifier } from './labels.ts';

const nothing = new Uint8Array(0);

/** A static key pair of ours. Borrowed: never wiped here. */
export interface StaticKeys {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** What a finished handshake leaves behind. The receiver owns both keys and wipes them. */
export interface SessionKeys {
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** Data to us carries this index. */
  readonly localIndex: number;
  /** Data to the peer carries this one. */
  readonly remoteIndex: number;
  readonly role: 'initiator' | 'responder';
}

export class SymmetricState {
  readonly #suite: CryptoSuite;
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  /** Key of the next sealed field; used once, so that its counter is always 0. */
  #key: Uint8Array | undefined;

  private constructor(suite: CryptoSuite, chainingKey: Uint8Array, hash: Uint8Array) {
    this.#suite = suite;
    this.#chainingKey = chainingKey;
    this.#hash = hash;
  }

  /** The state before the first message to a responder. */
  static begin(suite: CryptoSuite, responderStatic: Uint8Array): SymmetricState {
    const chainingKey = suite.hash(construction);
    const state = new SymmetricState(suite, chainingKey, suite.hash(chainingKey, identifier));
    state.mixHash(responderStatic);
    return state;
  }

  /** A copy to try a message on: a forged one must not spoil the handshake. */
  copy(): SymmetricState {
    return new SymmetricState(this.#suite, this.#chainingKey.slice(), this.#hash.slice());
  }

  mixHash(bytes: Uint8Array): void {
    this.#hash = this.#suite.hash(this.#hash, bytes);
  }

  /** C := KDF1(C, input). */
  mixChain(input: Uint8Array): void {
    this.#setChainingKey(kdf1(this.#suite, this.#chainingKey, input));
  }

  /** (C, key) := KDF2(C, input). */
  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = kdf2(this.#suite, this.#chainingKey, input);
    this.#setChainingKey(chainingKey);
    this.#setKey(key);
  }

  /** (C, t, key) := KDF3(C, preshared key); H := HASH(H || t). */
  mixPresharedKey(presharedKey: Uint8Array): void {
    const [chainingKey, extra, key] = kdf3(this.#suite, this.#chainingKey, presharedKey);
    this.#setChainingKey(chainingKey);
    this.mixHash(extra);
    wipe(extra);
    this.#setKey(key);
  }

  /** Seals a field under the key mixed last, bound to all that was said before. */
  seal(plaintext: Uint8Array): Uint8Array {
    const key = this.#takeKey();
    const sealed = this.#suite.seal(key, 0, plaintext, this.#hash);
    wipe(key);
    this.mixHash(sealed);
    return sealed;
  }

  /** Opens a field. Undefined where it is forged; then this state is of no more use. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    const key = this.#takeKey();
    const plaintext = this.#suite.open(key, 0, sealed, this.#hash);
    wipe(key);
    this.mixHash(sealed);
    return plaintext;
  }

  /** The keys of both directions (§5.4.5): the initiator's sending key first. */
  split(): readonly [Uint8Array, Uint8Array] {
    return kdf2(this.#suite, this.#chainingKey, nothing);
  }

  /** Forgets everything. */
  wipe(): void {
    wipe(this.#chainingKey);
    wipe(this.#hash);
    if (this.#key !== undefined) wipe(this.#key);
    this.#key = undefined;
  }

  #takeKey(): Uint8Array {
    const key = this.#key;
    assert(key !== undefined, 'a key seals one field');
    this.#key = undefined;
    return key;
  }

  #setKey(key: Uint8Array): void {
    if (this.#key !== undefined) wipe(this.#key);
    this.#key = key;
  }

  #setChainingKey(chainingKey: Uint8Array): void {
    wipe(this.#chainingKey);
    this.#chainingKey = chainingKey;
  }
}
