/**
 * CryptoSuite on the WebAssembly kernel: packets and handshake messages; agreements and hashes are the
 * portable suite's, since WebAssembly is not needed for what is rare.
 *
 * There is one context in the worker memory; a key is copied into it (eight words) whenever another
 * key was used last. So any number of keys fits, and a wiped key leaves nothing behind.
 */

import { assert } from '../../core/base/assert.ts';
import { type CryptoSuite, keySize, type TransportKey, tagSize } from '../../core/crypto/suite.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import type { Kernel } from '../kernel/kernel.ts';

export interface SimdSuiteOptions {
  readonly kernel: Kernel;
  /** The memory of the kernel. Packets in it are sealed and opened in place, others by way of a copy. Takes 66 KiB. */
  readonly memory: WorkerMemory;
  /** For the operations that the kernel does not have. */
  readonly portable: CryptoSuite;
}

/** Largest packet or message, additional bytes included, that may take the way by a copy. */
const staging = 66_560;
const keyWords = keySize / 4;

interface Context {
  readonly kernel: Kernel;
  readonly memory: WorkerMemory;
  /** Offset of the kernel's context. */
  readonly at: number;
  readonly staging: number;
  /** Whose key lies in the context. */
  loaded: SimdTransportKey | undefined;
}

/** One per memory and kernel. */
export function simdSuite(options: SimdSuiteOptions): CryptoSuite {
  const { kernel, memory, portable } = options;
  const at = memory.alloc(kernel.contextBytes, 64);
  const context: Context = { kernel, memory, at, staging: memory.alloc(staging, 64), loaded: undefined };
  return {
    name: 'wasm',
    publicKey: (secretKey) => portable.publicKey(secretKey),
    dh: (secretKey, peer) => portable.dh(secretKey, peer),
    hash: (first, second) => portable.hash(first, second),
    mac: (key, message) => portable.mac(key, message),
    seal: (key, counter, plaintext, additional) =>
      sealMessage(context, { key, counter, additional }, plaintext),
    open: (key, counter, sealed, additional) => openMessage(context, { key, counter, additional }, sealed),
    xseal: (key, nonce, plaintext, additional) => portable.xseal(key, nonce, plaintext, additional),
    xopen: (key, nonce, sealed, additional) => portable.xopen(key, nonce, sealed, additional),
    transportKey: (key) => new SimdTransportKey(context, key),
  };
}

class SimdTransportKey implements TransportKey {
  readonly #context: Context;
  readonly #kernel: Kernel;
  readonly #bytes: Uint8Array;
  readonly #at: number;
  /** With a buffer of its own, which no garbage collection moves and leaves a copy of. */
  readonly #key = new Uint32Array(new ArrayBuffer(keySize));
  #wiped = false;

  constructor(context: Context, key: Uint8Array) {
    assert(key.length === keySize, 'a transport key has 32 bytes');
    this.#context = context;
    this.#kernel = context.kernel;
    this.#bytes = context.memory.bytes;
    this.#at = context.at;
    new Uint8Array(this.#key.buffer).set(key);
  }

  seal(bytes: Uint8Array, offset: number, length: number, counter: number): void {
    this.#check(bytes, offset, length);
    const at = this.#inPlace(bytes, offset);
    if (at >= 0) {
      this.#kernel.seal(this.#at, at, length, counter, 0, 0);
      return;
    }
    const copy = this.#stage(bytes, offset, length);
    this.#kernel.seal(this.#at, copy, length, counter, 0, 0);
    bytes.set(this.#bytes.subarray(copy, copy + length + tagSize), offset);
  }

  open(bytes: Uint8Array, offset: number, length: number, counter: number): boolean {
    this.#check(bytes, offset, length);
    const at = this.#inPlace(bytes, offset);
    if (at >= 0) return this.#kernel.open(this.#at, at, length, counter, 0, 0) === 1;
    const copy = this.#stage(bytes, offset, length + tagSize);
    const opened = this.#kernel.open(this.#at, copy, length, counter, 0, 0) === 1;
    if (opened) bytes.set(this.#bytes.subarray(copy, copy + length), offset);
    return opened;
  }

  wipe(): void {
    this.#wiped = true;
    this.#key.fill(0);
    if (this.#context.loaded === this) unload(this.#context);
  }

  /** The one place where offsets are checked before the kernel gets them; also brings the key. */
  #check(bytes: Uint8Array, offset: number, length: number): void {
    assert(!this.#wiped, 'the key is not wiped');
    assert(
      offset >= 0 && length >= 0 && offset + length + tagSize <= bytes.length,
      'the packet lies inside the memory',
    );
    if (this.#context.loaded === this) return;
    const { words } = this.#context.memory;
    const first = this.#at >>> 2;
    for (let i = 0; i < keyWords; i++) words[first + i] = this.#key[i]!;
    this.#context.loaded = this;
  }

  /** The offset in the worker memory of a byte that lies in it, else -1. */
  #inPlace(bytes: Uint8Array, offset: number): number {
    if (bytes === this.#bytes) return offset;
    return bytes.buffer === this.#bytes.buffer ? bytes.byteOffset + offset : -1;
  }

  #stage(bytes: Uint8Array, offset: number, length: number): number {
    assert(length + tagSize <= staging, 'a packet outside the worker memory is of moderate size');
    this.#bytes.set(bytes.subarray(offset, offset + length), this.#context.staging);
    return this.#context.staging;
  }
}

/** What a small message is sealed with. */
interface MessageSeal {
  readonly key: Uint8Array;
  readonly counter: number;
  readonly additional: Uint8Array;
}

function sealMessage(
  context: Context,
  { key, counter, additional }: MessageSeal,
  plaintext: Uint8Array,
): Uint8Array {
  const { kernel, memory, at, staging } = context;
  const { length } = plaintext;
  const behind = prepare(context, key, additional, length);
  memory.bytes.set(plaintext, staging);
  kernel.seal(at, staging, length, counter, behind, additional.length);
  const sealed = memory.bytes.slice(staging, staging + length + tagSize);
  unload(context);
  return sealed;
}

function openMessage(
  context: Context,
  { key, counter, additional }: MessageSeal,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const { kernel, memory, at, staging } = context;
  const length = sealed.length - tagSize;
  if (length < 0) return undefined;
  const behind = prepare(context, key, additional, length);
  memory.bytes.set(sealed, staging);
  const opened = kernel.open(at, staging, length, counter, behind, additional.length) === 1;
  const plaintext = opened ? memory.bytes.slice(staging, staging + length) : undefined;
  memory.bytes.fill(0, staging, staging + length);
  unload(context);
  return plaintext;
}

/** Loads a message's key and puts the additional bytes behind the room of a message of `length`. Returns their place. */
function prepare(context: Context, key: Uint8Array, additional: Uint8Array, length: number): number {
  const { memory } = context;
  assert(key.length === keySize, 'a key has 32 bytes');
  assert(length + tagSize + additional.length <= staging, 'a message is of moderate size');
  context.loaded = undefined;
  memory.bytes.set(key, context.at);
  const behind = context.staging + length + tagSize;
  memory.bytes.set(additional, behind);
  return behind;
}

/** Clears the context, key and all. */
function unload(context: Context): void {
  context.loaded = undefined;
  context.memory.bytes.fill(0, context.at, context.at + context.kernel.contextBytes);
}
