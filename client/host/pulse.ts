/**
 * Keeps a finger on a running tunnel: reads its counters when liveness/stall.ts wants to see them, sends the probes
 * that it asks for, and says when the verdict changes. Decides nothing itself.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { afterIdle } from '../../shared/node/idle-timer.ts';
import { type StallOptions, StallWatch, type TunnelCounters } from '../liveness/stall.ts';

export type PulseFact = { readonly kind: 'stalled' } | { readonly kind: 'recovered' };

export interface PulseOptions {
  /** Undefined while there is no tunnel. */
  readonly status: () => Promise<DeviceStatus | undefined>;
  /** Sends one packet into the tunnel that the far end answers. */
  readonly probe: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly onFact: (fact: PulseFact) => void;
  /** Tests give another. */
  readonly schedule?: (work: () => void, delayMs: number) => () => void;
}

export class Pulse {
  readonly #options: PulseOptions;
  #watch: StallWatch | undefined;
  #cancel: (() => void) | undefined;
  #isTicking = false;
  #sentBytes = 0;
  #onLarge: (() => void) | undefined;
  #tickAgain = false;

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  /** For a tunnel that just proved to work. Ends what ran before. */
  start(options: StallOptions): void {
    this.stop();
    this.#watch = new StallWatch(options, this.#options.clock.now());
    this.#sentBytes = 0;
    this.#tick();
  }

  /**
   * The machine woke or moved, or the device announced an unanswered send: asks the far end at once. `onLarge` is called
   * where so much was sent since the last look that a large packet may be among it.
   */
  doubt(onLarge?: () => void): void {
    if (this.#watch === undefined) return;
    this.#onLarge = onLarge ?? this.#onLarge;
    this.#watch.handleDoubt();
    this.#tick();
  }

  /** No fact comes after this, and nothing wakes the machine. Idempotent. */
  stop(): void {
    this.#watch = undefined;
    this.#onLarge = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #tick(): void {
    if (this.#isTicking) {
      this.#tickAgain = true;
      return;
    }
    this.#cancel?.();
    this.#cancel = undefined;
    this.#isTicking = true;
    void this.#lookUntilQuiet();
  }

  /** Looks once, and again where somebody asked for it meanwhile. Never rejects but for a bug in a listener. */
  async #lookUntilQuiet(): Promise<void> {
    let delayMs: number | undefined;
    try {
      do {
        this.#tickAgain = false;
        const watch = this.#watch;
        delayMs = watch === undefined ? undefined : await this.#look(watch);
      } while (this.#tickAgain);
    } finally {
      this.#isTicking = false;
    }
    if (delayMs !== undefined && this.#watch !== undefined) this.#later(delayMs);
  }

  /** Resolves with the pause until the next look, undefined where there is none. */
  async #look(watch: StallWatch): Promise<number | undefined> {
    const { status, probe, clock, log, onFact } = this.#options;
    let found: DeviceStatus | undefined;
    try {
      found = await status();
    } catch (error) {
      log.debug('the tunnel could not be looked at', { text: String(error) });
      return retryMs;
    }
    if (watch !== this.#watch) return 0;
    if (found === undefined) return undefined;
    const before = watch.verdict;
    const counters = countersOf(found);
    if (counters.txBytes - this.#sentBytes >= largeBytes) this.#onLarge?.();
    this.#onLarge = undefined;
    this.#sentBytes = counters.txBytes;
    const said = watch.tick(counters, clock.now());
    if (said.probe) {
      // A probe that cannot be sent is one that is not answered.
      probe().catch((error: unknown) => log.debug('the probe was not sent', { text: String(error) }));
    }
    if (said.verdict !== before) onFact({ kind: said.verdict === 'stalled' ? 'stalled' : 'recovered' });
    return Math.max(0, said.nextAt - clock.now());
  }

  #later(delayMs: number): void {
    this.#cancel?.();
    this.#cancel = (this.#options.schedule ?? afterIdle)(() => {
      this.#cancel = undefined;
      this.#tick();
    }, Math.ceil(delayMs));
  }
}

const retryMs = 1000;
/** IPv6 promises that so much passes (RFC 8200 §5). */
const largeBytes = 1280;

/** Of all peers together. */
export function countersOf({ peers }: Pick<DeviceStatus, 'peers'>): TunnelCounters {
  return {
    txBytes: peers.reduce((sum, peer) => sum + peer.txBytes, 0),
    rxBytes: peers.reduce((sum, peer) => sum + peer.rxBytes, 0),
    lastHandshakeMs: peers.reduce((latest, peer) => Math.max(latest, peer.lastHandshakeMs), 0),
  };
}
