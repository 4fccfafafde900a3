/**
 * Keeps the file of the edge in use as the edge wants it: listens to the edge, and asks after every connect and now
 * and again where it cannot. What changed is taken by a new tunnel. An edge that says that it ends is remembered,
 * and looked for again soon.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { minuteMs, secondMs } from '../../shared/core/base/time.ts';
import type { ConfigEvent } from '../../shared/core/registration/config-events.ts';
import { startIdleTimer } from '../../shared/node/idle-timer.ts';
import type { EdgeEvents } from './edge-events.ts';
import type { EnrollmentDesk } from './enrollment-desk.ts';
import type { SilentEdge } from './silent-edge.ts';

export type LookEvent = Extract<ConfigEvent, { kind: 'look-from-outside' }>;

export interface ConfigFollowerParts {
  readonly enrollment: Pick<EnrollmentDesk, 'refresh' | 'listen'>;
  /** The edge that this machine is connected to; undefined while it is not. */
  readonly connectedTo: () => string | undefined;
  readonly reconnect: (edge: string) => void;
  /** An edge says that it ends. Whoever goes elsewhere meanwhile does not go back for it. */
  readonly onStopping?: (edge: string) => void;
  /** The edge wants to know what of it can be reached from here. */
  readonly onLook?: (edge: string, asked: LookEvent) => void;
  /** Asks an edge that is sought and not reached. */
  readonly silent?: Pick<SilentEdge, 'handleChange' | 'close'>;
  readonly log: Log;
  /** Default: setInterval. Returns what ends it. */
  readonly every?: (periodMs: number, run: () => void) => () => void;
  /** Default: setTimeout. Returns what ends it. */
  readonly after?: (delayMs: number, run: () => void) => () => void;
}

const askEveryMs = 5 * minuteMs;
const firstRetryMs = 5 * secondMs;
const longestRetryMs = 5 * minuteMs;
/** An edge that restarts takes about as long. */
const usualAbsenceMs = secondMs;
const longestAbsenceMs = minuteMs;

export class ConfigFollower {
  readonly #parts: ConfigFollowerParts;
  readonly #end: () => void;
  #known: string | undefined;
  #events: EdgeEvents | undefined;
  #endWait: (() => void) | undefined;
  #retryMs = firstRetryMs;
  /** The edge that said it ends. */
  #stopping: string | undefined;

  constructor(parts: ConfigFollowerParts) {
    this.#parts = parts;
    this.#end = (parts.every ?? interval)(askEveryMs, () => void this.#ask());
  }

  /** From the edge's farewell until it is there again. */
  get isEdgeStopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** Call at every change of the connection. */
  handleChange(): void {
    this.#parts.silent?.handleChange();
    const edge = this.#parts.connectedTo();
    if (edge === this.#known) return;
    this.#known = edge;
    this.#hangUp();
    if (edge === undefined) return;
    this.#stopping = undefined;
    this.#retryMs = firstRetryMs;
    void this.#ask();
    void this.#listen(edge);
  }

  /** Whoever turns protection off waits for no edge. */
  forget(): void {
    this.#stopping = undefined;
  }

  close(): void {
    this.#end();
    this.#parts.silent?.close();
    this.#known = undefined;
    this.#hangUp();
  }

  #hangUp(): void {
    this.#events?.close();
    this.#events = undefined;
    this.#endWait?.();
    this.#endWait = undefined;
  }

  async #listen(edge: string): Promise<void> {
    const { enrollment, log } = this.#parts;
    try {
      const events = await enrollment.listen(edge, (event) => this.#hear(edge, event));
      if (events === undefined) return;
      if (edge !== this.#known) {
        events.close();
        return;
      }
      this.#events = events;
      this.#retryMs = firstRetryMs;
      await events.done;
      if (this.#events === events) this.#events = undefined;
    } catch (cause) {
      log.debug('the edge is asked now and again instead of listened to', { why: String(cause) });
    }
    if (edge !== this.#known) return;
    const waitMs = this.#retryMs;
    this.#retryMs = Math.min(longestRetryMs, waitMs * 2);
    this.#endWait = (this.#parts.after ?? startIdleTimer)(waitMs, () => void this.#listen(edge));
  }

  #hear(edge: string, event: ConfigEvent): void {
    if (edge !== this.#known) return;
    if (event.kind === 'config-changed') {
      void this.#ask();
      return;
    }
    if (event.kind === 'look-from-outside') {
      this.#parts.onLook?.(edge, event);
      return;
    }
    const { reconnect, log, after = startIdleTimer } = this.#parts;
    log.info('the edge ends and may come back');
    this.#stopping = edge;
    const absenceMs = Math.min(longestAbsenceMs, event.backInMs ?? usualAbsenceMs);
    this.#parts.onStopping?.(edge);
    this.#endWait?.();
    this.#endWait = after(absenceMs, () => {
      if (this.#parts.connectedTo() === edge) reconnect(edge);
    });
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
