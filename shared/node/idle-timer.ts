/** Timers that keep no program alive: what they would do is nobody's loss when the program ends. */

/** Calls `run` after that time, unless what it returns is called before. */
export function startIdleTimer(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}

/** The same where the work is named first, as schedules of small machines have it. */
export function afterIdle(work: () => void, delayMs: number): () => void {
  return startIdleTimer(delayMs, work);
}
