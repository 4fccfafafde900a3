/**
 * What a daemon does first, given what an earlier one left. Pure. Fail closed: a machine that was
 * left closed is opened only where the user had asked for `off`.
 */

export interface Leftovers {
  /** The user's last wish: an edge name, or undefined for off. */
  readonly wishedEdge: string | undefined;
  /** That edge is still known. */
  readonly edgeKnown: boolean;
  /** The journal has changes of this boot that were not undone. */
  readonly changes: boolean;
  /** The setting: resume by itself what was on. */
  readonly autoConnect: boolean;
}

export type Resumption = 'nothing' | 'restore' | 'connect' | 'stay-closed';

export function whatToResume(left: Leftovers): Resumption {
  const wanted = left.wishedEdge !== undefined;
  if (wanted && left.autoConnect && left.edgeKnown) return 'connect';
  if (!left.changes) return 'nothing';
  return wanted ? 'stay-closed' : 'restore';
}
