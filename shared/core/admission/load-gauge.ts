/**
 * Whether the responder is under load (§5.3), so that callers must show a cookie: when handshakes
 * queue up, or when too many came within a second. Stays true for a second after the last sign of
 * it, so that cookies are not asked for and forgotten by turns.
 */

import { type MonoMs, secondMs } from '../base/time.ts';

/** Under load until this long after the last time a threshold was reached. */
export const loadMemoryMs: number = secondMs;
/** Handshakes are counted over this long. */
const intervalMs = secondMs;

export interface LoadGaugeOptions {
  /** Handshake messages waiting, from which on we are under load. */
  readonly busyDepth: number;
  /** Handshakes taken up within one second, from which on we are under load. */
  readonly busyPerSecond: number;
}

export class LoadGauge {
  readonly #options: LoadGaugeOptions;
  #intervalStart: MonoMs | undefined;
  #taken = 0;
  #busyAt: MonoMs | undefined;

  constructor(options: LoadGaugeOptions) {
    this.#options = options;
  }

  /** A handshake's public-key work was done. */
  count(now: MonoMs): void {
    if (this.#intervalStart === undefined || now - this.#intervalStart >= intervalMs) {
      this.#intervalStart = now;
      this.#taken = 0;
    }
    this.#taken++;
    if (this.#taken >= this.#options.busyPerSecond) this.#busyAt = now;
  }

  /** Under load? `depth`: handshake messages that wait now. */
  isUnderLoad(depth: number, now: MonoMs): boolean {
    if (depth >= this.#options.busyDepth) this.#busyAt = now;
    return this.#busyAt !== undefined && now - this.#busyAt < loadMemoryMs;
  }
}
