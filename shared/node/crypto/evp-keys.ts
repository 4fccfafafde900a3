/**
 * X25519 by Node's own OpenSSL through FFI. Private keys stay imported while a handshake uses them;
 * whoever is done with one says so (`forget`), and it is cleared.
 */

import { assert } from '../../core/base/assert.ts';
import { equalBytes, wipe } from '../../core/base/bytes.ts';
import { keySize } from '../../core/crypto/suite.ts';
import type { Pointer } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import type { OpenSsl } from '../ffi/openssl.ts';

/** What the functions here work with. */
export interface KeyContext {
  readonly openssl: OpenSsl;
  readonly memory: WorkerMemory;
  /** Offsets in the memory, free for use within a call: 32 bytes, 32 bytes, 8 bytes. */
  readonly places: { readonly key: number; readonly out: number; readonly outLength: number };
}

/** OpenSSL's number of the X25519 key type. */
const typeX25519 = 1034;
/** Private keys kept ready: the static one, the ephemeral ones of the handshake under way and of the next. */
const drawerSize = 3;

/** What OpenSSL made of a private key, and what was asked of it before. */
export interface PrivateKey {
  readonly raw: Uint8Array;
  readonly imported: Pointer;
  /** Of the exchange, prepared for this key; 0 until the first exchange. */
  derivation: Pointer;
  publicKey: Uint8Array | undefined;
}

/**
 * OpenSSL computes the public key whenever it takes in a private one, which costs as much as an
 * exchange. A handshake uses the same two private keys several times, so the last few stay imported.
 */
export class KeyDrawer {
  readonly #context: KeyContext;
  /** The one used last comes last. */
  readonly #keys: PrivateKey[] = [];

  constructor(context: KeyContext) {
    this.#context = context;
  }

  /** The key, imported; valid until the next call. */
  key(raw: Uint8Array): PrivateKey {
    const keys = this.#keys;
    const at = this.#indexOf(raw);
    if (at >= 0) {
      const found = keys[at]!;
      for (let i = at; i + 1 < keys.length; i++) keys[i] = keys[i + 1]!;
      keys[keys.length - 1] = found;
      return found;
    }
    const imported = importKey(this.#context, this.#context.openssl.newPrivateKey, raw);
    if (keys.length === drawerSize) this.#drop(0);
    const made: PrivateKey = { raw: raw.slice(), imported, derivation: 0, publicKey: undefined };
    keys.push(made);
    return made;
  }

  forget(raw: Uint8Array): void {
    const at = this.#indexOf(raw);
    if (at >= 0) this.#drop(at);
  }

  #indexOf(raw: Uint8Array): number {
    for (let i = this.#keys.length - 1; i >= 0; i--) {
      if (equalBytes(this.#keys[i]!.raw, raw)) return i;
    }
    return -1;
  }

  #drop(at: number): void {
    const { openssl } = this.#context;
    const [key] = this.#keys.splice(at, 1);
    if (key === undefined) return;
    wipe(key.raw);
    if (key.derivation !== 0) openssl.keyContextFree(key.derivation);
    // Freeing a key also clears it.
    openssl.freeKey(key.imported);
  }
}

export function publicKey(context: KeyContext, secret: PrivateKey): Uint8Array {
  const { openssl, memory, places } = context;
  if (secret.publicKey === undefined) {
    memory.putSize(places.outLength, keySize);
    const at = memory.base + places.out;
    const result = openssl.rawPublicKey(secret.imported, at, memory.base + places.outLength);
    if (result !== 1) throw new Error('OpenSSL gave no public key');
    secret.publicKey = memory.bytes.slice(places.out, places.out + keySize);
  }
  return secret.publicKey.slice();
}

export function sharedSecret(
  context: KeyContext,
  secret: PrivateKey,
  peer: Uint8Array,
): Uint8Array | undefined {
  const { openssl, memory, places } = context;
  const derivation = derivationOf(context, secret);
  const other = importKey(context, openssl.newPublicKey, peer);
  memory.putSize(places.outLength, keySize);
  const ready = openssl.deriveSetPeer(derivation, other) === 1;
  // OpenSSL refuses a shared secret of zeros itself, as RFC 7748 §6.1 allows.
  const derived =
    ready && openssl.derive(derivation, memory.base + places.out, memory.base + places.outLength) === 1;
  openssl.freeKey(other);
  if (!ready) throw new Error('OpenSSL failed to prepare X25519');
  if (!derived) openssl.clearErrors();
  const shared = derived ? memory.bytes.slice(places.out, places.out + keySize) : undefined;
  memory.bytes.fill(0, places.out, places.out + keySize);
  return shared;
}

/** Made once for a key: looking up the algorithm takes longer than one would think. */
function derivationOf(context: KeyContext, secret: PrivateKey): Pointer {
  const { openssl } = context;
  if (secret.derivation !== 0) return secret.derivation;
  const made = openssl.keyContextNew(secret.imported, 0);
  if (made === 0 || openssl.deriveInit(made) !== 1) {
    openssl.keyContextFree(made);
    throw new Error('OpenSSL failed to prepare X25519');
  }
  secret.derivation = made;
  return made;
}

function importKey(context: KeyContext, importer: OpenSsl['newPrivateKey'], raw: Uint8Array): Pointer {
  assert(raw.length === keySize, 'an X25519 key has 32 bytes');
  const { memory, places } = context;
  memory.bytes.set(raw, places.key);
  const key = importer(typeX25519, 0, memory.base + places.key, keySize);
  memory.bytes.fill(0, places.key, places.key + keySize);
  if (key === 0) throw new Error('OpenSSL refused an X25519 key');
  return key;
}
