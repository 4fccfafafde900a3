/**
 * The CryptoSuite on @stablelib: plain TypeScript's reach, runs anywhere, the reference for every
 * faster suite. Must not know any protocol.
 */

import { BLAKE2s } from '@stablelib/blake2s';
import { ChaCha20Poly1305 } from '@stablelib/chacha20poly1305';
import { scalarMult, scalarMultBase } from '@stablelib/x25519';
import { XChaCha20Poly1305 } from '@stablelib/xchacha20poly1305';
import { assert } from '../base/assert.ts';
import { isZero, writeU64LE } from '../base/bytes.ts';
import { type CryptoSuite, hashSize, keySize, macSize, type TransportKey, tagSize } from './suite.ts';

const nonceSize = 12;
/** The 64-bit counter stands behind four zero bytes. */
const counterOffset = 4;

export const portableSuite: CryptoSuite = {
  name: 'portable',

  publicKey(secretKey) {
    assert(secretKey.length === keySize, 'a secret key has 32 bytes');
    return scalarMultBase(secretKey);
  },

  dh(secretKey, publicKey) {
    assert(secretKey.length === keySize && publicKey.length === keySize, 'keys have 32 bytes');
    const shared = scalarMult(secretKey, publicKey);
    return isZero(shared) ? undefined : shared;
  },

  hash(first, second) {
    const state = new BLAKE2s(hashSize).update(first);
    if (second !== undefined) state.update(second);
    return finish(state);
  },

  mac(key, message) {
    return finish(new BLAKE2s(macSize, { key }).update(message));
  },

  seal(key, counter, plaintext, additional) {
    const cipher = new ChaCha20Poly1305(key);
    const sealed = cipher.seal(nonceOf(counter), plaintext, additional);
    cipher.clean();
    return sealed;
  },

  open(key, counter, sealed, additional) {
    const cipher = new ChaCha20Poly1305(key);
    const plaintext = cipher.open(nonceOf(counter), sealed, additional);
    cipher.clean();
    return plaintext ?? undefined;
  },

  xseal(key, nonce, plaintext, additional) {
    const cipher = new XChaCha20Poly1305(key);
    const sealed = cipher.seal(nonce, plaintext, additional);
    cipher.clean();
    return sealed;
  },

  xopen(key, nonce, sealed, additional) {
    const cipher = new XChaCha20Poly1305(key);
    const plaintext = cipher.open(nonce, sealed, additional);
    cipher.clean();
    return plaintext ?? undefined;
  },

  transportKey(key) {
    return new PortableTransportKey(key);
  },
};

/**
 * Source and destination are the same bytes at the same place: the stream is XORed byte by byte,
 * and a tag is checked before anything is written.
 */
class PortableTransportKey implements TransportKey {
  readonly #cipher: ChaCha20Poly1305;
  readonly #nonce = new Uint8Array(nonceSize);
  #wiped = false;

  constructor(key: Uint8Array) {
    this.#cipher = new ChaCha20Poly1305(key);
  }

  seal(bytes: Uint8Array, offset: number, length: number, counter: number): void {
    assert(!this.#wiped, 'the key is not wiped');
    writeU64LE(this.#nonce, counterOffset, counter);
    const sealed = bytes.subarray(offset, offset + length + tagSize);
    this.#cipher.seal(this.#nonce, bytes.subarray(offset, offset + length), undefined, sealed);
  }

  open(bytes: Uint8Array, offset: number, length: number, counter: number): boolean {
    assert(!this.#wiped, 'the key is not wiped');
    writeU64LE(this.#nonce, counterOffset, counter);
    const sealed = bytes.subarray(offset, offset + length + tagSize);
    const plaintext = bytes.subarray(offset, offset + length);
    return this.#cipher.open(this.#nonce, sealed, undefined, plaintext) !== null;
  }

  wipe(): void {
    this.#wiped = true;
    this.#cipher.clean();
  }
}

function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(nonceSize);
  writeU64LE(nonce, counterOffset, counter);
  return nonce;
}

function finish(state: BLAKE2s): Uint8Array {
  const digest = state.digest();
  state.clean();
  return digest;
}
