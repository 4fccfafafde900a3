/** Core's Entropy on the system's random generator, with a pool so that small requests stay cheap. */

import { randomFillSync } from 'node:crypto';
import type { Entropy } from '../core/base/ports.ts';

const poolSize = 4096;

/** One per thread: the pool is not shared. */
export function systemEntropy(): Entropy {
  const pool = new Uint8Array(poolSize);
  let used = poolSize;
  return {
    fill(bytes: Uint8Array): void {
      if (bytes.length > poolSize / 4) {
        randomFillSync(bytes);
        return;
      }
      if (used + bytes.length > poolSize) {
        randomFillSync(pool);
        used = 0;
      }
      const end = used + bytes.length;
      // By hand: a view of the pool would be an object for every draw, and timers draw while packets move.
      for (let i = 0; i < bytes.length; i++) bytes[i] = pool[used + i] ?? 0;
      // What was handed out may be a key: it must not stay behind in the pool.
      pool.fill(0, used, end);
      used = end;
    },
  };
}
