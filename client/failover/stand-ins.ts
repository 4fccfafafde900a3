/**
 * Which edges may take over from another: those that carry all that it carries. Pure. A tunnel of everything must never
 * become one of less by itself: what it no longer carries would leave in the open.
 */

import { type Prefix, parsePrefix } from '../../shared/core/base/ip.ts';
import type { WgConfig } from '../../shared/core/uapi/wg-config.ts';
import { difference } from '../split/prefix-set.ts';

interface Candidate {
  readonly name: string;
  readonly config: Pick<WgConfig, 'peers'>;
}

/** Names, in the order given. None where `edge` itself is not among them. */
export function standIns(edges: readonly Candidate[], edge: string): readonly string[] {
  const present = edges.find(({ name }) => name === edge);
  if (present === undefined) return [];
  const carried = carriedBy(present);
  return edges
    .filter((one) => one !== present && difference(carried, carriedBy(one))?.length === 0)
    .map(({ name }) => name);
}

function carriedBy({ config }: Candidate): readonly Prefix[] {
  return config.peers.flatMap(({ allowedIps }) => allowedIps.flatMap((text) => parsePrefix(text) ?? []));
}
