/** Running estimates of a time and of a share, bounded in memory. Pure: told every sample and the time. */

import { type MonoMs, minuteMs } from '../../shared/core/base/time.ts';

/** Weight of a new sample once there are some; the first ones weigh more. */
const usualWeight = 0.3;
/** RFC 6298 §2: the same idea for the deviation. */
const deviationWeight = 0.25;

/** Exponentially weighted mean and mean deviation, in the unit of the samples. */
export class Estimate {
  mean = 0;
  deviation = 0;
  samples = 0;

  /** `weight`: how much a sample counts against what was known, at most. */
  add(sample: number, weight: number = usualWeight): void {
    this.samples++;
    if (this.samples === 1) {
      this.mean = sample;
      this.deviation = Math.abs(sample) / 4;
      return;
    }
    const error = sample - this.mean;
    this.mean += Math.max(weight, 1 / this.samples) * error;
    this.deviation += deviationWeight * (Math.abs(error) - this.deviation);
  }
}

/** Most outcomes that are remembered, and for how long. */
const windowSize = 64;
const windowMs = 2 * minuteMs;
/** A share of fewer than so many outcomes would jump from nothing to everything. */
const leastOutcomes = 24;

/** The share of losses among the last outcomes. */
export class LossWindow {
  readonly #lost = new Uint8Array(windowSize);
  readonly #times = new Float64Array(windowSize);
  /** Of the oldest. */
  #first = 0;
  #count = 0;
  #losses = 0;

  add(isLost: boolean, now: MonoMs): void {
    this.#forget(now);
    if (this.#count === windowSize) this.#dropFirst();
    const at = (this.#first + this.#count) % windowSize;
    this.#lost[at] = isLost ? 1 : 0;
    this.#times[at] = now;
    this.#count++;
    if (isLost) this.#losses++;
  }

  /** 0 to 1; few outcomes never give a large share. */
  share(now: MonoMs): number {
    this.#forget(now);
    return this.#losses / Math.max(leastOutcomes, this.#count);
  }

  /** 0 to 1 of what was seen, for people. */
  seen(now: MonoMs): number {
    this.#forget(now);
    return this.#count === 0 ? 0 : this.#losses / this.#count;
  }

  #forget(now: MonoMs): void {
    while (this.#count > 0 && now - (this.#times[this.#first] ?? 0) > windowMs) this.#dropFirst();
  }

  #dropFirst(): void {
    this.#losses -= this.#lost[this.#first] ?? 0;
    this.#first = (this.#first + 1) % windowSize;
    this.#count--;
  }
}
