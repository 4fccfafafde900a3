/**
 * How fast content arrives at the other side (draft-cheng-iccrg-delivery-rate-estimation): each
 * segment remembers how much had arrived when it left.
 */

import { type MonoMs, monoMs } from '../base/time.ts';
import type { AckSample } from './congestion/congestion.ts';
import { appLimitedFlag, repeatedFlag, type SentLog } from './sent-log.ts';

export class RateSampler {
  readonly sample: AckSample = {
    now: monoMs(0),
    acked: 0,
    lost: 0,
    inFlight: 0,
    priorInFlight: 0,
    rttMs: -1,
    deliveryRate: 0,
    priorDelivered: 0,
    delivered: 0,
    appLimited: false,
    windowLimited: false,
    inRecovery: false,
  };
  #delivered = 0;
  #deliveredAt = 0;
  #firstSentAt = 0;
  /** Until so much has arrived, rates were limited by the sender; 0 = not. */
  #limitedUntil = 0;
  /** Of the newest segment of this sample. */
  #newestSentAt = -1;
  #newestDeliveredAt = 0;
  #newestFirstSentAt = 0;

  get delivered(): number {
    return this.#delivered;
  }

  noteSent(log: SentLog, record: number, now: MonoMs, wasIdle: boolean): void {
    if (wasIdle) {
      this.#firstSentAt = now;
      this.#deliveredAt = now;
    }
    log.stampRate(record, this.#delivered, this.#deliveredAt, this.#firstSentAt);
    if (this.#limitedUntil > 0) log.markAppLimited(record);
  }

  noteAppLimited(inFlight: number): void {
    this.#limitedUntil = Math.max(this.#delivered + inFlight, 1);
  }

  begin(now: MonoMs, inFlight: number): void {
    const { sample } = this;
    sample.now = now;
    sample.acked = 0;
    sample.lost = 0;
    sample.priorInFlight = inFlight;
    sample.rttMs = -1;
    sample.deliveryRate = 0;
    sample.priorDelivered = 0;
    sample.appLimited = false;
    this.#newestSentAt = -1;
  }

  /** `bytes` of the record arrived. Before the log forgets it. */
  noteArrived(log: SentLog, record: number, bytes: number, now: MonoMs): void {
    this.#delivered += bytes;
    this.#deliveredAt = now;
    const { sample } = this;
    sample.acked += bytes;
    const sentAt = log.sentAt(record);
    if (sentAt < this.#newestSentAt) return;
    const flags = log.flags(record);
    this.#newestSentAt = sentAt;
    this.#newestDeliveredAt = log.deliveredAt(record);
    this.#newestFirstSentAt = log.firstSentAt(record);
    sample.priorDelivered = log.delivered(record);
    sample.appLimited = (flags & appLimitedFlag) !== 0;
    if ((flags & repeatedFlag) === 0) sample.rttMs = now - sentAt;
  }

  /** Completes the sample after losses were found. `minRttMs`: shorter intervals are not believed. */
  finish(log: SentLog, now: MonoMs, minRttMs: number): AckSample {
    const { sample } = this;
    if (this.#limitedUntil > 0 && this.#delivered > this.#limitedUntil) this.#limitedUntil = 0;
    sample.delivered = this.#delivered;
    sample.inFlight = log.inFlight;
    if (this.#newestSentAt >= 0) {
      this.#firstSentAt = this.#newestSentAt;
      const sendElapsed = this.#newestSentAt - this.#newestFirstSentAt;
      const arriveElapsed = now - this.#newestDeliveredAt;
      const elapsed = Math.max(sendElapsed, arriveElapsed);
      if (elapsed > 0 && elapsed >= minRttMs) {
        sample.deliveryRate = (this.#delivered - sample.priorDelivered) / elapsed;
      }
    }
    return sample;
  }
}
