/** What must be taken back, in reverse order of how it was built. A step that fails does not stop the others. */

import type { Log } from '../shared/core/base/ports.ts';

interface Step {
  readonly what: string;
  readonly undo: () => Promise<unknown>;
}

/** Longest time that one step may take. */
const stepTimeoutMs = 5000;

export class Teardown {
  readonly #log: Log;
  readonly #steps: Step[] = [];
  #running: Promise<void> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  add(what: string, undo: () => Promise<unknown>): void {
    this.#steps.push({ what, undo });
  }

  /** Idempotent: the second caller waits for the first. */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    for (const { what, undo } of this.#steps.toReversed()) {
      try {
        await withTimeout(undo(), stepTimeoutMs);
      } catch (cause) {
        this.#log.error(`could not end: ${what}`, { why: String(cause) });
      }
    }
  }
}

function withTimeout(work: Promise<unknown>, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`took longer than ${timeoutMs / 1000} s`)), timeoutMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
