/**
 * When an authenticated packet may change where a peer is (§2.1): always, and only then. The
 * caller has authenticated the packet.
 */

import { endpointSize, sameEndpoint, sameRemote } from '../base/endpoint.ts';

/**
 * Makes `current` (an endpoint record) what the packet's record at `source[at]` says. Returns true
 * where the remote address or port changed; a change of our own side alone is taken over silently.
 */
export function moveEndpoint(current: Uint8Array, source: Uint8Array, at: number): boolean {
  if (sameEndpoint(current, 0, source, at)) return false;
  const moved = !sameRemote(current, 0, source, at);
  for (let i = 0; i < endpointSize; i++) current[i] = source[at + i]!;
  return moved;
}
