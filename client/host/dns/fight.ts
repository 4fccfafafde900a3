/**
 * Somebody writes the file that we wrote: how often do we write it again? A few times, since a new lease is honest;
 * then we stop and say who it was, since two programs that fight forever help nobody. Pure, told the time.
 */

import type { MonoMs } from '../../../shared/core/base/time.ts';

export interface Fight {
  /** When we wrote again, oldest first. */
  readonly rounds: readonly MonoMs[];
}

export const noFight: Fight = { rounds: [] };

export const maxRounds = 5;
export const roundsWithinMs = 30_000;

/** What to do about a foreign write at `now`. After 'stop', nothing is written until the next connection. */
export function answerWrite(fight: Fight, now: MonoMs): readonly [Fight, 'again' | 'stop'] {
  const recent = fight.rounds.filter((at) => now - at < roundsWithinMs);
  if (recent.length >= maxRounds) return [{ rounds: recent }, 'stop'];
  return [{ rounds: [...recent, now] }, 'again'];
}
