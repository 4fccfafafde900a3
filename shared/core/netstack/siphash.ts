/**
 * SipHash-2-4 (Aumasson, Bernstein 2012) with 64 bits of output, for what strangers must not foretell
 * but may see in plenty: initial sequence numbers, time stamp offsets, places in tables.
 */

import { assert } from '../base/assert.ts';
import { readU32LE } from '../base/bytes.ts';

export const sipKeySize = 16;

export class SipHash {
  readonly #key: Int32Array;
  /** v0 … v3, each as low and high word. */
  readonly #v: Int32Array = new Int32Array(8);
  /** The last hash: low and high word, signed. */
  low = 0;
  high = 0;

  /** The key is copied. */
  constructor(key: Uint8Array) {
    assert(key.length === sipKeySize, 'the key has 16 bytes');
    this.#key = new Int32Array(4);
    for (let i = 0; i < 4; i++) this.#key[i] = readU32LE(key, 4 * i);
  }

  /** Hashes all bytes and leaves the result in `low` and `high`; returns `low`. */
  hash(bytes: Uint8Array): number {
    const v = this.#v;
    this.#begin();
    const whole = bytes.length & ~7;
    for (let i = 0; i < whole; i += 8) this.#absorb(readU32LE(bytes, i) | 0, readU32LE(bytes, i + 4) | 0);
    let low = 0;
    let high = (bytes.length & 0xff) << 24;
    for (let i = whole; i < bytes.length; i++) {
      const place = i - whole;
      if (place < 4) low |= bytes[i]! << (8 * place);
      else high |= bytes[i]! << (8 * (place - 4));
    }
    this.#absorb(low, high);
    v[4]! ^= 0xff;
    for (let i = 0; i < 4; i++) this.#round();
    this.low = v[0]! ^ v[2]! ^ v[4]! ^ v[6]!;
    this.high = v[1]! ^ v[3]! ^ v[5]! ^ v[7]!;
    return this.low;
  }

  #begin(): void {
    const k = this.#key;
    const v = this.#v;
    v[0] = k[0]! ^ 0x70736575;
    v[1] = k[1]! ^ 0x736f6d65;
    v[2] = k[2]! ^ 0x6e646f6d;
    v[3] = k[3]! ^ 0x646f7261;
    v[4] = k[0]! ^ 0x6e657261;
    v[5] = k[1]! ^ 0x6c796765;
    v[6] = k[2]! ^ 0x79746573;
    v[7] = k[3]! ^ 0x74656462;
  }

  #absorb(low: number, high: number): void {
    const v = this.#v;
    v[6]! ^= low;
    v[7]! ^= high;
    this.#round();
    this.#round();
    v[0]! ^= low;
    v[1]! ^= high;
  }

  #round(): void {
    this.#add(0, 2);
    this.#rotateXor(2, 13, 0);
    this.#swapHalves(0);
    this.#add(4, 6);
    this.#rotateXor(6, 16, 4);
    this.#add(0, 6);
    this.#rotateXor(6, 21, 0);
    this.#add(4, 2);
    this.#rotateXor(2, 17, 4);
    this.#swapHalves(4);
  }

  /** v[a] += v[b]. */
  #add(a: number, b: number): void {
    const v = this.#v;
    const low = (v[a]! >>> 0) + (v[b]! >>> 0);
    v[a + 1] = v[a + 1]! + v[b + 1]! + (low > 0xffff_ffff ? 1 : 0);
    v[a] = low;
  }

  /** v[a] = rotl(v[a], by) ^ v[b], by < 32. */
  #rotateXor(a: number, by: number, b: number): void {
    const v = this.#v;
    const low = v[a]!;
    const high = v[a + 1]!;
    v[a] = ((low << by) | (high >>> (32 - by))) ^ v[b]!;
    v[a + 1] = ((high << by) | (low >>> (32 - by))) ^ v[b + 1]!;
  }

  /** v[a] = rotl(v[a], 32). */
  #swapHalves(a: number): void {
    const v = this.#v;
    const low = v[a]!;
    v[a] = v[a + 1]!;
    v[a + 1] = low;
  }
}
