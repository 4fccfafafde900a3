/** Where an edge is inside its own tunnel, seen from this machine. Pure. */

import type { ConnectionState } from '../connection/state.ts';
import type { EdgeStore } from '../settings/edges.ts';

/** Undefined unless all traffic of this machine goes through a proven tunnel to that edge. */
export function gatewayIn(
  state: ConnectionState,
  edges: Pick<EdgeStore, 'profile'>,
  edge: string,
): string | undefined {
  if (state.kind !== 'connected' || state.reach !== 'device' || state.edge !== edge) return undefined;
  // An edge names itself as the resolver of its devices.
  return edges.profile(edge).config.interface.dns[0];
}
