/**
 * A paced congestion control that follows a model of the path, in the manner of BBR
 * (draft-cardwell-iccrg-bbr-congestion-control-00): the largest delivery rate of ten rounds and the
 * smallest round trip of ten seconds. Random loss alone does not slow it down.
 *
 * Deviations: no long-term policer model; probing for the round trip keeps half the path's content in
 * flight instead of four segments; start-up also ends when a tenth of a round is lost.
 */

import type { MonoMs } from '../../base/time.ts';
import { type AckSample, type CongestionControl, initialWindow } from './congestion.ts';
import { MaxFilter } from './max-filter.ts';

type Mode = 'startup' | 'drain' | 'probe-bw' | 'probe-rtt';

/** 2 / ln 2: the smallest gain that doubles the rate each round. */
const highGain = 2.885;
const windowGain = 2;
const cycleGains: readonly number[] = [1.25, 0.75, 1, 1, 1, 1, 1, 1];
/** Where the cycle is entered: never at once with a probe upwards. */
const firstPhase = 2;
const bandwidthRounds = 10;
const aggregationRounds = 10;
const minRttLifeMs = 10_000;
const probeRttMs = 200;
/** Start-up ends after this many rounds without this growth. */
const flatRounds = 3;
const growth = 1.25;
const startupLossRatio = 0.1;
const startupLossSegments = 8;
/** A little under the model, so that queues drain. */
const pacingMargin = 0.99;
/** One timer tick's worth leaves at once. */
const quantumMs = 1;
const maxQuantumBytes = 65_536;
const minWindowSegments = 4;
/** Most of the path's rate that acknowledgement bursts may add to the window, in milliseconds. */
const maxAggregationMs = 100;

export class Bbr implements CongestionControl {
  readonly name = 'bbr';
  windowBytes: number;
  pacingRate: number = Number.POSITIVE_INFINITY;
  #mss: number;
  #mode: Mode = 'startup';
  #pacingGain = highGain;
  #windowGain = highGain;
  readonly #bandwidth = new MaxFilter(bandwidthRounds);
  readonly #aggregation = new MaxFilter(aggregationRounds);
  #minRtt = Number.POSITIVE_INFINITY;
  #minRttAt = 0;
  #round = 0;
  #nextRoundDelivered = 0;
  #isRoundStart = false;
  #pipeFilled = false;
  #fullBandwidth = 0;
  #flat = 0;
  #phase = firstPhase;
  #phaseAt = 0;
  #roundLost = 0;
  #roundAcked = 0;
  #priorWindow = 0;
  #conserving = false;
  #conserveUntilRound = 0;
  #wasInRecovery = false;
  #probeRttUntil = 0;
  #restartedIdle = false;
  #burstAt = 0;
  #burstBytes = 0;

  constructor(mss: number) {
    this.#mss = mss;
    this.windowBytes = initialWindow(mss);
  }

  /** For tests and statistics: bytes per millisecond, milliseconds. */
  get model(): { readonly mode: string; readonly bandwidth: number; readonly minRttMs: number } {
    return { mode: this.#mode, bandwidth: this.#bandwidth.max, minRttMs: this.#minRtt };
  }

  handleAck(sample: AckSample): void {
    this.#updateRound(sample);
    if (sample.deliveryRate > 0 && (!sample.appLimited || sample.deliveryRate >= this.#bandwidth.max)) {
      this.#bandwidth.update(this.#round, sample.deliveryRate);
    }
    this.#updateAggregation(sample);
    this.#updatePhase(sample);
    this.#checkPipe(sample);
    this.#updateMinRtt(sample);
    this.#setPacingRate();
    this.#setWindow(sample);
    this.#restartedIdle = false;
  }

  handleLoss(inFlight: number): void {
    this.#priorWindow = Math.max(this.#priorWindow, this.windowBytes);
    this.#conserving = true;
    this.#conserveUntilRound = this.#round + 1;
    this.windowBytes = Math.max(inFlight + this.#mss, this.#minWindow());
  }

  handleRecovered(): void {
    this.#restoreWindow();
  }

  handleTimeout(_outstanding: number): void {
    this.#priorWindow = Math.max(this.#priorWindow, this.windowBytes);
    this.#fullBandwidth = 0;
    this.windowBytes = this.#minWindow();
  }

  handleIdle(now: MonoMs): void {
    this.#restartedIdle = true;
    this.#burstAt = now;
    this.#burstBytes = 0;
    if (this.#mode === 'probe-bw') this.#setRateForGain(1);
  }

  setMss(mss: number): void {
    this.#mss = mss;
    this.windowBytes = Math.max(this.windowBytes, this.#minWindow());
  }

  #updateRound(sample: AckSample): void {
    this.#roundLost += sample.lost;
    this.#roundAcked += sample.acked;
    this.#isRoundStart = sample.acked > 0 && sample.priorDelivered >= this.#nextRoundDelivered;
    if (!this.#isRoundStart) return;
    this.#nextRoundDelivered = sample.delivered;
    this.#round++;
    if (this.#conserving && this.#round >= this.#conserveUntilRound) this.#conserving = false;
    const isLossy =
      this.#roundLost >= startupLossSegments * this.#mss &&
      this.#roundLost > startupLossRatio * (this.#roundAcked + this.#roundLost);
    if (this.#mode === 'startup' && isLossy) this.#pipeFilled = true;
    this.#roundLost = 0;
    this.#roundAcked = 0;
  }

  /** How much more than the model arrives at once, because acknowledgements come in bursts. */
  #updateAggregation(sample: AckSample): void {
    if (sample.acked <= 0) return;
    const bandwidth = this.#bandwidth.max;
    const expected = bandwidth * (sample.now - this.#burstAt);
    if (this.#burstBytes <= expected) {
      this.#burstAt = sample.now;
      this.#burstBytes = 0;
      this.#burstBytes += sample.acked;
      return;
    }
    this.#burstBytes += sample.acked;
    const extra = Math.min(this.#burstBytes - expected, this.windowBytes, bandwidth * maxAggregationMs);
    this.#aggregation.update(this.#round, extra);
  }

  #updatePhase(sample: AckSample): void {
    if (this.#mode !== 'probe-bw') return;
    const elapsed = sample.now - this.#phaseAt > this.#minRtt;
    const gain = cycleGains[this.#phase]!;
    let isOver = elapsed;
    if (gain > 1) isOver = elapsed && (sample.lost > 0 || sample.priorInFlight >= this.#content(gain));
    else if (gain < 1) isOver = elapsed || sample.priorInFlight <= this.#content(1);
    if (isOver) this.#enterPhase((this.#phase + 1) % cycleGains.length, sample.now);
  }

  #enterPhase(phase: number, now: MonoMs): void {
    this.#phase = phase;
    this.#phaseAt = now;
    this.#pacingGain = cycleGains[phase]!;
  }

  /** Ends start-up when the rate grows no more, and the draining after it when the queue is gone. */
  #checkPipe(sample: AckSample): void {
    if (!this.#pipeFilled && this.#isRoundStart && !sample.appLimited) {
      if (this.#bandwidth.max >= this.#fullBandwidth * growth) {
        this.#fullBandwidth = this.#bandwidth.max;
        this.#flat = 0;
      } else if (++this.#flat >= flatRounds) {
        this.#pipeFilled = true;
      }
    }
    if (this.#mode === 'startup' && this.#pipeFilled) {
      this.#mode = 'drain';
      this.#pacingGain = 1 / highGain;
      this.#windowGain = highGain;
    }
    if (this.#mode === 'drain' && sample.inFlight <= this.#content(1)) this.#enterProbeBandwidth(sample.now);
  }

  #enterProbeBandwidth(now: MonoMs): void {
    this.#mode = 'probe-bw';
    this.#windowGain = windowGain;
    this.#enterPhase(firstPhase, now);
  }

  #updateMinRtt(sample: AckSample): void {
    const { now, rttMs } = sample;
    const isOld = this.#minRttAt > 0 && now > this.#minRttAt + minRttLifeMs;
    if (rttMs >= 0 && (rttMs <= this.#minRtt || isOld)) {
      this.#minRtt = Math.max(rttMs, 0.001);
      this.#minRttAt = now;
    }
    if (isOld && !this.#restartedIdle && this.#mode !== 'probe-rtt') {
      this.#mode = 'probe-rtt';
      this.#pacingGain = 1;
      this.#windowGain = 1;
      this.#priorWindow = Math.max(this.#priorWindow, this.windowBytes);
      this.#probeRttUntil = 0;
    }
    if (this.#mode !== 'probe-rtt') return;
    if (this.#probeRttUntil === 0) {
      if (sample.inFlight <= this.#probeRttWindow()) this.#probeRttUntil = now + probeRttMs;
    } else if (now >= this.#probeRttUntil) {
      this.#minRttAt = now;
      this.#restoreWindow();
      if (this.#pipeFilled) this.#enterProbeBandwidth(now);
      else this.#enterStartup();
    }
  }

  #enterStartup(): void {
    this.#mode = 'startup';
    this.#pacingGain = highGain;
    this.#windowGain = highGain;
  }

  #setPacingRate(): void {
    if (this.#bandwidth.max <= 0) return;
    const rate = this.#bandwidth.max * this.#pacingGain * pacingMargin;
    const isFirst = this.pacingRate === Number.POSITIVE_INFINITY;
    if (this.#pipeFilled || isFirst || rate > this.pacingRate) this.pacingRate = rate;
  }

  #setRateForGain(gain: number): void {
    if (this.#bandwidth.max > 0) this.pacingRate = this.#bandwidth.max * gain * pacingMargin;
  }

  #setWindow(sample: AckSample): void {
    const { acked, inFlight, lost } = sample;
    if (lost > 0) this.windowBytes = Math.max(this.windowBytes - lost, this.#mss);
    if (this.#wasInRecovery && !sample.inRecovery) this.#restoreWindow();
    this.#wasInRecovery = sample.inRecovery;
    if (this.#conserving && sample.inRecovery) {
      this.windowBytes = Math.max(this.windowBytes, inFlight + acked);
    } else if (acked > 0) {
      const target = this.#target();
      if (this.#pipeFilled) this.windowBytes = Math.min(this.windowBytes + acked, target);
      else if (this.windowBytes < target || sample.delivered < initialWindow(this.#mss)) {
        this.windowBytes += acked;
      }
      this.windowBytes = Math.max(this.windowBytes, this.#minWindow());
    }
    if (this.#mode === 'probe-rtt') this.windowBytes = Math.min(this.windowBytes, this.#probeRttWindow());
  }

  #target(): number {
    const aggregation = this.#pipeFilled ? this.#aggregation.max : 0;
    return this.#content(this.#windowGain) + aggregation + 3 * this.#quantum();
  }

  #quantum(): number {
    const perTick = this.pacingRate === Number.POSITIVE_INFINITY ? 0 : this.pacingRate * quantumMs;
    return Math.max(2 * this.#mss, Math.min(perTick, maxQuantumBytes));
  }

  /** What the path holds, times a gain. */
  #content(gain: number): number {
    if (this.#minRtt === Number.POSITIVE_INFINITY) return initialWindow(this.#mss);
    return this.#bandwidth.max * this.#minRtt * gain;
  }

  #minWindow(): number {
    return minWindowSegments * this.#mss;
  }

  #probeRttWindow(): number {
    return Math.max(this.#minWindow(), this.#content(0.5));
  }

  #restoreWindow(): void {
    this.windowBytes = Math.max(this.windowBytes, this.#priorWindow);
    this.#priorWindow = 0;
    this.#conserving = false;
  }
}
