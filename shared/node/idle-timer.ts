/** A timer that keeps no program alive: what it would do is nobody's loss when the program ends. */

/** Calls `run` after that time, unless what it returns is called before. */
export function startIdleTimer(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}
