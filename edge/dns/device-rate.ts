/** How many questions a device may ask: a token bucket each, in a bounded table. Told the time. */

import type { MonoMs } from '../../shared/core/base/time.ts';

export interface DeviceRate {
  readonly perSecond: number;
  /** How many at once after a pause: a browser that starts asks hundreds. */
  readonly burst: number;
}

export const usualDeviceRate: DeviceRate = { perSecond: 500, burst: 2000 };

interface Bucket {
  tokens: number;
  at: MonoMs;
}

const maxDevices = 4096;

export class DeviceRates {
  readonly #rate: DeviceRate;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: DeviceRate) {
    this.#rate = rate;
  }

  /** True, and one less left, where the device may ask. */
  take(device: string, now: MonoMs): boolean {
    const bucket = this.#buckets.get(device) ?? this.#open(device, now);
    const { perSecond, burst } = this.#rate;
    bucket.tokens = Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at) * perSecond) / 1000);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  /** A full table forgets the oldest device, which starts again with a full bucket. */
  #open(device: string, now: MonoMs): Bucket {
    if (this.#buckets.size >= maxDevices) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    const bucket = { tokens: this.#rate.burst, at: now };
    this.#buckets.set(device, bucket);
    return bucket;
  }
}
