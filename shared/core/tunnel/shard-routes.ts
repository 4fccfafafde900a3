/**
 * Which of a sharded device's interfaces leads to which address: the kernel's routes do between
 * shards what allowed addresses do within one. Pure.
 */

import type { PeerStatus, PrefixText } from './config.ts';

export interface ShardRoute {
  readonly prefix: PrefixText;
  readonly interfaceName: string;
}

/** One shard as its routes see it. */
export interface ShardPeers {
  readonly interfaceName: string;
  readonly peers: readonly Pick<PeerStatus, 'allowedIps'>[];
}

export interface RouteChanges {
  readonly remove: readonly ShardRoute[];
  readonly add: readonly ShardRoute[];
}

/** A route for every allowed prefix, those of the first shard too: a wider one may lead to another. */
export function shardRoutes(shards: readonly ShardPeers[]): readonly ShardRoute[] {
  return shards.flatMap(({ interfaceName, peers }) =>
    peers.flatMap(({ allowedIps }) => allowedIps.map((prefix) => ({ prefix, interfaceName }))),
  );
}

/** What must change. A prefix that moved is only in `add`: adding replaces. */
export function routeChanges(before: readonly ShardRoute[], after: readonly ShardRoute[]): RouteChanges {
  const old = new Map(before.map((route) => [route.prefix, route.interfaceName]));
  const kept = new Set(after.map((route) => route.prefix));
  return {
    remove: before.filter((route) => !kept.has(route.prefix)),
    add: after.filter((route) => old.get(route.prefix) !== route.interfaceName),
  };
}
