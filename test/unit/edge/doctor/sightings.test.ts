// What the edge tells a device of itself: its own counters, its moves, and nothing of others.
import { describe, expect, test } from 'vitest';
import { Sightings } from '../../../../edge/doctor/sightings.ts';
import { noDrops } from '../../../../shared/core/base/drop.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import type { PeerStatus } from '../../../../shared/core/tunnel/config.ts';

const own = new Uint8Array(32).fill(1);
const other = new Uint8Array(32).fill(2);
/** Of the same device, for one session. */
const session = new Uint8Array(32).fill(3);

function peer(publicKey: Uint8Array, change: Partial<PeerStatus> = {}): PeerStatus {
  return {
    publicKey,
    presharedKey: new Uint8Array(32),
    endpoint: { address: '192.0.2.7', port: 4000 },
    lastHandshakeMs: 0,
    rxBytes: 10,
    txBytes: 20,
    persistentKeepalive: 0,
    allowedIps: [],
    ...change,
  };
}

class World {
  now = 10_000_000;
  peers: readonly PeerStatus[] = [peer(own), peer(other)];
  looks = 0;
  readonly sightings: Sightings = new Sightings({
    status: async () => {
      this.looks += 1;
      return { peers: this.peers, drops: { ...noDrops(), 'bad-mac1': 3, 'no-route': 9 } };
    },
    ownerOf: (publicKey) => (publicKey[0] === other[0] ? 'other' : 'own'),
    unixNow: () => unixMs(this.now),
  });
}

describe('what the edge saw of a device', () => {
  test('is its own counters, and of others only whether any was heard', async () => {
    const world = new World();

    const first = await world.sightings.of([own]);
    world.now += 1000;
    world.peers = [peer(own), peer(other, { lastHandshakeMs: world.now - 1000 })];
    const second = await world.sightings.of([own]);

    expect(first.tunnel).toEqual({ endpoint: '192.0.2.7:4000', rxBytes: 10, txBytes: 20, moves: 0 });
    expect([first.othersHeard, second.othersHeard]).toEqual([false, true]);
    expect(first.refused['bad-mac1']).toBe(3);
    expect(first.refused).not.toHaveProperty('no-route');
  });

  test('has its keys for one session in it, which are no others', async () => {
    const world = new World();
    const at = { address: '192.0.2.7', port: 5000 };
    world.peers = [peer(own), peer(session, { lastHandshakeMs: world.now - 1000, endpoint: at })];
    world.sightings.handleEvent({ kind: 'roamed', publicKey: session });

    const seen = await world.sightings.of([own]);
    world.now += 1000;
    world.sightings.handleEvent({ kind: 'roamed', publicKey: own });
    const moved = await world.sightings.of([own]);

    expect(seen.othersHeard).toBe(false);
    expect(seen.tunnel).toMatchObject({ endpoint: '192.0.2.7:5000', rxBytes: 20, txBytes: 40, moves: 1 });
    expect(moved.tunnel?.endpoint).toBe('192.0.2.7:4000');
  });

  test('has the moves of the last five minutes', async () => {
    const world = new World();
    for (let i = 0; i < 3; i++) world.sightings.handleEvent({ kind: 'roamed', publicKey: own });
    world.sightings.handleEvent({ kind: 'roamed', publicKey: other });

    const soon = await world.sightings.of([own]);
    world.now += 5 * 60_000;
    const late = await world.sightings.of([own]);

    expect([soon.tunnel?.moves, late.tunnel?.moves]).toEqual([3, 0]);
  });

  test('is none where the tunnel does not know the device, and says where its quota is used up', async () => {
    const world = new World();
    world.peers = [peer(other)];
    expect((await world.sightings.of([own])).tunnel).toBeUndefined();

    world.now += 1000;
    world.peers = [peer(own, { isSpent: true })];
    expect((await world.sightings.of([own])).spent).toBe(true);
  });

  test('is looked up once for many questions at a time', async () => {
    const world = new World();

    await Promise.all(Array.from({ length: 50 }, () => world.sightings.of([own])));

    expect(world.looks).toBe(1);
  });
});
