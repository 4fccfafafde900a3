/**
 * TCP sequence numbers (RFC 9293 §3.4): signed 32-bit numbers that wrap. Only sums and differences
 * `| 0` have a meaning, and comparisons only between numbers less than 2^31 apart.
 */

/** How far it is from `from` to `to`; negative where `to` lies before. */
export function distance(from: number, to: number): number {
  return (to - from) | 0;
}

export function isBefore(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export function isAtOrBefore(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}

/** The later of two sequence numbers. */
export function later(a: number, b: number): number {
  return ((a - b) | 0) < 0 ? b : a;
}

/** The earlier of two sequence numbers. */
export function earlier(a: number, b: number): number {
  return ((a - b) | 0) < 0 ? a : b;
}

/** Whether `start <= at < start + length`. */
export function isWithin(at: number, start: number, length: number): boolean {
  const from = (at - start) | 0;
  return from >= 0 && from < length;
}
