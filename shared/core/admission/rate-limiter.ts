/**
 * How often one address may make us do public-key work (§5.3): a token bucket per IPv4 address or
 * IPv6 /64, in a bounded table. Asked only under load, about sources that have shown a cookie.
 */

import { readU32BE } from '../base/bytes.ts';
import { type MonoMs, secondMs } from '../base/time.ts';

/** Handshake messages per second and source, after the burst. */
export const handshakesPerSecond = 20;
/** Handshake messages that a source may send at once. */
export const handshakeBurst = 5;
/** Sources at a time; one more is refused until another has been idle. */
export const rateLimiterCapacity = 16_384;
/** A bucket that nobody asked for this long is full again, so that it can be forgotten. */
export const bucketIdleMs: number = secondMs;

/** A bucket counts in milliseconds: one message costs this many. */
const costMs = secondMs / handshakesPerSecond;
const fullMs = costMs * handshakeBurst;
/** Idle buckets dropped per question: more than come in, so that the table shrinks. */
const sweepsPerQuestion = 2;

const addressAt = 4;

interface Bucket {
  creditMs: number;
  askedAt: MonoMs;
}

export class RateLimiter {
  /** In the order of the last question, oldest first: a map keeps the order of insertion. */
  readonly #buckets = new Map<number | string, Bucket>();

  /** Sources remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** True where the source in the endpoint record at `records[at]` may go on. Counts the question. */
  allow(records: Uint8Array, at: number, now: MonoMs): boolean {
    this.#sweep(now);
    const key = sourceOf(records, at);
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      if (this.#buckets.size >= rateLimiterCapacity) return false;
      this.#buckets.set(key, { creditMs: fullMs - costMs, askedAt: now });
      return true;
    }
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    bucket.creditMs = Math.min(fullMs, bucket.creditMs + (now - bucket.askedAt));
    bucket.askedAt = now;
    if (bucket.creditMs < costMs) return false;
    bucket.creditMs -= costMs;
    return true;
  }

  #sweep(now: MonoMs): void {
    let left = sweepsPerQuestion;
    for (const [key, bucket] of this.#buckets) {
      if (left-- === 0 || now - bucket.askedAt < bucketIdleMs) return;
      this.#buckets.delete(key);
    }
  }
}

/** An IPv4 address as a number, the first half of an IPv6 address as text; never the same. */
function sourceOf(records: Uint8Array, at: number): number | string {
  const first = readU32BE(records, at + addressAt);
  if (records[at] === 4) return first;
  return `${first}:${readU32BE(records, at + addressAt + 4)}`;
}
