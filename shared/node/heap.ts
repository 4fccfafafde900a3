/** How much garbage a process may gather before it is collected: memory against processor time. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** By so much of what is in use may the heap of long-lived objects grow. The engine's own choice is up to three times it. */
const growthPercent = 120;

/**
 * For a process whose memory is looked at: with a hundred thousand names an edge is some 30 MB smaller by this, at a few
 * percent more processor time per name. Half as much would save 15 MB more and cost bulk a tenth. From here on, for all threads.
 */
export function growHeapSlowly(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}

/**
 * After work the engine wakes every eight seconds, for minutes, until collecting seems to pay; told that memory is what
 * counts, it collects at once and sleeps then. Switching that off (--memory-reducer, at the start alone) made a gigabyte cost
 * a tenth more. For all threads; a process that works says false again.
 */
export function collectSoon(isAsleep: boolean): void {
  setFlagsFromString(isAsleep ? '--optimize-for-size' : '--no-optimize-for-size');
}

/** How a process that sleeps most of its life is started, 40 to 60 MB smaller by these two. */
export const sleeperFlags: readonly string[] = ['--max-semi-space-size=1'];
/** One heap of the C library for all threads. */
export const sleeperEnv: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' };

let collect: (() => void) | undefined;

/** Collects all garbage of this thread, tens of milliseconds. */
export function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
