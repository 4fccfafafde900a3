/**
 * What `wg set` may not change on an edge (product.md §7): the edge's own key and port, and peers that
 * the configuration or the store owns, their addresses included. Everything else passes. Pure.
 */

import { type Prefix, parsePrefix } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { DeviceChange, PeerChange } from '../../shared/core/tunnel/config.ts';
import { type DisguiseRules, plainRules, sameRules } from '../../shared/core/wire/disguise-rules.ts';
import { isInside } from '../network.ts';
import type { ConfiguredPeer } from './configured-peers.ts';
import { keyText } from './peer-changes.ts';

export interface Ownership {
  readonly privateKey: Uint8Array;
  readonly listenPort: number;
  /** Of the configuration; undefined: none. */
  readonly disguise?: DisguiseRules | undefined;
  readonly peers: readonly ConfiguredPeer[];
  /** Of the store. */
  readonly devices?: readonly { readonly prefixes: readonly Prefix[] }[];
  /** Whether the store has a device with this key. */
  readonly isDevice?: (publicKey: Uint8Array) => boolean;
}

const notPermitted = 1; // EPERM

/** Throws 'owned-by-edge' with errno 1 where the change would touch what the configuration owns. */
export function refuseOwned(change: DeviceChange, owned: Ownership): void {
  if (change.privateKey !== undefined && keyText(change.privateKey) !== keyText(owned.privateKey)) refuse();
  if (change.listenPort !== undefined && change.listenPort !== owned.listenPort) refuse();
  if (change.disguise !== undefined && !sameRules(change.disguise, owned.disguise ?? plainRules)) refuse();
  const count = owned.peers.length + (owned.devices?.length ?? 0);
  if (change.replacePeers === true && count > 0) refuse();
  for (const peer of change.peers) refuseOwnedPeer(peer, owned);
}

function refuseOwnedPeer(change: PeerChange, owned: Ownership): void {
  const key = keyText(change.publicKey);
  if (owned.peers.some((peer) => keyText(peer.publicKey) === key)) refuse();
  if (owned.isDevice?.(change.publicKey) === true) refuse();
  const prefixes = [
    ...owned.peers.flatMap((peer) => peer.allowedIps),
    ...(owned.devices ?? []).flatMap((device) => device.prefixes),
  ];
  for (const text of change.allowedIps) {
    const prefix = parsePrefix(text);
    // A prefix that is equal or more exact would take the address away from its owner.
    if (prefix !== undefined && prefixes.some((own) => isInside(prefix, own))) refuse();
  }
}

function refuse(): never {
  throw new CulvertError('owned-by-edge', { errno: notPermitted });
}
