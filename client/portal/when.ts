/**
 * When the network is asked whether it wants a sign-in: not while all is well, soon where connecting stalls, often while
 * somebody signs in. Pure.
 */

import { after, type MonoMs, minuteMs, secondMs } from '../../shared/core/base/time.ts';
import type { ConnectionState } from '../connection/state.ts';

/** Connecting may take so long before anybody wonders. */
export const troubleMs: number = 1.5 * secondMs;
/** While somebody may be signing in. */
export const watchEveryMs: number = secondMs;
/** While nobody does. */
const idleEveryMs: number = 5 * secondMs;
/** After questions that found nothing, one after the other; the last again and again. */
const againMs: readonly number[] = [3, 10, 30, 60].map((seconds) => seconds * secondMs);
/** Another network: its DHCP and DNS have a moment to settle. */
export const settleMs: number = 300;
const signInMs: number = 5 * minuteMs;

export interface Looking {
  /** Since when the connection is in trouble. */
  readonly troubleSince?: MonoMs | undefined;
  /** When the last questions ended. */
  readonly lastAt?: MonoMs | undefined;
  /** Questions in this trouble that found nothing. */
  readonly fruitless: number;
  /** Since when a sign-in is known. */
  readonly portalSince?: MonoMs | undefined;
  /** Another network, and nobody has asked it. */
  readonly movedAt?: MonoMs | undefined;
}

/** True where the network may be why nothing comes back. */
export function isTroubled(state: ConnectionState): boolean {
  switch (state.kind) {
    case 'connecting':
      return state.closed && state.phase !== 'naming' && state.phase !== 'preparing';
    case 'waiting':
      return state.retryAt !== undefined;
    default:
      return false;
  }
}

/** When to ask next; undefined: not before something changes. */
export function lookAt(state: ConnectionState, looking: Looking, now: MonoMs): MonoMs | undefined {
  const { troubleSince, lastAt, fruitless, portalSince, movedAt } = looking;
  if (portalSince !== undefined || state.kind === 'portal') {
    const isWatched =
      state.kind === 'portal' ? state.opensUntil !== undefined : now - (portalSince ?? now) < signInMs;
    return lastAt === undefined ? now : after(lastAt, isWatched ? watchEveryMs : idleEveryMs);
  }
  if (movedAt !== undefined && (isTroubled(state) || state.kind === 'dns')) return after(movedAt, settleMs);
  if (!isTroubled(state) || troubleSince === undefined) return undefined;
  const first = after(troubleSince, troubleMs);
  if (lastAt === undefined || fruitless === 0) return first;
  const again = after(lastAt, againMs[Math.min(fruitless, againMs.length) - 1] ?? minuteMs);
  return again > first ? again : first;
}
