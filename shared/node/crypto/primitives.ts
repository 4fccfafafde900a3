/**
 * CryptoSuite on OpenSSL's ChaCha20 and Poly1305 themselves (RFC 8439 §2.8, no additional data) for
 * packets of worker memory, and on its X25519 (RFC 7748); all else is the suite given. One call makes the block that the
 * authenticator's key comes from together with the packet, so that a packet of 1424 bytes costs a
 * third less than by EVP, which makes that block by itself and allows no other way.
 */

import { assert } from '../../core/base/assert.ts';
import { type CryptoSuite, keySize, type TransportKey, tagSize } from '../../core/crypto/suite.ts';
import type { Pointer } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import { type OpenSslPrimitives, polyStateBytes } from '../ffi/openssl-primitives.ts';

export interface PrimitivesSuiteOptions {
  readonly primitives: OpenSslPrimitives;
  /** Packets of this memory that begin at a multiple of 4 are worked on here. Takes about 70 KiB. */
  readonly memory: WorkerMemory;
  /** For all other packets, and for everything that is not a packet. */
  readonly rest: CryptoSuite;
}

/** Of the key stream; the first 32 bytes of block 0 are the authenticator's key. */
const blockSize = 64;
const blockWords = blockSize >>> 2;
const keyWords = keySize >>> 2;
/** Largest packet that is worked on here. */
const largest = 65_536;
const twoTo32 = 4_294_967_296;

interface Context {
  readonly primitives: OpenSslPrimitives;
  readonly memory: WorkerMemory;
  /** Offsets. Used within one call, but for the key: it stays until another one comes. */
  readonly key: number;
  readonly counter: number;
  readonly polyKey: number;
  readonly state: number;
  readonly tag: number;
  /** Behind 16 zeros, which fill up an incomplete last block. */
  readonly lengths: number;
  readonly plain: number;
  /** What stands before a packet while block 0 is made there. */
  readonly before: Uint32Array;
  readonly secret: number;
  readonly peerKey: number;
  readonly out: number;
  /** Whose key lies at `key`. */
  loaded: TransportKey | undefined;
}

export function primitivesSuite({ primitives, memory, rest }: PrimitivesSuiteOptions): CryptoSuite {
  const context: Context = {
    primitives,
    memory,
    key: memory.alloc(keySize, 64),
    counter: memory.alloc(16, 16),
    polyKey: memory.alloc(keySize, 32),
    state: memory.alloc(polyStateBytes, 64),
    tag: memory.alloc(tagSize, 16),
    lengths: memory.alloc(2 * tagSize, 16) + tagSize,
    plain: memory.alloc(blockSize + largest, 64),
    before: new Uint32Array(blockWords),
    secret: memory.alloc(keySize),
    peerKey: memory.alloc(keySize),
    out: memory.alloc(keySize),
    loaded: undefined,
  };
  const { forget: _, ...others } = rest;
  return {
    ...others,
    name: 'openssl-primitives',
    publicKey: (secretKey) => publicKey(context, secretKey),
    dh: (secretKey, peer) => sharedSecret(context, secretKey, peer),
    transportKey: (key) => new PrimitivesTransportKey(context, key, rest.transportKey(key)),
  };
}

function publicKey(context: Context, secretKey: Uint8Array): Uint8Array {
  const { primitives, memory, secret, out } = context;
  putKey(memory, secret, secretKey);
  primitives.x25519PublicKey(memory.base + out, memory.base + secret);
  memory.bytes.fill(0, secret, secret + keySize);
  return memory.bytes.slice(out, out + keySize);
}

function sharedSecret(context: Context, secretKey: Uint8Array, peer: Uint8Array): Uint8Array | undefined {
  const { primitives, memory, secret, peerKey, out } = context;
  putKey(memory, secret, secretKey);
  putKey(memory, peerKey, peer);
  const { base } = memory;
  const derived = primitives.x25519(base + out, base + secret, base + peerKey) === 1;
  const shared = derived ? memory.bytes.slice(out, out + keySize) : undefined;
  memory.bytes.fill(0, secret, secret + keySize);
  memory.bytes.fill(0, out, out + keySize);
  return shared;
}

function putKey(memory: WorkerMemory, at: number, key: Uint8Array): void {
  assert(key.length === keySize, 'an X25519 key has 32 bytes');
  memory.bytes.set(key, at);
}

class PrimitivesTransportKey implements TransportKey {
  readonly #context: Context;
  readonly #primitives: OpenSslPrimitives;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #base: Pointer;
  readonly #rest: TransportKey;
  /** With a buffer of its own, which no garbage collection moves and leaves a copy of. */
  readonly #key = new Uint32Array(new ArrayBuffer(keySize));
  #wiped = false;

  constructor(context: Context, key: Uint8Array, rest: TransportKey) {
    assert(key.length === keySize, 'a transport key has 32 bytes');
    this.#context = context;
    this.#primitives = context.primitives;
    this.#bytes = context.memory.bytes;
    this.#words = context.memory.words;
    this.#base = context.memory.base;
    this.#rest = rest;
    new Uint8Array(this.#key.buffer).set(key);
  }

  seal(bytes: Uint8Array, offset: number, length: number, counter: number): void {
    const at = this.#placeOf(bytes, offset, length);
    if (at < 0) {
      this.#rest.seal(bytes, offset, length, counter);
      return;
    }
    this.#load(counter);
    const words = this.#words;
    const context = this.#context;
    const { before } = context;
    const block = this.#base + at - blockSize;
    // Block 0 goes where the header and the end of the packet before are, which come back at once.
    const first = (at - blockSize) >>> 2;
    for (let i = 0; i < blockWords; i++) before[i] = words[first + i]!;
    const key = this.#base + context.key;
    this.#primitives.chacha(block, block, blockSize + length, key, this.#base + context.counter);
    const polyKey = context.polyKey >>> 2;
    for (let i = 0; i < keyWords; i++) words[polyKey + i] = words[first + i]! ^ before[i]!;
    for (let i = 0; i < blockWords; i++) words[first + i] = before[i]!;
    this.#authenticate(at, length, at + length);
  }

  open(bytes: Uint8Array, offset: number, length: number, counter: number): boolean {
    const at = this.#placeOf(bytes, offset, length);
    if (at < 0) return this.#rest.open(bytes, offset, length, counter);
    this.#load(counter);
    const words = this.#words;
    const context = this.#context;
    const { plain } = context;
    const key = this.#base + context.key;
    const from = this.#base + at - blockSize;
    // Elsewhere: what the authenticator reads is the ciphertext, and nothing is let out before it agrees.
    const to = this.#base + plain;
    this.#primitives.chacha(to, from, blockSize + length, key, this.#base + context.counter);
    const first = (at - blockSize) >>> 2;
    const polyKey = context.polyKey >>> 2;
    for (let i = 0; i < keyWords; i++) words[polyKey + i] = words[(plain >>> 2) + i]! ^ words[first + i]!;
    const sent = (at + length) >>> 2;
    const tag0 = words[sent]! | 0;
    const tag1 = words[sent + 1]! | 0;
    const tag2 = words[sent + 2]! | 0;
    const tag3 = words[sent + 3]! | 0;
    this.#authenticate(at, length, context.tag);
    words[sent] = tag0;
    words[sent + 1] = tag1;
    words[sent + 2] = tag2;
    words[sent + 3] = tag3;
    const made = context.tag >>> 2;
    const apart =
      (words[made]! ^ tag0) |
      (words[made + 1]! ^ tag1) |
      (words[made + 2]! ^ tag2) |
      (words[made + 3]! ^ tag3);
    if (apart !== 0) return false;
    this.#bytes.copyWithin(at, plain + blockSize, plain + blockSize + length);
    return true;
  }

  wipe(): void {
    this.#wiped = true;
    this.#key.fill(0);
    this.#rest.wipe();
    const { loaded, key, polyKey } = this.#context;
    if (loaded !== this) return;
    this.#bytes.fill(0, key, key + keySize);
    this.#bytes.fill(0, polyKey, polyKey + keySize);
    this.#context.loaded = undefined;
  }

  /**
   * The one place where offsets are checked before they become pointers. The packet's offset in the
   * worker memory, or -1 where it is not for us: elsewhere, not at a whole word, or without the room
   * before it that block 0 takes.
   */
  #placeOf(bytes: Uint8Array, offset: number, length: number): number {
    assert(!this.#wiped, 'the key is not wiped');
    assert(
      offset >= 0 && length >= 0 && offset + length + tagSize <= bytes.length,
      'the packet lies inside the memory',
    );
    const ours = bytes === this.#bytes;
    if (!ours && bytes.buffer !== this.#bytes.buffer) return -1;
    const at = ours ? offset : bytes.byteOffset + offset;
    return ((at | length) & 3) === 0 && at >= blockSize && length <= largest ? at : -1;
  }

  /** Brings the key, unless it is there, and the counter: block 0, four zero bytes, 64 bits little-endian. */
  #load(counter: number): void {
    const context = this.#context;
    const words = this.#words;
    if (context.loaded !== this) {
      const first = context.key >>> 2;
      for (let i = 0; i < keyWords; i++) words[first + i] = this.#key[i]!;
      context.loaded = this;
    }
    const at = context.counter >>> 2;
    words[at] = 0;
    words[at + 1] = 0;
    words[at + 2] = counter >>> 0;
    words[at + 3] = Math.floor(counter / twoTo32);
  }

  /** The tag of the ciphertext goes to `out`. Where the packet's own tag goes or was is written over. */
  #authenticate(at: number, length: number, out: number): void {
    const { polyInit, polyUpdate, polyFinal } = this.#primitives;
    const base = this.#base;
    const { state, polyKey, lengths } = this.#context;
    const whole = length % tagSize === 0;
    const place = whole ? at + length : lengths;
    const words = this.#words;
    words[place >>> 2] = 0;
    words[(place >>> 2) + 1] = 0;
    words[(place >>> 2) + 2] = length;
    words[(place >>> 2) + 3] = 0;
    polyInit(base + state, base + polyKey);
    if (whole) {
      polyUpdate(base + state, base + at, length + tagSize);
    } else {
      const missing = tagSize - (length % tagSize);
      polyUpdate(base + state, base + at, length);
      polyUpdate(base + state, base + lengths - missing, missing + tagSize);
    }
    polyFinal(base + state, base + out);
  }
}
