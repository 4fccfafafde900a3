/**
 * Random 32-bit index → T: how datagrams name a session of ours. Indices must not be guessable, so
 * that strangers cannot aim at a session (WireGuard paper §5.4). Knows no session.
 */

import type { Entropy } from '../base/ports.ts';

/** Most entries by default: with 2^32 indices a random one is then free nearly always. */
const maxIndices = 1 << 20;

/** Draws before giving up. With a full table each one fails with probability 2^-12. */
const maxDraws = 16;

export class IndexTable<T> {
  readonly #capacity: number;
  // Keys are kept as signed 32-bit numbers, which the engine holds without a heap object.
  readonly #entries = new Map<number, T>();
  readonly #draw = new Uint8Array(4);

  constructor(capacity: number = maxIndices) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Stores `value` under a new random index (0 to 2^32 - 1). Undefined where the table is full. */
  insert(value: T, entropy: Entropy): number | undefined {
    if (this.#entries.size >= this.#capacity) return undefined;
    const draw = this.#draw;
    for (let i = 0; i < maxDraws; i++) {
      entropy.fill(draw);
      const key = ((draw[0] ?? 0) << 24) | ((draw[1] ?? 0) << 16) | ((draw[2] ?? 0) << 8) | (draw[3] ?? 0);
      if (this.#entries.has(key)) continue;
      this.#entries.set(key, value);
      return key >>> 0;
    }
    return undefined;
  }

  get(index: number): T | undefined {
    return this.#entries.get(index | 0);
  }

  /** Puts another value under an index that is in use. Returns false, and does nothing, where it is not. */
  replace(index: number, value: T): boolean {
    if (!this.#entries.has(index | 0)) return false;
    this.#entries.set(index | 0, value);
    return true;
  }

  /** Returns whether there was one. */
  delete(index: number): boolean {
    return this.#entries.delete(index | 0);
  }

  clear(): void {
    this.#entries.clear();
  }
}
