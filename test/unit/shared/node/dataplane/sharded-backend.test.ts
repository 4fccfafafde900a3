import { describe, expect, test } from 'vitest';
import type { DeviceChange, DeviceStatus } from '../../../../../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../../../../../shared/core/tunnel/events.ts';
import type { TunnelBackend } from '../../../../../shared/node/dataplane/messages.ts';
import {
  shardedBackend,
  shardInterfaces,
  startShardedTunnel,
} from '../../../../../shared/node/dataplane/sharded-backend.ts';
import { silentLog } from '../../../../../shared/node/silent-log.ts';
import { MemoryTunnel } from '../../../../support/memory-tunnel.ts';

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const peer = (byte: number, ...allowedIps: string[]): DeviceChange['peers'][number] => ({
  publicKey: key(byte),
  allowedIps,
});

/** A shard that keeps settings, and ends when told so. */
class FakeShard implements TunnelBackend {
  readonly kind = 'userspace';
  readonly interfaceName: string;
  readonly tunnel = new MemoryTunnel();
  stops = 0;
  readonly listeners = new Set<(event: TunnelEvent) => void>();
  end: (why: 'gone' | 'failed', detail: string) => void = () => {};

  constructor(interfaceName: string) {
    this.interfaceName = interfaceName;
  }

  configure(change: DeviceChange): Promise<void> {
    return this.tunnel.configure(change);
  }

  status(): Promise<DeviceStatus> {
    return this.tunnel.status();
  }

  onEvent(listener: (event: TunnelEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  onEnd(listener: (why: 'gone' | 'failed', detail: string) => void): void {
    this.end = listener;
  }

  stop(): Promise<void> {
    this.stops++;
    return Promise.resolve();
  }
}

function twoShards() {
  const shards = [new FakeShard('cv0'), new FakeShard('cv0a')] as const;
  const backend = shardedBackend(shards);
  const ends: string[] = [];
  backend.onEnd((why, detail) => ends.push(`${why} ${detail}`));
  return { shards, backend, ends };
}

describe('a tunnel of several shards', () => {
  test('gives every peer to one shard and shows all of them', async () => {
    const { shards, backend } = twoShards();

    await backend.configure({ privateKey: key(9), peers: [peer(1, '10.0.0.1/32'), peer(2, '10.0.0.2/32')] });

    expect(shards.map(({ tunnel }) => tunnel.current.peers.map((one) => one.publicKey[0]))).toEqual([
      [1],
      [2],
    ]);
    expect(shards.map(({ tunnel }) => tunnel.current.privateKey)).toEqual([key(9), key(9)]);
    expect((await backend.status()).peers.map((one) => one.publicKey[0])).toEqual([1, 2]);
    expect((await backend.shards()).map((one) => [one.interfaceName, one.peers.length])).toEqual([
      ['cv0', 1],
      ['cv0a', 1],
    ]);
  });

  test('changes nothing at all where the first port is refused', async () => {
    const { shards, backend, ends } = twoShards();
    shards[0].tunnel.failure = new Error('in use');

    await expect(backend.configure({ listenPort: 5, peers: [peer(1, '10.0.0.1/32')] })).rejects.toThrow(
      'in use',
    );
    await backend.configure({ peers: [peer(2, '10.0.0.2/32')] });

    expect(ends).toEqual([]);
    expect((await backend.status()).peers.map((one) => one.publicKey[0])).toEqual([2]);
  });

  test('ends where one of the shards refuses what another has done', async () => {
    const { shards, backend, ends } = twoShards();
    shards[1].tunnel.failure = new Error('a bug');

    await expect(backend.configure({ privateKey: key(9), peers: [] })).rejects.toThrow('a bug');

    expect(ends).toEqual(['failed a worker refused a change: a bug']);
    expect(shards.map((shard) => shard.stops)).toEqual([1, 1]);
    await expect(backend.configure({ peers: [] })).rejects.toThrow('ended');
  });

  test('ends as a whole where one shard ends, and says so once, also to who asks later', async () => {
    const { shards, backend, ends } = twoShards();

    shards[1].end('gone', 'The network interface is gone.');
    shards[0].end('failed', 'too late');
    const later: string[] = [];
    backend.onEnd((why) => later.push(why));

    expect(ends).toEqual(['gone cv0a: The network interface is gone.']);
    expect(later).toEqual(['gone']);
    expect(shards.map((shard) => shard.stops)).toEqual([1, 1]);
  });

  test('stops every shard, and does not call that an end', async () => {
    const { shards, backend, ends } = twoShards();

    await Promise.all([backend.stop(), backend.stop()]);
    shards[0].end('gone', 'stopped');

    expect(shards.map((shard) => shard.stops)).toEqual([1, 1]);
    expect(ends).toEqual([]);
  });

  test('announces the facts of all shards until the listener leaves', () => {
    const { shards, backend } = twoShards();
    const heard: string[] = [];
    const leave = backend.onEvent((event) => heard.push(`${event.kind} ${event.publicKey[0]}`));
    const say = (shard: FakeShard, byte: number) => {
      for (const listener of shard.listeners) listener({ kind: 'roamed', publicKey: key(byte) });
    };

    say(shards[0], 1);
    say(shards[1], 2);
    leave();
    say(shards[0], 3);

    expect(heard).toEqual(['roamed 1', 'roamed 2']);
  });

  test('makes changes one after the other', async () => {
    const { shards, backend } = twoShards();

    await Promise.all([
      backend.configure({ peers: [peer(1, '10.0.0.1/32')] }),
      backend.configure({ peers: [peer(2, '10.0.0.1/32')] }),
    ]);

    const owners = shards.flatMap(({ tunnel }) =>
      tunnel.current.peers.filter((one) => one.allowedIps.length > 0),
    );
    expect(owners.map((one) => one.publicKey[0])).toEqual([2]);
  });
});

describe('starting several workers', () => {
  const options = { entry: new URL('file:///nowhere'), interfaceName: 'cv0', mtu: 1420, log: silentLog };

  test('names the interfaces after the first, within what the system allows', () => {
    expect(shardInterfaces('cvedge0', 3)).toEqual(['cvedge0', 'cvedge0a', 'cvedge0b']);
    expect(shardInterfaces('exactly15-chars', 1)).toEqual(['exactly15-chars']);
    expect(new Set(shardInterfaces('only14-chars-a', 16)).size).toBe(16);
    expect(() => shardInterfaces('exactly15-chars', 2)).toThrow(
      expect.objectContaining({ code: 'bad-interface-name' }),
    );
  });

  test.each([
    [0, [1]],
    [2, [51820]],
    [17, Array.from({ length: 17 }, (_, i) => i + 1)],
  ])('refuses %i workers with the ports %j', async (shards, ports) => {
    await expect(startShardedTunnel({ ...options, shards, ports })).rejects.toMatchObject({
      code: 'bad-config',
    });
  });
});
