/**
 * Bytes that look like noise and cost next to nothing: xoshiro128** (Blackman and Vigna, 2018), seeded by real
 * randomness. For the padding of a disguise alone: never for keys, nonces or anything that somebody must not guess.
 */

import { readU32LE } from '../base/bytes.ts';
import type { Entropy } from '../base/ports.ts';

const seedSize = 16;

export class Filler {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(entropy: Entropy) {
    const seed = new Uint8Array(seedSize);
    entropy.fill(seed);
    this.#a = readU32LE(seed, 0) | 0;
    this.#b = readU32LE(seed, 4) | 0;
    this.#c = readU32LE(seed, 8) | 0;
    // Four zeros would stay zeros for ever.
    this.#d = readU32LE(seed, 12) | 1;
  }

  /** 32 bits, unsigned. */
  next(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  /** A whole number from `least` to `most`, both included; at most 2^32 of them. */
  between(least: number, most: number): number {
    const count = most - least + 1;
    return least + (count > 0xffff_ffff ? this.next() : Math.floor((this.next() / 0x1_0000_0000) * count));
  }

  /** Writes `length` bytes at `offset`. */
  fill(bytes: Uint8Array, offset: number, length: number): void {
    let word = 0;
    for (let i = 0; i < length; i++) {
      word = (i & 3) === 0 ? this.next() : word >>> 8;
      bytes[offset + i] = word & 0xff;
    }
  }
}
