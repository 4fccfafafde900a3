/**
 * What `wg set` may not change on an edge (product.md §7): the edge's own key and port, and peers that
 * the configuration owns, their addresses included. Everything else passes. Pure.
 */

import { parsePrefix } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { DeviceChange, PeerChange } from '../../shared/core/tunnel/config.ts';
import { isInside } from '../network.ts';
import type { ConfiguredPeer } from './configured-peers.ts';
import { keyText } from './peer-changes.ts';

export interface Ownership {
  readonly privateKey: Uint8Array;
  readonly listenPort: number;
  readonly peers: readonly ConfiguredPeer[];
}

const notPermitted = 1; // EPERM

/** Throws 'owned-by-edge' with errno 1 where the change would touch what the configuration owns. */
export function refuseOwned(change: DeviceChange, owned: Ownership): void {
  if (change.privateKey !== undefined && keyText(change.privateKey) !== keyText(owned.privateKey)) refuse();
  if (change.listenPort !== undefined && change.listenPort !== owned.listenPort) refuse();
  if (change.replacePeers === true && owned.peers.length > 0) refuse();
  for (const peer of change.peers) refuseOwnedPeer(peer, owned.peers);
}

function refuseOwnedPeer(change: PeerChange, owned: readonly ConfiguredPeer[]): void {
  const key = keyText(change.publicKey);
  if (owned.some((peer) => keyText(peer.publicKey) === key)) refuse();
  for (const text of change.allowedIps) {
    const prefix = parsePrefix(text);
    // A prefix that is equal or more exact would take the address away from its owner.
    const taken = owned.some((peer) =>
      peer.allowedIps.some((own) => prefix !== undefined && isInside(prefix, own)),
    );
    if (taken) refuse();
  }
}

function refuse(): never {
  throw new CulvertError('owned-by-edge', { errno: notPermitted });
}
