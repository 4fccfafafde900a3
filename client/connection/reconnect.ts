/**
 * When to try again, when to say that something is slow, and when trying again is useless. Pure.
 */

import { after, type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import type { ErrorCode } from '../../shared/core/control/codes.ts';

/** Without a handshake for this long, `status` says so. Trying goes on. */
export const handshakeTimeoutMs: number = 15 * secondMs;
/** Likewise without an answer through the tunnel; a stock server answers after 10 s at the latest. */
export const replyTimeoutMs: number = 15 * secondMs;
/** Pause between two probes while we wait for an answer. */
export const probeEveryMs: number = 2 * secondMs;

/** While the edge does not answer, a new session is asked for this often, and slower the longer it lasts. */
export function renewEveryMs(silentMs: number): number {
  if (silentMs < 10 * secondMs) return 1.5 * secondMs;
  return silentMs < 90 * secondMs ? 5 * secondMs : 15 * secondMs;
}

const firstRetryMs = secondMs;
const longestRetryMs = 30 * secondMs;
/** Doubling stops here; keeps the number small for ever. */
const maxCountedFailures = 16;

/** When to try again after `failures` failed tries in a row (at least 1). */
export function retryAt(now: MonoMs, failures: number): MonoMs {
  const doublings = Math.min(Math.max(failures, 1), maxCountedFailures) - 1;
  return after(now, Math.min(firstRetryMs * 2 ** doublings, longestRetryMs));
}

export function oneMoreFailure(failures: number): number {
  return Math.min(failures + 1, maxCountedFailures);
}

/** Problems that only a person can solve: trying again by ourselves would be noise. */
const permanent: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'not-root',
  'no-tun',
  'ffi-unavailable',
  'tool-missing',
  'bad-config',
  'bad-interface-name',
  'interface-exists',
  'unknown-edge',
  'unsupported-mode',
]);

export function isPermanent(code: ErrorCode): boolean {
  return permanent.has(code);
}
