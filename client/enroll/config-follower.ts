/**
 * Keeps the file of the edge in use as the edge wants it: asks after every connect, and then now and again. What
 * changed is taken by a new tunnel. An edge that does not answer is asked again later.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { minuteMs } from '../../shared/core/base/time.ts';
import type { EnrollmentDesk } from './enrollment-desk.ts';

export interface ConfigFollowerParts {
  readonly enrollment: Pick<EnrollmentDesk, 'refresh'>;
  /** The edge that this machine is connected to; undefined while it is not. */
  readonly connectedTo: () => string | undefined;
  readonly reconnect: (edge: string) => void;
  readonly log: Log;
  /** Default: setInterval. Returns what ends it. */
  readonly every?: (periodMs: number, run: () => void) => () => void;
}

const askEveryMs = 5 * minuteMs;

export class ConfigFollower {
  readonly #parts: ConfigFollowerParts;
  readonly #end: () => void;
  #known: string | undefined;

  constructor(parts: ConfigFollowerParts) {
    this.#parts = parts;
    this.#end = (parts.every ?? interval)(askEveryMs, () => void this.#ask());
  }

  /** Call at every change of the connection. */
  handleChange(): void {
    const edge = this.#parts.connectedTo();
    if (edge === this.#known) return;
    this.#known = edge;
    if (edge !== undefined) void this.#ask();
  }

  close(): void {
    this.#end();
  }

  async #ask(): Promise<void> {
    const { enrollment, connectedTo, reconnect, log } = this.#parts;
    const edge = connectedTo();
    if (edge === undefined) return;
    try {
      if (!(await enrollment.refresh(edge))) return;
      log.info('the edge has changed how this machine should set itself up');
      if (connectedTo() === edge) reconnect(edge);
    } catch (cause) {
      log.debug('the edge was not asked for its settings', { why: String(cause) });
    }
  }
}

function interval(periodMs: number, run: () => void): () => void {
  const timer = setInterval(run, periodMs);
  timer.unref();
  return () => clearInterval(timer);
}
