/** Fixed randomness for tests: the same seed gives the same bytes everywhere. */

import type { Entropy } from '../../shared/core/base/ports.ts';

/** A small generator (mulberry32): numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function seededEntropy(seed: number): Entropy {
  const random = seededRandom(seed);
  return {
    fill(bytes) {
      for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(random() * 256);
    },
  };
}

/** The 32 bytes of a secret key, the same for the same seed. */
export function seededKey(seed: number): Uint8Array {
  const bytes = new Uint8Array(32);
  seededEntropy(seed).fill(bytes);
  return bytes;
}
