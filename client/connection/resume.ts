/**
 * What a daemon does first, given what an earlier one left. Pure. Fail closed: a machine that was
 * left closed is opened only where the user had asked for `off`.
 */

import { noEdge, type Reach } from './state.ts';

export interface Leftovers {
  /** The user's last wish: an edge name, or undefined for off. */
  readonly wishedEdge: string | undefined;
  /** That edge is still known. */
  readonly edgeKnown: boolean;
  /** What the mode covers now. */
  readonly reach: Reach;
  /** The journal has changes of this boot that were not undone. */
  readonly changes: boolean;
  /** The setting: resume by itself what was on. */
  readonly autoConnect: boolean;
  /** A pause of the user's is not over. */
  readonly resting: boolean;
}

/** 'restore-and-connect': what is left may belong to a mode for the whole device, and the user has gone to another. */
export type Resumption = 'nothing' | 'restore' | 'connect' | 'restore-and-connect' | 'stay-closed';

export function whatToResume(left: Leftovers): Resumption {
  if (left.resting) return left.changes ? 'restore' : 'nothing';
  const wanted = left.wishedEdge !== undefined;
  if (wanted && left.autoConnect && left.edgeKnown) {
    return left.changes && left.reach !== 'device' ? 'restore-and-connect' : 'connect';
  }
  if (!left.changes) return 'nothing';
  // Private names close nothing, so there is nothing to stay behind: without us names would fail.
  if (left.wishedEdge === noEdge) return 'restore';
  return wanted ? 'stay-closed' : 'restore';
}
