/**
 * Changes of a device as pure functions: what a file asks for, what a device is after a change, and
 * the smallest change between two (as `wg syncconf` finds it). Nothing here touches a device.
 */

import { equalBytes, isZero } from '../base/bytes.ts';
import { noDrops } from '../base/drop.ts';
import type { Endpoint } from '../base/endpoint.ts';
import type { DeviceChange, DeviceStatus, PeerChange, PeerStatus, PrefixText } from '../tunnel/config.ts';
import { isPlain, plainRules, sameRules } from '../wire/disguise-rules.ts';
import { formatHexKey, formatHostPort, parseNumericEndpoint, zeroKey } from './values.ts';
import type { WgConfig, WgPeer } from './wg-config.ts';

/**
 * The change that makes a device what the file says: peers that are not in it go. Settings of the
 * interface that the file leaves out stay as they are. Endpoints are looked up in `resolved` by their
 * text ('host:port'), numeric ones too, which may have to be asked elsewhere; a name that is not found
 * there is left out.
 */
export function toDeviceChange(config: WgConfig, resolved: ReadonlyMap<string, Endpoint>): DeviceChange {
  const { privateKey, listenPort, fwmark, disguise } = config.interface;
  return {
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(listenPort === undefined ? {} : { listenPort }),
    ...(fwmark === undefined ? {} : { fwmark }),
    ...(disguise === undefined ? {} : { disguise }),
    replacePeers: true,
    peers: config.peers.map((peer) => toPeerChange(peer, resolved)),
  };
}

function toPeerChange(peer: WgPeer, resolved: ReadonlyMap<string, Endpoint>): PeerChange {
  const text = peer.endpoint === undefined ? undefined : formatHostPort(peer.endpoint);
  const endpoint = text === undefined ? undefined : (resolved.get(text) ?? parseNumericEndpoint(text));
  return {
    publicKey: peer.publicKey,
    presharedKey: peer.presharedKey ?? zeroKey(),
    ...(endpoint === undefined ? {} : { endpoint }),
    persistentKeepalive: peer.persistentKeepalive ?? 0,
    replaceAllowedIps: true,
    allowedIps: peer.allowedIps,
  };
}

/** A device of which nothing is set. */
export function emptyStatus(): DeviceStatus {
  return {
    privateKey: undefined,
    publicKey: undefined,
    listenPort: 0,
    fwmark: 0,
    peers: [],
    drops: noDrops(),
    dataplane: { suite: 'unknown', udp: 'unknown', tun: 'unknown', mtu: 0 },
  };
}

/**
 * What the settings of a device are after a change, with the protocol's rules: sections in order, a
 * prefix moves to the peer that asked last. A changed private key leaves `publicKey` undefined.
 */
export function applyChange(current: DeviceStatus, change: DeviceChange): DeviceStatus {
  const table = new PeerSettings();
  if (change.replacePeers !== true) for (const peer of current.peers) table.load(peer);
  for (const peer of change.peers) table.apply(peer);
  const { disguise: before, ...rest } = current;
  const disguise = change.disguise ?? before;
  const wasKey = current.privateKey ?? zeroKey();
  const privateKey = change.privateKey ?? wasKey;
  return {
    ...rest,
    privateKey: isZero(privateKey) ? undefined : privateKey,
    publicKey: equalBytes(privateKey, wasKey) ? current.publicKey : undefined,
    listenPort: change.listenPort ?? current.listenPort,
    fwmark: change.fwmark ?? current.fwmark,
    ...(disguise === undefined || isPlain(disguise) ? {} : { disguise }),
    peers: table.peers(),
  };
}

/**
 * The smallest change that turns `current` into `wanted`, which describes all peers, whatever its
 * replacePeers says. Peers that stay as they are are not named, so their sessions live on. A peer
 * whose endpoint is not given in `wanted` keeps the one it has.
 */
export function diffDevice(current: DeviceStatus, wanted: DeviceChange): DeviceChange {
  const target = applyChange(emptyStatus(), wanted);
  const before = new Map(current.peers.map((peer) => [formatHexKey(peer.publicKey), peer]));
  const kept = new Set(target.peers.map((peer) => formatHexKey(peer.publicKey)));

  const peers: PeerChange[] = [];
  for (const [key, { publicKey }] of before) {
    if (!kept.has(key)) peers.push({ publicKey, remove: true, allowedIps: [] });
  }
  for (const peer of target.peers) {
    const change = diffPeer(before.get(formatHexKey(peer.publicKey)), peer);
    if (change !== undefined) peers.push(change);
  }
  const { privateKey, listenPort, fwmark, disguise } = wanted;
  const hasNewDisguise = disguise !== undefined && !sameRules(disguise, current.disguise ?? plainRules);
  const hasNewKey = privateKey !== undefined && !equalBytes(privateKey, current.privateKey ?? zeroKey());
  return {
    ...(hasNewKey ? { privateKey } : {}),
    ...(listenPort === undefined || listenPort === current.listenPort ? {} : { listenPort }),
    ...(fwmark === undefined || fwmark === current.fwmark ? {} : { fwmark }),
    ...(hasNewDisguise ? { disguise } : {}),
    peers,
  };
}

/** Undefined where nothing changes. */
function diffPeer(before: PeerStatus | undefined, peer: PeerStatus): PeerChange | undefined {
  const { publicKey, presharedKey, endpoint, persistentKeepalive, allowedIps } = peer;
  if (before === undefined) {
    return {
      publicKey,
      ...(isZero(presharedKey) ? {} : { presharedKey }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(persistentKeepalive === 0 ? {} : { persistentKeepalive }),
      replaceAllowedIps: true,
      allowedIps,
    };
  }
  const movesEndpoint =
    endpoint !== undefined &&
    (endpoint.address !== before.endpoint?.address || endpoint.port !== before.endpoint.port);
  const changesPrefixes = !sameSet(before.allowedIps, allowedIps);
  const settings = {
    ...(equalBytes(presharedKey, before.presharedKey) ? {} : { presharedKey }),
    ...(movesEndpoint ? { endpoint } : {}),
    ...(persistentKeepalive === before.persistentKeepalive ? {} : { persistentKeepalive }),
    ...(changesPrefixes ? { replaceAllowedIps: true } : {}),
  };
  if (Object.keys(settings).length === 0) return undefined;
  return { publicKey, ...settings, allowedIps: changesPrefixes ? allowedIps : [] };
}

interface OnePeer {
  readonly status: PeerStatus;
  readonly prefixes: Set<PrefixText>;
}

/** Peers by key and who owns each prefix. Bounded by what it is loaded from. */
class PeerSettings {
  readonly #peers = new Map<string, OnePeer>();
  readonly #ownerOf = new Map<PrefixText, string>();

  load(peer: PeerStatus): void {
    const key = formatHexKey(peer.publicKey);
    this.#peers.set(key, { status: peer, prefixes: new Set() });
    for (const prefix of peer.allowedIps) this.#move(prefix, key);
  }

  apply(change: PeerChange): void {
    const key = formatHexKey(change.publicKey);
    const before = this.#peers.get(key);
    if (change.remove === true) {
      this.#drop(key, before?.prefixes ?? []);
      this.#peers.delete(key);
      return;
    }
    if (before === undefined && change.updateOnly === true) return;
    const status = before?.status ?? newPeer(change.publicKey);
    const { presharedKey = status.presharedKey, endpoint = status.endpoint } = change;
    const persistentKeepalive = change.persistentKeepalive ?? status.persistentKeepalive;
    const prefixes = before?.prefixes ?? new Set<PrefixText>();
    this.#peers.set(key, { status: { ...status, presharedKey, endpoint, persistentKeepalive }, prefixes });
    if (change.replaceAllowedIps === true) this.#drop(key, prefixes);
    this.#drop(key, change.removeAllowedIps ?? []);
    for (const prefix of change.allowedIps) this.#move(prefix, key);
  }

  peers(): PeerStatus[] {
    return [...this.#peers.values()].map(({ status, prefixes }) => ({
      ...status,
      allowedIps: [...prefixes],
    }));
  }

  #move(prefix: PrefixText, key: string): void {
    const owner = this.#ownerOf.get(prefix);
    if (owner === key) return;
    if (owner !== undefined) this.#peers.get(owner)?.prefixes.delete(prefix);
    this.#ownerOf.set(prefix, key);
    this.#peers.get(key)?.prefixes.add(prefix);
  }

  /** Takes away those of the prefixes that the peer owns. */
  #drop(key: string, prefixes: Iterable<PrefixText>): void {
    const peer = this.#peers.get(key);
    // Deleting from a set while walking it is safe: the rest is still visited.
    for (const prefix of prefixes) {
      if (this.#ownerOf.get(prefix) !== key) continue;
      this.#ownerOf.delete(prefix);
      peer?.prefixes.delete(prefix);
    }
  }
}

function newPeer(publicKey: Uint8Array): PeerStatus {
  return {
    publicKey,
    presharedKey: zeroKey(),
    endpoint: undefined,
    lastHandshakeMs: 0,
    rxBytes: 0,
    txBytes: 0,
    persistentKeepalive: 0,
    allowedIps: [],
  };
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  const first = new Set(a);
  const second = new Set(b);
  return first.size === second.size && [...first].every((one) => second.has(one));
}
