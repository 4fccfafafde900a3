/**
 * When to look up the name of an edge again: its address may have changed (a home line, a moved server) while it is
 * silent. Pure. The caller looks up outside the tunnel, by the resolver that the firewall lets through.
 */

import { after, type MonoMs, secondMs } from '../../shared/core/base/time.ts';

/** A first look after so much silence; a stall alone is usually the network's fault. */
export const firstLookupAfterMs: number = 5 * secondMs;
export const longestPauseMs: number = 300 * secondMs;
/** Networks that come and go quickly do not make us ask more often than this. */
export const leastPauseMs: number = 2 * secondMs;

export interface LookupState {
  /** Lookups since the edge was last heard. */
  readonly tries: number;
  /** Absent while the edge is heard, and where its endpoints are numbers. */
  readonly at?: MonoMs;
  readonly lastAt?: MonoMs;
}

export const noLookup: LookupState = { tries: 0 };

/** The edge fell silent. `hasName`: at least one endpoint of its file is a name. */
export function silenceBegan(state: LookupState, hasName: boolean, now: MonoMs): LookupState {
  if (!hasName || state.at !== undefined) return state;
  return { ...state, at: notTooSoon(state, after(now, firstLookupAfterMs)) };
}

/** It was heard: all is well with its address. */
export function wasHeard(state: LookupState): LookupState {
  return state.lastAt === undefined ? noLookup : { tries: 0, lastAt: state.lastAt };
}

/** Another network may know another address for the same name (IPv6 only, NAT64, split horizon): look now if silent. */
export function movedToNetwork(state: LookupState, now: MonoMs): LookupState {
  return state.at === undefined ? state : { ...state, tries: 0, at: notTooSoon(state, now) };
}

/** True: look up now, and tell `lookedUp`. */
export function lookupDue(state: LookupState, now: MonoMs): boolean {
  return state.at !== undefined && now >= state.at;
}

/** A lookup begins: the next one later, twice as late each time. */
export function lookedUp(state: LookupState, now: MonoMs): LookupState {
  const tries = Math.min(state.tries + 1, 16);
  const pauseMs = Math.min(firstLookupAfterMs * 2 ** tries, longestPauseMs);
  return { tries, at: after(now, pauseMs), lastAt: now };
}

function notTooSoon(state: LookupState, at: MonoMs): MonoMs {
  return state.lastAt === undefined ? at : (Math.max(at, after(state.lastAt, leastPauseMs)) as MonoMs);
}

/**
 * Which address to try of those that a lookup found, given the one that is silent: another family or address first,
 * the silent one last, since the name may be right and the network wrong. Empty stays empty; order is kept otherwise.
 */
export function orderToTry(found: readonly string[], silent: string | undefined): readonly string[] {
  const unique = [...new Set(found)];
  return [...unique.filter((one) => one !== silent), ...unique.filter((one) => one === silent)];
}
