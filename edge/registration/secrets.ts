/**
 * How tokens are known again without being kept: by SHA-256. They are 256 random bits, so that a slow hash
 * would only help somebody who wants to tire the edge. Also makes ids.
 */

import { createHash } from 'node:crypto';
import type { Entropy } from '../../shared/core/base/ports.ts';

const idLetters = 'abcdefghijkmnpqrstuvwxyz23456789';
const idLength = 16;

export function hashToken(token: string): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(token, 'latin1').digest());
}

/** 80 random bits in letters that people do not confuse. Secret of nothing. */
export function newId(entropy: Entropy): string {
  const bytes = new Uint8Array(idLength);
  entropy.fill(bytes);
  return Array.from(bytes, (byte) => idLetters.charAt(byte & 31)).join('');
}
