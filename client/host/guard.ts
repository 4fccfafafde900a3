/**
 * Keeps firewall and routes as they were made while other programs change them: looks after every announcement, and
 * makes ours again. It never gives up, but is slower against a program that keeps at it, and says so.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { type HealthItem, healthItem } from '../../shared/core/control/health.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { afterIdle } from '../../shared/node/idle-timer.ts';

/** What can look whether it still holds, and make it hold again; true where it did not. */
export interface Guarded {
  verify(): Promise<boolean>;
}

export interface HostGuardOptions {
  readonly guarded: readonly Guarded[];
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** Tests give another. */
  readonly schedule?: (work: () => void, delayMs: number) => () => void;
}

/** Repairs within a minute that are nothing special: a firewall that starts, a network that changes. */
const calmRepairs = 5;
const memoryMs = 60_000;
/** The wait before another look, while somebody fights. */
const slowMs = 500;

export class HostGuard {
  readonly #options: HostGuardOptions;
  #repairs: number[] = [];
  #isWorking = false;
  #again = false;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(options: HostGuardOptions) {
    this.#options = options;
  }

  /** Something changed, perhaps by us. */
  handleNews(): void {
    if (this.#isClosed || this.#cancel !== undefined) return;
    if (this.#isWorking) {
      this.#again = true;
      return;
    }
    if (!this.#isFight()) {
      void this.#work();
      return;
    }
    this.#cancel = (this.#options.schedule ?? afterIdle)(() => {
      this.#cancel = undefined;
      void this.#work();
    }, slowMs);
  }

  /** What the user reads about it. */
  health(): readonly HealthItem[] {
    return this.#isFight() ? [healthItem('host-fight')] : [];
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    this.#again = false;
    for (const one of this.#options.guarded) {
      try {
        if (await one.verify()) this.#repairs.push(this.#options.clock.now());
      } catch (error) {
        // The interface may be gone: then the connection makes everything again.
        this.#options.log.debug('what another program changed cannot be repaired', { text: String(error) });
      }
    }
    this.#isWorking = false;
    if (this.#again) this.handleNews();
  }

  #isFight(): boolean {
    const now = this.#options.clock.now();
    this.#repairs = this.#repairs.filter((at) => now - at < memoryMs).slice(-2 * calmRepairs);
    return this.#repairs.length > calmRepairs;
  }
}
