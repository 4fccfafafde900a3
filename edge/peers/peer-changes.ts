/** From one list of configured peers to another: what the tunnel must be told. Pure; keyed by public key. */

import { formatPrefix } from '../../shared/core/base/ip.ts';
import type { PeerChange } from '../../shared/core/tunnel/config.ts';
import type { ConfiguredPeer } from './configured-peers.ts';

const noKey = new Uint8Array(32);

/**
 * Removals come first, so that an address may pass from a peer that goes to one that comes. Peers that
 * stay the same are left alone: their sessions live on.
 */
export function peerChanges(
  before: readonly ConfiguredPeer[],
  after: readonly ConfiguredPeer[],
): readonly PeerChange[] {
  const old = new Map(before.map((peer) => [keyText(peer.publicKey), peer]));
  const kept = new Set(after.map((peer) => keyText(peer.publicKey)));
  const removed = before
    .filter((peer) => !kept.has(keyText(peer.publicKey)))
    .map((peer): PeerChange => ({ publicKey: peer.publicKey, remove: true, allowedIps: [] }));
  const added = after
    .filter((peer) => !samePeer(old.get(keyText(peer.publicKey)), peer))
    .map(
      (peer): PeerChange => ({
        publicKey: peer.publicKey,
        presharedKey: peer.presharedKey ?? noKey,
        replaceAllowedIps: true,
        allowedIps: peer.allowedIps.map(formatPrefix),
      }),
    );
  return [...removed, ...added];
}

export function keyText(key: Uint8Array): string {
  return Buffer.from(key).toString('base64');
}

/** Names do not matter: the tunnel does not know them. */
function samePeer(a: ConfiguredPeer | undefined, b: ConfiguredPeer): boolean {
  if (a === undefined) return false;
  const prefixes = (peer: ConfiguredPeer): string => peer.allowedIps.map(formatPrefix).join();
  return prefixes(a) === prefixes(b) && keyText(a.presharedKey ?? noKey) === keyText(b.presharedKey ?? noKey);
}
