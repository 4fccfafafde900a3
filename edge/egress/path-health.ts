/**
 * Whether one path works: a failure that nothing contradicts makes it suspect, more make it down, and a path that
 * was down must answer for a while before it counts again, longer each time. Pure, told the time.
 */

import { type MonoMs, minuteMs, monoMs, secondMs } from '../../shared/core/base/time.ts';

/**
 * 'suspect': did not answer, and nothing has answered since; 'recovering': was down, answers again, not trusted
 * yet; 'down': does not answer.
 */
export type PathHealth = 'unknown' | 'good' | 'suspect' | 'recovering' | 'down';

/** Failures at so many places in a row, without an answer in between, after which a path is down. */
const placesUntilDown = 3;
/** The same where the path itself says that it does not work. */
const certainUntilDown = 2;
/** A path that came back must answer so long; doubled each time that it goes down again. */
const firstHoldMs = 30 * secondMs;
const longestHoldMs = 10 * minuteMs;
/** After so long without a failure its past is forgotten. */
const forgiveMs = 30 * minuteMs;
/** A suspect or a dead path that nobody probes is tried again after this. */
const suspectMs = 3 * secondMs;
const retryDownMs = 30 * secondMs;

export interface HealthFailure {
  readonly startedAt: MonoMs;
  /** The path itself says that it does not work. */
  readonly isCertain: boolean;
  /** Failures at one place alone say nothing about the path. */
  readonly place: string;
}

export class PathHealthState {
  /** Where it failed since the last answer; bounded by placesUntilDown. */
  readonly #failedPlaces: Set<string> = new Set();
  #certainInRow = 0;
  #answeredAt: MonoMs | undefined;
  #failedAt: MonoMs | undefined;
  #isDown = false;
  #isSuspect = false;
  /** Since when it answers again. */
  #backSince: MonoMs | undefined;
  #downs = 0;

  handleAnswer(now: MonoMs): void {
    this.#failedPlaces.clear();
    this.#certainInRow = 0;
    this.#answeredAt = now;
    this.#isSuspect = false;
    if (this.#isDown) this.#backSince ??= now;
    else if (this.#failedAt !== undefined && now - this.#failedAt > forgiveMs) this.#downs = 0;
  }

  /** `startedAt`: of the attempt; whatever answered since then speaks for the path. */
  handleFailure(failure: HealthFailure, now: MonoMs): void {
    const { startedAt, isCertain, place } = failure;
    this.#failedAt = now;
    if (!isCertain && this.#answeredAt !== undefined && this.#answeredAt >= startedAt) return;
    this.at(now);
    if (this.#failedPlaces.size < placesUntilDown) this.#failedPlaces.add(place);
    this.#certainInRow = isCertain ? this.#certainInRow + 1 : 0;
    this.#isSuspect = true;
    this.#backSince = undefined;
    const isOver = this.#failedPlaces.size >= placesUntilDown || this.#certainInRow >= certainUntilDown;
    if (!isOver || this.#isDown) return;
    this.#isDown = true;
    this.#downs++;
  }

  at(now: MonoMs): PathHealth {
    if (this.#isDown) return this.#whileDown(now);
    if (this.#isSuspect && now - (this.#failedAt ?? now) < suspectMs) return 'suspect';
    return this.#answeredAt === undefined && this.#failedAt === undefined ? 'unknown' : 'good';
  }

  #whileDown(now: MonoMs): PathHealth {
    const holdMs = Math.min(longestHoldMs, firstHoldMs * 2 ** (this.#downs - 1));
    if (this.#backSince !== undefined) {
      if (now - this.#backSince < holdMs) return 'recovering';
      this.#isDown = false;
      this.#isSuspect = false;
      return 'good';
    }
    // Where nobody probes, a flow must try; it has other paths behind it.
    return now - (this.#failedAt ?? monoMs(0)) >= Math.max(retryDownMs, holdMs) ? 'suspect' : 'down';
  }
}
