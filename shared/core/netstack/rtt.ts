/** Round trip and retransmission timeout (RFC 6298). Milliseconds. */

import { initialRtoMs, maxRtoMs, minRtoMs, timestampTickMs } from './limits.ts';

export class RttEstimator {
  /** 0 = not measured yet. */
  smoothedMs = 0;
  minMs: number = Number.POSITIVE_INFINITY;
  #variationMs = 0;
  #rtoMs = initialRtoMs;
  /** Doublings since the last progress. */
  backoff = 0;

  /** The timeout with its doublings. */
  get rtoMs(): number {
    return Math.min(maxRtoMs, this.#rtoMs * 2 ** Math.min(this.backoff, 16));
  }

  measure(rttMs: number): void {
    const rtt = Math.max(rttMs, 0);
    if (rtt < this.minMs) this.minMs = rtt;
    if (this.smoothedMs === 0) {
      this.smoothedMs = Math.max(rtt, 0.001);
      this.#variationMs = rtt / 2;
    } else {
      this.#variationMs = 0.75 * this.#variationMs + 0.25 * Math.abs(this.smoothedMs - rtt);
      this.smoothedMs = Math.max(0.875 * this.smoothedMs + 0.125 * rtt, 0.001);
    }
    const timeout = this.smoothedMs + Math.max(timestampTickMs, 4 * this.#variationMs);
    this.#rtoMs = Math.min(maxRtoMs, Math.max(minRtoMs, timeout));
  }
}
