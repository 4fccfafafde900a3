/**
 * One tunnel made of several packet workers that share nothing: each has its own interface, UDP port
 * and peers. core/tunnel/shards.ts plans, this acts. Fails closed: where one shard ends, all end.
 */

import { assert } from '../../core/base/assert.ts';
import type { Log } from '../../core/base/ports.ts';
import { CulvertError } from '../../core/control/codes.ts';
import { portableSuite } from '../../core/crypto/portable.ts';
import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import {
  maxShards,
  mergeStatuses,
  ownPublicKey,
  peersOf,
  type ShardChoice,
  ShardTable,
} from '../../core/tunnel/shards.ts';
import type { TunnelBackend } from './messages.ts';
import type { ThreadOptions } from './thread-body.ts';
import { startTunnelThread } from './thread-link.ts';

export interface ShardedTunnelOptions extends ThreadOptions {
  /** 1 to maxShards. */
  readonly shards: number;
  /** The program's worker entry: its `packet-thread.ts`. */
  readonly entry: URL;
  readonly log: Log;
  /** Shard `i` listens on `ports[i]`; at least as many as shards. 0 = any. */
  readonly ports: readonly number[];
  /** Where a new peer goes. Default: where the fewest are. Clients must be told that shard's port. */
  readonly shardOf?: ShardChoice;
}

/** One shard: its interface, its port and its own peers. */
export interface ShardStatus {
  readonly interfaceName: string;
  readonly listenPort: number;
  readonly peers: DeviceStatus['peers'];
}

/** A tunnel of several shards. `interfaceName` is the first one's. */
export interface ShardedBackend extends TunnelBackend {
  readonly interfaceNames: readonly string[];
  /** What each shard has, in their order: for routes (core/tunnel/shard-routes.ts) and for people. */
  shards(): Promise<readonly ShardStatus[]>;
}

/** Longest name of an interface. */
const maxNameLength = 15;
const suffixes = 'abcdefghijklmno';

/** Names of the interfaces: the first as given, the others with a letter behind it. */
export function shardInterfaces(interfaceName: string, shards: number): readonly string[] {
  const names = Array.from({ length: shards }, (_, i) => interfaceName + suffixes.slice(i - 1, i));
  if (names.some((name) => name.length > maxNameLength)) {
    throw new CulvertError('bad-interface-name', {
      text: `'${interfaceName}' leaves no room for the letter that several workers need.`,
      remedy: `Choose a name of at most ${maxNameLength - 1} characters.`,
    });
  }
  return names;
}

/** Starts the workers and opens their ports. Rejects with CulvertError; nothing is left behind then. */
export async function startShardedTunnel(options: ShardedTunnelOptions): Promise<ShardedBackend> {
  const { shards, ports, shardOf, interfaceName, ...rest } = options;
  if (!Number.isInteger(shards) || shards < 1 || shards > maxShards || ports.length < shards) {
    throw new CulvertError('bad-config', {
      text: `${shards} workers with ${ports.length} UDP ports: there may be 1 to ${maxShards}, each with a port.`,
    });
  }
  const started: TunnelBackend[] = [];
  try {
    for (const [i, name] of shardInterfaces(interfaceName, shards).entries()) {
      const shard = await startTunnelThread({ ...rest, interfaceName: name });
      started.push(shard);
      await shard.configure({ listenPort: ports[i] ?? 0, peers: [] });
    }
  } catch (cause) {
    await Promise.all(started.map((shard) => shard.stop()));
    throw cause;
  }
  return shardedBackend(started, shardOf);
}

/** Joins running shards without peers into one tunnel. They belong to it from now on. */
export function shardedBackend(shards: readonly TunnelBackend[], shardOf?: ShardChoice): ShardedBackend {
  return new Sharded(shards, shardOf);
}

type EndListener = (why: 'gone' | 'failed', detail: string) => void;

class Sharded implements ShardedBackend {
  readonly kind = 'userspace';
  readonly #shards: readonly TunnelBackend[];
  readonly #table: ShardTable;
  #endListener: EndListener | undefined;
  #ended: { readonly why: 'gone' | 'failed'; readonly detail: string } | undefined;
  #stopping: Promise<void> | undefined;
  /** Changes wait for each other: each builds on the table that the last one left. */
  #last: Promise<void> = Promise.resolve();

  constructor(shards: readonly TunnelBackend[], shardOf: ShardChoice | undefined) {
    this.#shards = shards;
    this.#table = new ShardTable(shards.length, shardOf);
    for (const shard of shards) {
      shard.onEnd((why, detail) => this.#end(why, `${shard.interfaceName}: ${detail}`));
    }
  }

  get interfaceName(): string {
    return this.#shard(0).interfaceName;
  }

  get interfaceNames(): readonly string[] {
    return this.#shards.map((shard) => shard.interfaceName);
  }

  configure(change: DeviceChange): Promise<void> {
    const done = this.#last.then(() => this.#configure(change));
    // Whoever asked learns of the failure; the next change goes on.
    this.#last = done.catch(() => undefined);
    return done;
  }

  async status(): Promise<DeviceStatus> {
    return mergeStatuses(await this.#statuses());
  }

  async shards(): Promise<readonly ShardStatus[]> {
    const statuses = await this.#statuses();
    return statuses.map((status, i) => ({
      interfaceName: this.#shard(i).interfaceName,
      listenPort: status.listenPort,
      peers: peersOf(status),
    }));
  }

  onEvent(listener: (event: TunnelEvent) => void): () => void {
    const ends = this.#shards.map((shard) => shard.onEvent(listener));
    return () => ends.forEach((end) => end());
  }

  onEnd(listener: EndListener): void {
    this.#endListener = listener;
    if (this.#ended !== undefined) listener(this.#ended.why, this.#ended.detail);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  /**
   * Only sockets can refuse, and the first shard's are asked alone and before anything else: nothing
   * has changed then. A refusal after that leaves the shards at odds with each other, so they end.
   */
  async #configure(change: DeviceChange): Promise<void> {
    if (this.#ended !== undefined) {
      throw new CulvertError('internal', { text: 'The tunnel has ended.' });
    }
    const { listenPort, fwmark } = change;
    if (listenPort !== undefined || fwmark !== undefined) {
      await this.#shard(0).configure({
        ...(listenPort === undefined ? {} : { listenPort }),
        ...(fwmark === undefined ? {} : { fwmark }),
        peers: [],
      });
    }
    const parts = this.#table.split(change, ownPublicKey(change, portableSuite.publicKey));
    try {
      await Promise.all(
        parts.map((part, i) => (part === undefined ? Promise.resolve() : this.#shard(i).configure(part))),
      );
    } catch (cause) {
      this.#end(
        'failed',
        `a worker refused a change: ${cause instanceof Error ? cause.message : String(cause)}`,
      );
      throw cause;
    }
  }

  #shard(i: number): TunnelBackend {
    const shard = this.#shards[i];
    assert(shard !== undefined, 'a change is for a shard there is');
    return shard;
  }

  #statuses(): Promise<DeviceStatus[]> {
    return Promise.all(this.#shards.map((shard) => shard.status()));
  }

  #end(why: 'gone' | 'failed', detail: string): void {
    if (this.#ended !== undefined || this.#stopping !== undefined) return;
    this.#ended = { why, detail };
    // The survivors must not go on with a part of the peers.
    void this.#stopAll();
    this.#endListener?.(why, detail);
  }

  async #stopAll(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.stop()));
  }
}
