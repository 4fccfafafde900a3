/**
 * The log of looked-up names: only while the user has it on, only in memory, only the last ones, gone with the
 * process. Never in reports. Pure.
 */

import type { UnixMs } from '../../shared/core/base/time.ts';

/** Where an answer came from. */
export type AnswerOrigin =
  | 'cache'
  | 'stale'
  | 'upstream'
  | 'network'
  | 'own'
  | 'special'
  | 'blocked'
  | 'rebind'
  | 'failed';

export interface LoggedQuery {
  readonly at: UnixMs;
  readonly name: string;
  readonly type: number;
  readonly origin: AnswerOrigin;
  readonly ms: number;
}

const maxQueries = 1000;

export class QueryLog {
  #queries: LoggedQuery[] = [];
  #isOn = false;

  get isOn(): boolean {
    return this.#isOn;
  }

  /** Turning it off forgets everything. */
  turn(on: boolean): void {
    this.#isOn = on;
    if (!on) this.#queries = [];
  }

  add(query: LoggedQuery): void {
    if (!this.#isOn) return;
    this.#queries.push(query);
    if (this.#queries.length > 2 * maxQueries) this.#queries = this.#queries.slice(-maxQueries);
  }

  /** The last ones, oldest first. */
  list(): readonly LoggedQuery[] {
    return this.#queries.slice(-maxQueries);
  }
}
