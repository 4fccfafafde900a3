/**
 * One flow's connection by the chosen path, and by the next ones where that fails or takes too long: whoever is
 * connected first has it. Nothing was sent before that, so the application never notices. Tells what each path did.
 */

import type { Duplex } from 'node:stream';
import type { MonoMs } from '../../shared/core/base/time.ts';
import { type EgressPath, PathError, type PathTarget } from './path.ts';

/** Time and timers, so that a simulation can bring its own. */
export interface Timing {
  now(): MonoMs;
  /** Returns the function that takes it back. */
  after(ms: number, run: () => void): () => void;
}

/** What became of one attempt. 'slow': another was faster, and this one was given up. */
export interface AttemptEnd {
  readonly path: string;
  readonly startedAt: MonoMs;
  readonly endedAt: MonoMs;
  readonly outcome: 'connected' | 'slow' | 'failed' | 'given-up';
  readonly error: unknown;
}

export interface RaceOptions {
  /** In the order of tries; the first must be there. */
  readonly paths: readonly EgressPath[];
  readonly target: PathTarget;
  readonly signal: AbortSignal;
  /** The first attempt may take so long before the next begins as well. */
  readonly patienceMs: number;
  readonly timing: Timing;
}

export interface RaceResult {
  readonly stream: Duplex | undefined;
  readonly attempts: readonly AttemptEnd[];
  /** What the asker is told where there is no stream: the first path's reason. */
  readonly error: unknown;
}

interface Attempt {
  readonly path: EgressPath;
  readonly startedAt: MonoMs;
  readonly stop: AbortController;
  end: Omit<AttemptEnd, 'path' | 'startedAt'> | undefined;
}

/** After a refusal from the destination the others may take so long at most, or a closed port would look slow. */
const afterRefusalMs = 400;

/** Never rejects. */
export function race(options: RaceOptions): Promise<RaceResult> {
  const [path, other] = options.paths;
  if (path !== undefined && other === undefined) return dialOnly(path, options);
  return new Promise((resolve) => new Race(options, resolve).start());
}

/** Nobody to race with, as for nearly every flow of nearly every edge: then there is nothing to set up either. */
function dialOnly(path: EgressPath, { target, signal, timing }: RaceOptions): Promise<RaceResult> {
  const startedAt = timing.now();
  const ended = (outcome: AttemptEnd['outcome'], stream: Duplex | undefined, error: unknown): RaceResult => ({
    stream,
    attempts: [{ path: path.id, startedAt, endedAt: timing.now(), outcome, error }],
    error,
  });
  const givenUp = (): RaceResult => ({ ...ended('given-up', undefined, undefined), error: signal.reason });
  return path.dialTcp(target, signal).then(
    (stream) => {
      if (!signal.aborted) return ended('connected', stream, undefined);
      // Both came within one turn.
      stream.on('error', () => undefined);
      stream.destroy();
      return givenUp();
    },
    (error: unknown) => (signal.aborted ? givenUp() : ended('failed', undefined, error)),
  );
}

class Race {
  readonly #options: RaceOptions;
  readonly #resolve: (result: RaceResult) => void;
  readonly #attempts: Attempt[] = [];
  #cancelTimer: () => void = () => undefined;
  #isOver = false;

  constructor(options: RaceOptions, resolve: (result: RaceResult) => void) {
    this.#options = options;
    this.#resolve = resolve;
  }

  start(): void {
    const { signal } = this.#options;
    if (signal.aborted) {
      this.#finish(undefined, signal.reason);
      return;
    }
    signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#startNext();
  }

  readonly #onAbort = (): void => this.#finish(undefined, this.#options.signal.reason);

  #startNext(): void {
    const { paths, timing, target, patienceMs } = this.#options;
    this.#cancelTimer();
    const path = paths[this.#attempts.length];
    if (path === undefined || this.#isOver) return;
    const attempt: Attempt = {
      path,
      startedAt: timing.now(),
      stop: new AbortController(),
      end: undefined,
    };
    this.#attempts.push(attempt);
    if (paths[this.#attempts.length] !== undefined) {
      this.#cancelTimer = timing.after(patienceMs, () => this.#startNext());
    }
    path.dialTcp(target, attempt.stop.signal).then(
      (stream) => this.#connected(attempt, stream),
      (error: unknown) => this.#failed(attempt, error),
    );
  }

  #connected(attempt: Attempt, stream: Duplex): void {
    if (this.#isOver) {
      // Both were connected within one turn.
      stream.on('error', () => undefined);
      stream.destroy();
      return;
    }
    this.#end(attempt, 'connected', undefined);
    this.#finish(stream, undefined);
  }

  #failed(attempt: Attempt, error: unknown): void {
    if (this.#isOver) return;
    this.#end(attempt, 'failed', error);
    if (this.#attempts.length < this.#options.paths.length && !this.#wasRefusedTwice()) {
      this.#startNext();
    }
    if (this.#attempts.every((one) => one.end !== undefined)) {
      this.#finish(undefined, this.#firstError());
    } else if (isRefusal(error)) {
      this.#cancelTimer();
      this.#cancelTimer = this.#options.timing.after(afterRefusalMs, () =>
        this.#finish(undefined, this.#firstError()),
      );
    }
  }

  /** Two paths that bring the same refusal: the destination has spoken. */
  #wasRefusedTwice(): boolean {
    return this.#attempts.filter((one) => isRefusal(one.end?.error)).length > 1;
  }

  /** A refusal by the destination says more than a path's trouble. */
  #firstError(): unknown {
    const errors = this.#attempts.map((one) => one.end?.error).filter((error) => error !== undefined);
    return errors.find(isRefusal) ?? errors[0];
  }

  #end(attempt: Attempt, outcome: AttemptEnd['outcome'], error: unknown): void {
    attempt.end = { endedAt: this.#options.timing.now(), outcome, error };
  }

  #finish(stream: Duplex | undefined, error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimer();
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    for (const attempt of this.#attempts) {
      if (attempt.end !== undefined) continue;
      this.#end(attempt, stream === undefined ? 'given-up' : 'slow', undefined);
      attempt.stop.abort(new PathError('destination', 'timeout', 'Another path was faster.'));
    }
    const attempts = this.#attempts.map(({ path, startedAt, end }) => ({
      path: path.id,
      startedAt,
      endedAt: end?.endedAt ?? startedAt,
      outcome: end?.outcome ?? 'given-up',
      error: end?.error,
    }));
    this.#resolve({ stream, attempts, error });
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof PathError && error.of === 'destination' && error.kind === 'refused';
}
