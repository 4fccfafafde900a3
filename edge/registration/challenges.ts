/**
 * Challenges for proofs of possession, without memory: time of death, random bytes, and a MAC that only
 * this edge can make. One can be used again until it dies; that gives nothing to anybody but who saw the
 * inside of the first TLS connection, and so its answer.
 */

import { ascii, concat, equalBytes, readU64BE, writeU64BE } from '../../shared/core/base/bytes.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import { type CryptoSuite, macSize } from '../../shared/core/crypto/suite.ts';
import { decodeBase64Url, encodeBase64Url } from '../../shared/core/registration/base64url.ts';

export const challengeLifeMs: number = 2 * minuteMs;

const timeSize = 8;
const nonceSize = 8;
const headSize = timeSize + nonceSize;

export class Challenges {
  readonly #suite: CryptoSuite;
  readonly #key: Uint8Array;

  /** The edge's private key makes the MAC key, so that a restart changes nothing. */
  constructor(suite: CryptoSuite, edgePrivateKey: Uint8Array) {
    this.#suite = suite;
    this.#key = suite.hash(ascii('culvert challenge v1'), edgePrivateKey);
  }

  issue(now: UnixMs, entropy: Entropy): string {
    const head = new Uint8Array(headSize);
    entropy.fill(head);
    writeU64BE(head, 0, Math.floor(now) + challengeLifeMs);
    return encodeBase64Url(concat(head, this.#suite.mac(this.#key, head)));
  }

  isFresh(challenge: string, now: UnixMs): boolean {
    const bytes = decodeBase64Url(challenge, headSize + macSize);
    if (bytes === undefined) return false;
    const head = bytes.subarray(0, headSize);
    const isOurs = equalBytes(this.#suite.mac(this.#key, head), bytes.subarray(headSize));
    return isOurs && readU64BE(head, 0) > now;
  }
}
