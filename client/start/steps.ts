/** The acts of a demonstration, one line each. A signal ends the wait for whatever is being done. */

import { failedLine, type Look, stepLine } from './screen.ts';

/** Thrown between and inside steps once a signal has come. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

export class Steps {
  readonly #look: Look;
  readonly #print: (text: string) => void;
  readonly #stopping = new AbortController();
  /** Resolves once a signal has come. */
  readonly stopped: Promise<void>;
  #stoppedBy: NodeJS.Signals | undefined;

  constructor(look: Look, print: (text: string) => void) {
    this.#look = look;
    this.#print = print;
    this.stopped = new Promise((resolve) => {
      this.#stopping.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** The first signal that came. */
  get stoppedBy(): NodeJS.Signals | undefined {
    return this.#stoppedBy;
  }

  stop(signal: NodeJS.Signals): void {
    this.#stoppedBy ??= signal;
    this.#stopping.abort();
  }

  /** Does one thing and prints its line, with the time it took or that `tookMs` tells. */
  async step<T>(text: string, act: () => Promise<T>, tookMs?: (result: T) => number): Promise<T> {
    const began = performance.now();
    try {
      if (this.#stopping.signal.aborted) throw new Interrupted();
      const result = await Promise.race([act(), this.#interrupted()]);
      this.#print(stepLine(this.#look, text, tookMs?.(result) ?? performance.now() - began));
      return result;
    } catch (cause) {
      if (this.#stoppedBy === undefined) this.#print(failedLine(this.#look, text));
      throw cause;
    }
  }

  async #interrupted(): Promise<never> {
    await this.stopped;
    throw new Interrupted();
  }
}
