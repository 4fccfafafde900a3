/**
 * The two clocks, as two types that the compiler keeps apart. The core never reads a clock:
 * `now` is always a parameter.
 */

/** Milliseconds of a monotonic clock that also counts while the machine sleeps. For durations and deadlines. */
export type MonoMs = number & { readonly __clock: 'mono' };

/** Milliseconds since 1970-01-01 UTC. For the outside world: timestamps in messages, logs, statuses. */
export type UnixMs = number & { readonly __clock: 'unix' };

export const secondMs: number = 1000;
export const minuteMs: number = 60 * secondMs;

/** Marks a number as monotonic milliseconds. Only clocks and tests call this. */
export function monoMs(value: number): MonoMs {
  return value as MonoMs;
}

/** Marks a number as Unix milliseconds. Only clocks and tests call this. */
export function unixMs(value: number): UnixMs {
  return value as UnixMs;
}

/** `now` plus a duration, still on the same clock. */
export function after(now: MonoMs, durationMs: number): MonoMs {
  return (now + durationMs) as MonoMs;
}
