/** T by 32-byte public key, in the order of insertion. Knows no peer. Not for the packet path. */

import { assert } from '../base/assert.ts';

/** Most peers by default. */
const maxPeers = 1 << 16;

const publicKeySize = 32;

export class PeerTable<T> {
  readonly #capacity: number;
  readonly #entries = new Map<string, T>();

  constructor(capacity: number = maxPeers) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(publicKey: Uint8Array): T | undefined {
    return this.#entries.get(textOf(publicKey));
  }

  has(publicKey: Uint8Array): boolean {
    return this.#entries.has(textOf(publicKey));
  }

  /** Stores `value`, in place of one with the same key. Returns false, and does nothing, where the table is full. */
  set(publicKey: Uint8Array, value: T): boolean {
    const key = textOf(publicKey);
    if (this.#entries.size >= this.#capacity && !this.#entries.has(key)) return false;
    this.#entries.set(key, value);
    return true;
  }

  /** Returns whether there was one. */
  delete(publicKey: Uint8Array): boolean {
    return this.#entries.delete(textOf(publicKey));
  }

  clear(): void {
    this.#entries.clear();
  }

  /** All values in the order of insertion. */
  values(): IterableIterator<T> {
    return this.#entries.values();
  }
}

/** The key as 16 UTF-16 units: short to hash, and never shown. */
function textOf(key: Uint8Array): string {
  assert(key.length === publicKeySize, 'a public key has 32 bytes');
  let text = '';
  for (let i = 0; i < publicKeySize; i += 2) {
    text += String.fromCharCode(((key[i] ?? 0) << 8) | (key[i + 1] ?? 0));
  }
  return text;
}
