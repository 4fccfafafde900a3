/** Numbers of the resolver inside the tunnel, without a name in them. Pure. */

import type { AnswererState } from './answerer.ts';

export interface DnsCounts {
  /** Answers that were kept, now. */
  readonly cacheEntries: number;
  /** Questions that the cache answered since the start, and those that it could not. */
  readonly cacheHits: number;
  readonly cacheMisses: number;
  /** Questions to resolvers elsewhere, and how many of them failed. */
  readonly asked: number;
  readonly failed: number;
}

/** All filters together. */
export function dnsCounts(states: readonly AnswererState[]): DnsCounts {
  const sum = (of: (state: AnswererState) => number): number =>
    states.reduce((total, one) => total + of(one), 0);
  const upstreams = states.flatMap((state) => state.upstreams);
  return {
    cacheEntries: sum((state) => state.cacheEntries),
    cacheHits: sum((state) => state.cacheHits),
    cacheMisses: sum((state) => state.cacheMisses),
    asked: upstreams.reduce((total, one) => total + one.queries, 0),
    failed: upstreams.reduce((total, one) => total + one.failures, 0),
  };
}
