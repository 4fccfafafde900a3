/** Token buckets by key in a bounded table; told the time. A key is a source prefix or a token's hash. */

import { parseAddress } from '../../shared/core/base/ip.ts';
import { type MonoMs, secondMs } from '../../shared/core/base/time.ts';

export interface RateLimit {
  readonly perSecond: number;
  /** At once, after a rest. */
  readonly burst: number;
}

/** Keys at a time. The one that rested longest is forgotten for a new one: it has its burst back then. */
export const maxBuckets = 16_384;

interface Bucket {
  level: number;
  at: MonoMs;
}

export class RateLimits {
  readonly #limit: RateLimit;
  /** The one that was asked for longest ago comes first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Counts, and says whether it was within the limit. */
  take(key: string, now: MonoMs): boolean {
    const bucket = this.#bucket(key, now);
    if (bucket.level < 1) return false;
    bucket.level -= 1;
    return true;
  }

  /** Without counting. */
  isSpent(key: string, now: MonoMs): boolean {
    const bucket = this.#buckets.get(key);
    return bucket !== undefined && this.#levelOf(bucket, now) < 1;
  }

  /** Until one more is allowed, whole seconds. */
  waitSeconds(): number {
    return Math.max(1, Math.ceil(1 / this.#limit.perSecond));
  }

  #bucket(key: string, now: MonoMs): Bucket {
    const found = this.#buckets.get(key);
    const bucket = found ?? { level: this.#limit.burst, at: now };
    bucket.level = this.#levelOf(bucket, now);
    bucket.at = now;
    if (found !== undefined) this.#buckets.delete(key);
    else if (this.#buckets.size >= maxBuckets) this.#forgetOldest();
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #levelOf(bucket: Bucket, now: MonoMs): number {
    const gained = ((now - bucket.at) / secondMs) * this.#limit.perSecond;
    return Math.min(this.#limit.burst, bucket.level + gained);
  }

  #forgetOldest(): void {
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      return;
    }
  }
}

const v6PrefixBytes = 7;
const mappedHead = '::ffff:';

/** What counts as one source: an IPv4 address, or an IPv6 /56, which is what one customer has. */
export function sourceOf(remoteAddress: string | undefined): string {
  const text = (remoteAddress ?? '').replace(/%.*$/, '');
  const plain = text.toLowerCase().startsWith(mappedHead) ? text.slice(mappedHead.length) : text;
  const bytes = parseAddress(plain);
  if (bytes === undefined) return 'unknown';
  return bytes.length === 4 ? plain : Buffer.from(bytes.subarray(0, v6PrefixBytes)).toString('hex');
}
