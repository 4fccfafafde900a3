/** What is known about an upstream: counters, and how long its answers take (smoothed as RFC 6298 does). */

import type { MonoMs } from '../../core/base/time.ts';

export interface UpstreamStats {
  queries: number;
  answers: number;
  failures: number;
  connects: number;
  /** Connections whose TLS session was taken up again. */
  resumed: number;
  /** Questions that were asked again because their connection ended. */
  retried: number;
  /** Smoothed, undefined before the first answer. */
  rttMs: number | undefined;
  rttVarianceMs: number;
  lastAnswerAt: MonoMs | undefined;
}

export function noStats(): UpstreamStats {
  return {
    queries: 0,
    answers: 0,
    failures: 0,
    connects: 0,
    resumed: 0,
    retried: 0,
    rttMs: undefined,
    rttVarianceMs: 0,
    lastAnswerAt: undefined,
  };
}

/** Counts an answer that took `rttMs`. */
export function recordAnswer(stats: UpstreamStats, rttMs: number, now: MonoMs): void {
  stats.answers++;
  stats.lastAnswerAt = now;
  if (stats.rttMs === undefined) {
    stats.rttMs = rttMs;
    stats.rttVarianceMs = rttMs / 2;
    return;
  }
  stats.rttVarianceMs += (Math.abs(stats.rttMs - rttMs) - stats.rttVarianceMs) / 4;
  stats.rttMs += (rttMs - stats.rttMs) / 8;
}

/** An answer that takes longer than this is late; `fallbackMs` where nothing is known. */
export function lateAfterMs(stats: UpstreamStats, fallbackMs: number): number {
  return stats.rttMs === undefined ? fallbackMs : stats.rttMs + 4 * stats.rttVarianceMs;
}
