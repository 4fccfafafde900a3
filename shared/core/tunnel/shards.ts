/**
 * One device split over share-nothing shards: which change each of them gets, and what they are
 * together. Pure. The rule that is kept: whoever a single device would let use an address, and
 * nobody else, is let use it by the shards.
 */

import { assert } from '../base/assert.ts';
import { encodeHex, isZero } from '../base/bytes.ts';
import type { DropCounts, DropReason } from '../base/drop.ts';
import { comparePrefixes, formatPrefix, type Prefix, parsePrefix, prefixContains } from '../base/ip.ts';
import type { DeviceChange, DeviceStatus, PeerChange, PrefixText } from './config.ts';

/** Most shards of one device. */
export const maxShards: number = 16;

/** Which shard a new peer shall live on: 0 to shards - 1. */
export type ShardChoice = (publicKey: Uint8Array) => number;

interface ShardedPeer {
  readonly publicKey: Uint8Array;
  readonly shard: number;
  readonly prefixes: Set<PrefixText>;
}

interface Holding {
  /** Key of the peer that has it. */
  readonly owner: string;
  readonly prefix: Prefix;
}

/**
 * "Nobody": a point of low order, with which no session is possible (RFC 7748 §6.1). On each shard it
 * holds what peers of other shards have inside prefixes of this shard's peers.
 */
const nobody: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0));
const nobodyKey: string = encodeHex(nobody);

/** Remembers where every peer lives. A peer stays on its shard until it is removed. */
export class ShardTable {
  readonly #count: number;
  readonly #choose: ShardChoice | undefined;
  #peers = new Map<string, ShardedPeer>();
  readonly #holdings = new Map<PrefixText, Holding>();
  /** By shard: what "nobody" holds there. */
  #holes: Set<PrefixText>[];
  #ownKey: string | undefined;

  /** Without `choose` a new peer goes where the fewest are. */
  constructor(count: number, choose?: ShardChoice) {
    assert(Number.isInteger(count) && count >= 1 && count <= maxShards, 'the number of shards is in range');
    this.#count = count;
    this.#choose = choose;
    this.#holes = this.#perShard(() => new Set());
  }

  /** Where a peer lives; undefined for strangers. */
  shardOf(publicKey: Uint8Array): number | undefined {
    return this.#peers.get(encodeHex(publicKey))?.shard;
  }

  /**
   * What each shard must be told, by shard; undefined where there is nothing to tell. The port
   * belongs to the first shard: the others keep theirs. `publicKey` is the one of the change's
   * private key. The table counts the change as made.
   */
  split(change: DeviceChange, publicKey: Uint8Array | undefined): readonly (DeviceChange | undefined)[] {
    const lists = this.#perShard<PeerChange[]>(() => []);
    if (change.privateKey !== undefined) {
      this.#ownKey = publicKey === undefined ? undefined : encodeHex(publicKey);
      // No device has itself as a peer.
      if (this.#ownKey !== undefined) this.#forget(this.#ownKey);
    }
    const left = new Map<string, number>();
    if (change.replacePeers === true) this.#forgetAll(left);
    for (const peer of change.peers) this.#place(peer, lists, left);
    this.#dig(lists);
    return lists.map((peers, shard) => partOf(change, peers, shard));
  }

  /** `left`: where peers were that this change has taken away so far. */
  #place(change: PeerChange, lists: readonly PeerChange[][], left: Map<string, number>): void {
    const key = encodeHex(change.publicKey);
    const known = this.#peers.get(key);
    if (key === nobodyKey) return;
    if (change.remove === true) {
      if (known === undefined) return;
      lists[known.shard]!.push(change);
      left.set(key, known.shard);
      this.#forget(key);
      return;
    }
    if (key === this.#ownKey || (known === undefined && change.updateOnly === true)) return;
    const peer = known ?? this.#add(key, change.publicKey, left.get(key));
    if (change.replaceAllowedIps === true) this.#release(peer, key, [...peer.prefixes]);
    this.#release(peer, key, (change.removeAllowedIps ?? []).map(canonical));
    for (const text of change.allowedIps) this.#give(text, key, peer, lists);
    lists[peer.shard]!.push(change);
  }

  #add(key: string, publicKey: Uint8Array, before: number | undefined): ShardedPeer {
    const shard = this.#choose?.(publicKey) ?? before ?? this.#leastLoaded();
    assert(
      Number.isInteger(shard) && shard >= 0 && shard < this.#count,
      'a peer is given to a shard there is',
    );
    const peer: ShardedPeer = { publicKey, shard, prefixes: new Set() };
    this.#peers.set(key, peer);
    return peer;
  }

  #leastLoaded(): number {
    const loads = this.#perShard(() => 0);
    for (const { shard } of this.#peers.values()) loads[shard]!++;
    return loads.indexOf(Math.min(...loads));
  }

  /** Moves a prefix to `peer`. An owner on another shard must be told; its own shard moves it by itself. */
  #give(text: PrefixText, key: string, peer: ShardedPeer, lists: readonly PeerChange[][]): void {
    const prefix = parsePrefix(text);
    assert(prefix !== undefined, 'the prefix was validated');
    const name = formatPrefix(prefix);
    const before = this.#holdings.get(name);
    const loser = before === undefined ? undefined : this.#peers.get(before.owner);
    if (loser !== undefined && loser !== peer) {
      loser.prefixes.delete(name);
      if (loser.shard !== peer.shard) lists[loser.shard]!.push(removal(loser.publicKey, [name]));
    }
    this.#holdings.set(name, { owner: key, prefix });
    peer.prefixes.add(name);
    // Where "nobody" had it on this shard, it has lost it now.
    this.#holes[peer.shard]!.delete(name);
  }

  #release(peer: ShardedPeer, key: string, names: readonly PrefixText[]): void {
    for (const name of names) {
      if (this.#holdings.get(name)?.owner !== key) continue;
      this.#holdings.delete(name);
      peer.prefixes.delete(name);
    }
  }

  #forget(key: string): void {
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    this.#release(peer, key, [...peer.prefixes]);
    this.#peers.delete(key);
  }

  #forgetAll(left: Map<string, number>): void {
    for (const [key, { shard }] of this.#peers) left.set(key, shard);
    this.#peers = new Map();
    this.#holdings.clear();
    this.#holes = this.#perShard(() => new Set());
  }

  /** Brings what "nobody" holds on each shard to where it must be. */
  #dig(lists: readonly PeerChange[][]): void {
    const wanted = this.#wantedHoles();
    for (const [shard, names] of wanted.entries()) {
      const before = this.#holes[shard]!;
      const added = [...names].filter((name) => !before.has(name));
      const gone = [...before].filter((name) => !names.has(name));
      if (added.length === 0 && gone.length === 0) continue;
      const change: PeerChange =
        names.size === 0
          ? { publicKey: nobody, remove: true, allowedIps: [] }
          : { publicKey: nobody, allowedIps: added, removeAllowedIps: gone };
      lists[shard]!.push(change);
    }
    this.#holes = wanted;
  }

  /** By shard: prefixes of other shards' peers that lie in a prefix of its own peers. */
  #wantedHoles(): Set<PrefixText>[] {
    const holes = this.#perShard<Set<PrefixText>>(() => new Set());
    const all = [...this.#holdings.values()];
    // The usual case: every peer has single addresses, and nothing lies in them.
    if (!all.some(({ prefix }) => prefix.bits < prefix.address.length * 8)) return holes;
    all.sort((a, b) => comparePrefixes(a.prefix, b.prefix));
    /** Prefixes around the present one, the widest first. */
    const around: { readonly prefix: Prefix; readonly shard: number }[] = [];
    for (const { owner, prefix } of all) {
      while (around.length > 0 && !prefixContains(around.at(-1)!.prefix, prefix.address)) around.pop();
      const { shard } = this.#peers.get(owner)!;
      for (const outer of around) {
        if (outer.shard !== shard) holes[outer.shard]!.add(formatPrefix(prefix));
      }
      around.push({ prefix, shard });
    }
    return holes;
  }

  #perShard<T>(make: () => T): T[] {
    return Array.from({ length: this.#count }, make);
  }
}

/** All shards as one device: settings and port of the first, everybody's peers, drops added up. */
export function mergeStatuses(statuses: readonly DeviceStatus[]): DeviceStatus {
  const [first] = statuses;
  assert(first !== undefined, 'there is a shard');
  const drops: DropCounts = { ...first.drops };
  for (const status of statuses.slice(1)) {
    for (const [reason, count] of Object.entries(status.drops)) drops[reason as DropReason] += count;
  }
  const suffix = statuses.length === 1 ? '' : `, ${statuses.length} workers`;
  return {
    ...first,
    peers: statuses.flatMap(peersOf),
    drops,
    dataplane: { ...first.dataplane, udp: first.dataplane.udp + suffix },
  };
}

/** The peers of one shard without the one that stands for nobody. */
export function peersOf(status: DeviceStatus): DeviceStatus['peers'] {
  return status.peers.filter((peer) => encodeHex(peer.publicKey) !== nobodyKey);
}

function partOf(change: DeviceChange, peers: readonly PeerChange[], shard: number): DeviceChange | undefined {
  const { privateKey, listenPort, fwmark, disguise, replacePeers } = change;
  const hasPort = listenPort !== undefined && shard === 0;
  const isTold = privateKey !== undefined || fwmark !== undefined || disguise !== undefined;
  const settings = isTold || hasPort || replacePeers === true;
  if (!settings && peers.length === 0) return undefined;
  return {
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(hasPort ? { listenPort } : {}),
    ...(fwmark === undefined ? {} : { fwmark }),
    ...(disguise === undefined ? {} : { disguise }),
    ...(replacePeers === undefined ? {} : { replacePeers }),
    peers,
  };
}

function removal(publicKey: Uint8Array, names: readonly PrefixText[]): PeerChange {
  return { publicKey, updateOnly: true, allowedIps: [], removeAllowedIps: names };
}

function canonical(text: PrefixText): PrefixText {
  const prefix = parsePrefix(text);
  assert(prefix !== undefined, 'the prefix was validated');
  return formatPrefix(prefix);
}

/** The public key of a change's private key, by `publicKey`; undefined where it sets or leaves none. */
export function ownPublicKey(
  change: DeviceChange,
  publicKey: (secretKey: Uint8Array) => Uint8Array,
): Uint8Array | undefined {
  const { privateKey } = change;
  return privateKey === undefined || isZero(privateKey) ? undefined : publicKey(privateKey);
}
