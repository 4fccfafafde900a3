/**
 * CryptoSuite on Node's own OpenSSL through FFI: packets in place in worker memory, X25519 with raw
 * keys, BLAKE2s. What only handshakes and cookies need now and then is left to the portable suite.
 * Every result is checked; a failure that is not the input's fault throws.
 */

import { assert } from '../../core/base/assert.ts';
import {
  type CryptoSuite,
  hashSize,
  keySize,
  macSize,
  type TransportKey,
  tagSize,
} from '../../core/crypto/suite.ts';
import type { Pointer } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import type { OpenSsl } from '../ffi/openssl.ts';
import { KeyDrawer, publicKey, sharedSecret } from './evp-keys.ts';

export interface EvpSuiteOptions {
  readonly openssl: OpenSsl;
  /** Packets of this memory are sealed and opened in place, others by way of a copy. Takes about 80 KiB. */
  readonly memory: WorkerMemory;
  /** For the operations that are rare. */
  readonly portable: CryptoSuite;
}

const controlGetTag = 0x10;
/** OSSL_PARAM_UNSIGNED_INTEGER and OSSL_PARAM_OCTET_STRING */
const unsignedParameter = 2;
const octetsParameter = 5;
/** struct ossl_param_st */
const parameter = { size: 40, name: 0, type: 8, value: 16, valueSize: 24, modified: 32 } as const;
/** Largest packet or message that may take the way by a copy. */
const staging = 66_560;
const twoTo32 = 4_294_967_296;

/** Places in the worker memory, as offsets. Used within one call, never across. */
interface Places {
  readonly key: number;
  readonly peer: number;
  readonly out: number;
  readonly outLength: number;
  readonly iv: number;
  readonly staging: number;
  /** A list of one parameter, the tag of the packet that is opened; where it lies is written each time. */
  readonly tag: number;
}

interface Context {
  readonly openssl: OpenSsl;
  readonly memory: WorkerMemory;
  readonly places: Places;
  readonly cipher: Pointer;
}

/** Throws where this OpenSSL lacks an algorithm. */
export function evpSuite(options: EvpSuiteOptions): CryptoSuite {
  const { openssl, memory, portable } = options;
  const places: Places = {
    key: memory.alloc(keySize),
    peer: memory.alloc(keySize),
    out: memory.alloc(64),
    outLength: memory.alloc(8),
    iv: memory.alloc(16),
    staging: memory.alloc(staging),
    tag: putParameter(memory, 'tag', octetsParameter, tagSize),
  };
  const cipher = openssl.cipherFetch(0, 'ChaCha20-Poly1305', null);
  if (cipher === 0) throw new Error('this OpenSSL has no ChaCha20-Poly1305');
  const context: Context = { openssl, memory, places, cipher };
  const drawer = new KeyDrawer(context);
  return {
    name: 'openssl-ffi',
    publicKey: (secretKey) => publicKey(context, drawer.key(secretKey)),
    dh: (secretKey, peer) => sharedSecret(context, drawer.key(secretKey), peer),
    forget: (secretKey) => drawer.forget(secretKey),
    hash: makeHash(context, portable),
    mac: makeMac(context, portable),
    seal: (key, counter, plaintext, additional) => portable.seal(key, counter, plaintext, additional),
    open: (key, counter, sealed, additional) => portable.open(key, counter, sealed, additional),
    xseal: (key, nonce, plaintext, additional) => portable.xseal(key, nonce, plaintext, additional),
    xopen: (key, nonce, sealed, additional) => portable.xopen(key, nonce, sealed, additional),
    transportKey: (key) => new EvpTransportKey(context, key),
  };
}

class EvpTransportKey implements TransportKey {
  readonly #context: Context;
  readonly #openssl: OpenSsl;
  readonly #memory: WorkerMemory;
  readonly #bytes: Uint8Array;
  readonly #base: Pointer;
  readonly #iv: Pointer;
  readonly #ivWords: number;
  readonly #tag: Pointer;
  readonly #tagWords: number;
  readonly #outLength: Pointer;
  readonly #staging: number;
  /** With a buffer of its own, which no garbage collection moves and leaves a copy of. */
  readonly #key = new Uint8Array(new ArrayBuffer(keySize));
  #wiped = false;
  // Made when first needed: a key is used in one direction only, and about 1 KiB each.
  #sealing: Pointer = 0;
  #opening: Pointer = 0;

  constructor(context: Context, key: Uint8Array) {
    assert(key.length === keySize, 'a transport key has 32 bytes');
    const { openssl, memory, places } = context;
    this.#context = context;
    this.#openssl = openssl;
    this.#memory = memory;
    this.#bytes = memory.bytes;
    this.#base = memory.base;
    this.#iv = memory.base + places.iv;
    this.#ivWords = places.iv >>> 2;
    this.#tag = memory.base + places.tag;
    this.#tagWords = (places.tag + parameter.value) >>> 2;
    this.#outLength = memory.base + places.outLength;
    this.#staging = places.staging;
    this.#key.set(key);
  }

  seal(bytes: Uint8Array, offset: number, length: number, counter: number): void {
    assert(!this.#wiped, 'the key is not wiped');
    if (this.#sealing === 0) this.#sealing = this.#makeContext(this.#openssl.encryptInit);
    assert(
      offset >= 0 && length >= 0 && offset + length + tagSize <= bytes.length,
      'the packet lies inside the memory',
    );
    const at = this.#inPlace(bytes, offset);
    if (at !== 0) {
      this.#sealAt(at, length, counter);
      return;
    }
    this.#stage(bytes, offset, length);
    this.#sealAt(this.#base + this.#staging, length, counter);
    this.#unstage(bytes, offset, length + tagSize);
  }

  open(bytes: Uint8Array, offset: number, length: number, counter: number): boolean {
    assert(!this.#wiped, 'the key is not wiped');
    if (this.#opening === 0) this.#opening = this.#makeContext(this.#openssl.decryptInit);
    assert(
      offset >= 0 && length >= 0 && offset + length + tagSize <= bytes.length,
      'the packet lies inside the memory',
    );
    const at = this.#inPlace(bytes, offset);
    if (at !== 0) return this.#openAt(at, length, counter);
    this.#stage(bytes, offset, length + tagSize);
    const opened = this.#openAt(this.#base + this.#staging, length, counter);
    if (opened) this.#unstage(bytes, offset, length);
    return opened;
  }

  wipe(): void {
    this.#wiped = true;
    this.#key.fill(0);
    // Freeing a context also clears the key in it.
    if (this.#sealing !== 0) this.#openssl.cipherContextFree(this.#sealing);
    if (this.#opening !== 0) this.#openssl.cipherContextFree(this.#opening);
    this.#sealing = 0;
    this.#opening = 0;
  }

  #makeContext(init: OpenSsl['encryptInit']): Pointer {
    const { memory, places, cipher } = this.#context;
    const made = this.#openssl.cipherContextNew();
    memory.bytes.set(this.#key, places.key);
    const ready = made !== 0 && init(made, cipher, memory.base + places.key, 0, 0) === 1;
    memory.bytes.fill(0, places.key, places.key + keySize);
    if (ready) return made;
    if (made !== 0) this.#openssl.cipherContextFree(made);
    throw new Error('OpenSSL refused a transport key');
  }

  /** The address of a byte that lies in the worker memory, else 0. */
  #inPlace(bytes: Uint8Array, offset: number): Pointer {
    if (bytes === this.#bytes) return this.#base + offset;
    return bytes.buffer === this.#bytes.buffer ? this.#base + bytes.byteOffset + offset : 0;
  }

  #sealAt(at: Pointer, length: number, counter: number): void {
    const openssl = this.#openssl;
    const context = this.#sealing;
    this.#putIv(counter);
    const done =
      openssl.encryptInit(context, 0, 0, this.#iv, 0) === 1 &&
      (length === 0 || openssl.encryptUpdate(context, at, this.#outLength, at, length) === 1) &&
      openssl.encryptFinal(context, at + length, this.#outLength) === 1 &&
      openssl.cipherControl(context, controlGetTag, tagSize, at + length) === 1;
    if (!done) throw new Error('OpenSSL failed to seal a packet');
  }

  #openAt(at: Pointer, length: number, counter: number): boolean {
    const openssl = this.#openssl;
    const context = this.#opening;
    this.#putIv(counter);
    this.#putTag(at + length);
    // The tag goes with the counter: each call costs about 50 ns, whatever it does.
    const ready =
      openssl.decryptInit(context, 0, 0, this.#iv, this.#tag) === 1 &&
      (length === 0 || openssl.decryptUpdate(context, at, this.#outLength, at, length) === 1);
    if (!ready) throw new Error('OpenSSL failed to open a packet');
    return openssl.decryptFinal(context, at + length, this.#outLength) === 1;
  }

  /** Four zero bytes, then the counter, 64 bits little-endian. */
  #putIv(counter: number): void {
    const { words } = this.#memory;
    words[this.#ivWords] = 0;
    words[this.#ivWords + 1] = counter >>> 0;
    words[this.#ivWords + 2] = Math.floor(counter / twoTo32);
  }

  #putTag(at: Pointer): void {
    const { words } = this.#memory;
    words[this.#tagWords] = at >>> 0;
    words[this.#tagWords + 1] = Math.floor(at / twoTo32);
  }

  #stage(bytes: Uint8Array, offset: number, length: number): void {
    assert(length + tagSize <= staging, 'a packet outside the worker memory is of moderate size');
    this.#bytes.set(bytes.subarray(offset, offset + length), this.#staging);
  }

  #unstage(bytes: Uint8Array, offset: number, length: number): void {
    bytes.set(this.#bytes.subarray(this.#staging, this.#staging + length), offset);
  }
}

/** BLAKE2s-256, or the portable one where this OpenSSL has none. */
function makeHash(context: Context, portable: CryptoSuite): CryptoSuite['hash'] {
  const { openssl, memory, places } = context;
  const digest = openssl.digestFetch(0, 'BLAKE2S-256', null);
  const state = digest === 0 ? 0 : openssl.digestContextNew();
  if (state === 0) return (first, second) => portable.hash(first, second);
  const at = memory.base + places.staging;
  const update = (part: Uint8Array): boolean => {
    memory.bytes.set(part, places.staging);
    return openssl.digestUpdate(state, at, part.length) === 1;
  };
  return (first, second) => {
    const longest = Math.max(first.length, second?.length ?? 0);
    if (longest > staging) return portable.hash(first, second);
    const done =
      openssl.digestInit(state, digest, 0) === 1 &&
      update(first) &&
      (second === undefined || update(second)) &&
      openssl.digestFinal(state, memory.base + places.out, memory.base + places.outLength) === 1;
    memory.bytes.fill(0, places.staging, places.staging + longest);
    if (!done) throw new Error('OpenSSL failed to hash');
    return memory.bytes.slice(places.out, places.out + hashSize);
  };
}

/** Keyed BLAKE2s with 16 bytes, or the portable one where this OpenSSL has none. */
function makeMac(context: Context, portable: CryptoSuite): CryptoSuite['mac'] {
  const { openssl, memory, places } = context;
  const algorithm = openssl.macFetch(0, 'BLAKE2SMAC', null);
  const state = algorithm === 0 ? 0 : openssl.macContextNew(algorithm);
  if (state === 0 || !setMacSize(context, state)) return (key, message) => portable.mac(key, message);
  return (key, message) => {
    if (message.length > staging || key.length === 0) return portable.mac(key, message);
    assert(key.length <= keySize, 'a key of BLAKE2s has at most 32 bytes');
    memory.bytes.set(key, places.key);
    memory.bytes.set(message, places.staging);
    const done =
      openssl.macInit(state, memory.base + places.key, key.length, 0) === 1 &&
      openssl.macUpdate(state, memory.base + places.staging, message.length) === 1 &&
      openssl.macFinal(state, memory.base + places.out, memory.base + places.outLength, macSize) === 1;
    memory.bytes.fill(0, places.key, places.key + keySize);
    if (!done) throw new Error('OpenSSL failed to compute a MAC');
    return memory.bytes.slice(places.out, places.out + macSize);
  };
}

/** Tells a MAC context its output size. It stays set. */
function setMacSize(context: Context, state: Pointer): boolean {
  const { openssl, memory } = context;
  const value = memory.alloc(8);
  memory.putSize(value, macSize);
  const parameters = putParameter(memory, 'size', unsignedParameter, 8);
  memory.putPointer(parameters + parameter.value, value);
  return openssl.macSetParameters(state, memory.base + parameters) === 1;
}

/** An OSSL_PARAM array of one entry, its value still missing, and the end mark. Returns its place. */
function putParameter(memory: WorkerMemory, name: string, type: number, valueSize: number): number {
  const at = memory.alloc(2 * parameter.size);
  const text = memory.alloc(8);
  memory.bytes.set(Buffer.from(`${name}\0`), text);
  memory.putPointer(at + parameter.name, text);
  memory.putSize(at + parameter.type, type);
  memory.putSize(at + parameter.valueSize, valueSize);
  // The last field means "not modified yet" where all its bits are set.
  memory.words.fill(0xffff_ffff, (at + parameter.modified) >>> 2, (at + parameter.size) >>> 2);
  return at;
}
