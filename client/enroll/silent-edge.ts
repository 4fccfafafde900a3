/**
 * An enrolled edge does not answer on the tunnel's ports: it may want other ports or another disguise than the file of
 * this machine says. Asks its API, which knows this machine by its bearer, now and again while the connection is sought.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { minuteMs, secondMs } from '../../shared/core/base/time.ts';
import { startIdleTimer } from '../../shared/node/idle-timer.ts';

export interface SilentEdgeParts {
  /** Asks the edge from outside of the tunnel; true where its file has changed. */
  readonly refresh: (edge: string) => Promise<boolean>;
  /** The edge that is sought and not reached; undefined while there is none. */
  readonly soughtEdge: () => string | undefined;
  readonly reconnect: (edge: string) => void;
  readonly log: Log;
  /** Default: setTimeout. Returns what ends it. */
  readonly after?: (delayMs: number, run: () => void) => () => void;
}

/** Later than a usual connect, TLS included, and sooner than patience ends. */
const firstAskMs = 8 * secondMs;
const longestMs = 5 * minuteMs;

export class SilentEdge {
  readonly #parts: SilentEdgeParts;
  #edge: string | undefined;
  #waitMs = firstAskMs;
  #endWait: (() => void) | undefined;

  constructor(parts: SilentEdgeParts) {
    this.#parts = parts;
  }

  /** Call at every change of the connection. */
  handleChange(): void {
    const edge = this.#parts.soughtEdge();
    if (edge === this.#edge) return;
    this.close();
    this.#edge = edge;
    this.#waitMs = firstAskMs;
    if (edge !== undefined) this.#wait(edge);
  }

  close(): void {
    this.#edge = undefined;
    this.#endWait?.();
    this.#endWait = undefined;
  }

  #wait(edge: string): void {
    const { after = startIdleTimer } = this.#parts;
    this.#endWait = after(this.#waitMs, () => void this.#ask(edge));
    this.#waitMs = Math.min(longestMs, this.#waitMs * 2);
  }

  async #ask(edge: string): Promise<void> {
    const { refresh, reconnect, log } = this.#parts;
    const isChanged = await refresh(edge).catch((cause: unknown) => {
      log.debug('the silent edge was not asked for its settings', { why: String(cause) });
      return false;
    });
    if (edge !== this.#edge) return;
    if (isChanged) {
      log.info('the edge has changed how this machine should set itself up');
      reconnect(edge);
    }
    this.#wait(edge);
  }
}
