/**
 * Rehearses in quiet moments what a worker will do for every connection, so that the engine has compiled it when the first
 * real ones come: those took twice as long. Gives way to all real work, and is given up where it cannot be done.
 */

import type { Log } from '../../core/base/ports.ts';
import { compileSoon } from '../compile-soon.ts';
import { giveBackCompiled } from '../give-back.ts';

/** What is rehearsed, set up for it alone. */
export interface Rehearsal {
  /** One connection from its beginning to its end. Rejects where that is not to be had here. */
  round(): Promise<void>;
  close(): void | Promise<void>;
}

export interface QuietRehearsalOptions {
  readonly open: () => Promise<Rehearsal>;
  /** Whether there is something real to do. */
  readonly isBusy: () => boolean;
  readonly log: Log;
  /** Default: as many as bring most of what there is to win, for a second's work or less. */
  readonly rounds?: number;
  /** Waits before it begins, and whenever it is in the way. Default: half a second. */
  readonly pauseMs?: number;
}

const usualRounds = 300;
/** Most functions are called once or twice a round. */
const sooner = { maglevCalls: 100, calmCalls: 30 };
const usualPauseMs = 500;
/** Who was busy for so long has done it all for real. */
const maxPauses = 120;

/** Begins after a pause. Returns what ends it, which resolves when nothing of it is left. */
export function rehearseQuietly(options: QuietRehearsalOptions): () => Promise<void> {
  const stop = new AbortController();
  const done = rehearse(options, stop.signal).catch((cause: unknown) => {
    options.log.debug('connections cannot be rehearsed', { why: String(cause) });
  });
  return () => {
    stop.abort();
    return done;
  };
}

async function rehearse(options: QuietRehearsalOptions, stop: AbortSignal): Promise<void> {
  const { open, isBusy, rounds = usualRounds, pauseMs = usualPauseMs } = options;
  await pause(pauseMs, stop);
  if (stop.aborted) return;
  const asUsual = compileSoon(sooner);
  let rehearsal: Rehearsal | undefined;
  try {
    rehearsal = await open();
    let pauses = 0;
    for (let round = 0; round < rounds && !stop.aborted && pauses < maxPauses; ) {
      if (isBusy()) {
        pauses++;
        await pause(pauseMs, stop);
        continue;
      }
      await rehearsal.round();
      round++;
    }
  } finally {
    asUsual();
    await rehearsal?.close();
    giveBackCompiled();
  }
}

/** Resolves when the time is over, or at once where it is stopped. Keeps no program alive. */
function pause(ms: number, stop: AbortSignal): Promise<void> {
  if (stop.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms).unref();
    function end(): void {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      resolve();
    }
    stop.addEventListener('abort', end);
  });
}
