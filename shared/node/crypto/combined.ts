/**
 * CryptoSuite of two: OpenSSL through FFI for large packets, agreements and hashes, the kernel for
 * small packets and handshake messages, where the calls of FFI cost more than the cipher.
 */

import type { CryptoSuite, TransportKey } from '../../core/crypto/suite.ts';

export interface CombinedSuiteOptions {
  readonly large: CryptoSuite;
  readonly small: CryptoSuite;
  /** Packets of this length (without the tag) and longer are `large`'s; Infinity where none are. */
  readonly fromBytes: number;
}

export function combinedSuite(options: CombinedSuiteOptions): CryptoSuite {
  const { large, small, fromBytes } = options;
  return {
    name: `${large.name}+${small.name} (${nameOfLarge(fromBytes)})`,
    publicKey: (secretKey) => large.publicKey(secretKey),
    dh: (secretKey, peer) => large.dh(secretKey, peer),
    forget: (secretKey) => large.forget?.(secretKey),
    hash: (first, second) => large.hash(first, second),
    mac: (key, message) => large.mac(key, message),
    seal: (key, counter, plaintext, additional) => small.seal(key, counter, plaintext, additional),
    open: (key, counter, sealed, additional) => small.open(key, counter, sealed, additional),
    xseal: (key, nonce, plaintext, additional) => small.xseal(key, nonce, plaintext, additional),
    xopen: (key, nonce, sealed, additional) => small.xopen(key, nonce, sealed, additional),
    transportKey: (key) => new CombinedTransportKey(options, key),
  };
}

function nameOfLarge(fromBytes: number): string {
  return fromBytes === Infinity ? 'packets wasm' : `≥ ${fromBytes} B openssl`;
}

class CombinedTransportKey implements TransportKey {
  readonly #large: TransportKey;
  readonly #small: TransportKey;
  readonly #fromBytes: number;

  constructor(options: CombinedSuiteOptions, key: Uint8Array) {
    this.#large = options.large.transportKey(key);
    this.#small = options.small.transportKey(key);
    this.#fromBytes = options.fromBytes;
  }

  seal(bytes: Uint8Array, offset: number, length: number, counter: number): void {
    if (length >= this.#fromBytes) this.#large.seal(bytes, offset, length, counter);
    else this.#small.seal(bytes, offset, length, counter);
  }

  open(bytes: Uint8Array, offset: number, length: number, counter: number): boolean {
    if (length >= this.#fromBytes) return this.#large.open(bytes, offset, length, counter);
    return this.#small.open(bytes, offset, length, counter);
  }

  wipe(): void {
    this.#large.wipe();
    this.#small.wipe();
  }
}
