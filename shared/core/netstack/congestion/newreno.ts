/**
 * NewReno with SACK (RFC 5681, RFC 6675): slow start, one segment more each round trip, half on loss.
 * Counts bytes, not acknowledgements (RFC 3465), because one acknowledgement covers a whole batch.
 */

import type { MonoMs } from '../../base/time.ts';
import { type AckSample, type CongestionControl, initialWindow } from './congestion.ts';

/** Of what was in flight, kept after a loss (RFC 5681 §3.1). */
const lossFactor = 0.5;

export class NewReno implements CongestionControl {
  readonly name = 'newreno';
  windowBytes: number;
  readonly pacingRate: number = Number.POSITIVE_INFINITY;
  #mss: number;
  #threshold = Number.POSITIVE_INFINITY;
  /** Bytes acknowledged since the window last grew, in congestion avoidance. */
  #credit = 0;

  constructor(mss: number) {
    this.#mss = mss;
    this.windowBytes = initialWindow(mss);
  }

  /** For tests: below it slow start. */
  get threshold(): number {
    return this.#threshold;
  }

  handleAck(sample: AckSample): void {
    if (sample.inRecovery || !sample.windowLimited) return;
    let { acked } = sample;
    if (this.windowBytes < this.#threshold) {
      const grown = Math.min(this.windowBytes + acked, Math.max(this.#threshold, this.windowBytes));
      acked -= grown - this.windowBytes;
      this.windowBytes = grown;
    }
    this.#credit += acked;
    if (this.#credit >= this.windowBytes) {
      this.#credit -= this.windowBytes;
      this.windowBytes += this.#mss;
    }
  }

  handleLoss(_inFlight: number, outstanding: number): void {
    this.#threshold = Math.max(Math.floor(outstanding * lossFactor), 2 * this.#mss);
    this.windowBytes = this.#threshold;
    this.#credit = 0;
  }

  handleRecovered(): void {
    this.#credit = 0;
  }

  handleTimeout(outstanding: number): void {
    this.#threshold = Math.max(Math.floor(outstanding * lossFactor), 2 * this.#mss);
    this.windowBytes = this.#mss;
    this.#credit = 0;
  }

  handleIdle(_now: MonoMs): void {
    this.windowBytes = Math.min(this.windowBytes, initialWindow(this.#mss));
  }

  setMss(mss: number): void {
    this.windowBytes = Math.max(this.windowBytes, mss);
    this.#mss = mss;
  }
}
