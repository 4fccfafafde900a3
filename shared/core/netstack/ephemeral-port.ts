/** Random local ports (RFC 6056 §3.3.1). */

import { readU32BE } from '../base/bytes.ts';
import type { Entropy } from '../base/ports.ts';
import { ephemeralTries, firstEphemeralPort, lastEphemeralPort } from './limits.ts';

/** A port for which `isUsed` is false; 0 where a bounded number of tries found none. */
export function pickPort(entropy: Entropy, isUsed: (port: number) => boolean): number {
  const range = lastEphemeralPort - firstEphemeralPort + 1;
  const random = new Uint8Array(4);
  for (let i = 0; i < ephemeralTries; i++) {
    entropy.fill(random);
    const port = firstEphemeralPort + (readU32BE(random, 0) % range);
    if (!isUsed(port)) return port;
  }
  return 0;
}
