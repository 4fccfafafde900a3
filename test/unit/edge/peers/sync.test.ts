import { describe, expect, test } from 'vitest';
import type { PeerStore } from '../../../../edge/peers/store.ts';
import { openSqliteStore } from '../../../../edge/peers/store-sqlite.ts';
import { DeviceSync } from '../../../../edge/peers/sync.ts';
import type { DeviceChanges } from '../../../../edge/peers/sync-plan.ts';
import { type UnixMs, unixMs } from '../../../../shared/core/base/time.ts';
import type { PeerChange } from '../../../../shared/core/tunnel/config.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';
import { act, keyOf, newDevice, start } from '../../../contract/peer-store-arrangement.ts';

/** What a tunnel would have after all changes. */
class World {
  readonly store: PeerStore = openSqliteStore(':memory:');
  readonly peers = new Map<string, readonly string[]>();
  readonly changes: DeviceChanges[] = [];
  now: UnixMs = start;
  fails = false;

  startSync(): Promise<DeviceSync> {
    return DeviceSync.start({
      store: this.store,
      apply: async (changes) => {
        if (this.fails) throw new Error('no tunnel');
        this.changes.push(changes);
        for (const peer of changes.peers) this.#apply(peer);
      },
      unixNow: () => this.now,
      log: silentLog,
    });
  }

  /** Number of the key → its addresses. */
  get tunnel(): Record<number, number> {
    return Object.fromEntries(
      [...this.peers].map(([key, addresses]) => [Buffer.from(key, 'hex').readUInt32BE(0), addresses.length]),
    );
  }

  #apply(peer: PeerChange): void {
    const key = Buffer.from(peer.publicKey).toString('hex');
    if (peer.remove === true) {
      this.peers.delete(key);
      return;
    }
    // An address belongs to the last that asked for it.
    for (const [other, addresses] of this.peers) {
      this.peers.set(
        other,
        addresses.filter((one) => !peer.allowedIps.includes(one)),
      );
    }
    this.peers.set(key, peer.allowedIps);
  }
}

describe('a tunnel in step with the store', () => {
  test('begins with every device that may connect', async () => {
    const world = new World();
    for (let i = 1; i <= 3; i++) await world.store.addDevice(newDevice(i), {}, act());
    await world.store.changeDevice('device000002', { enabled: false }, act());
    await world.store.changeDevice('device000003', { expiresAt: start }, act());

    const sync = await world.startSync();

    expect(world.tunnel).toEqual({ 1: 2 });
    expect(sync.devices.size).toBe(3);
    expect(world.changes).toHaveLength(1);
    expect(world.changes[0]?.peers[0]?.allowedIps[0]).toMatch(/^10\.83\.\d+\.\d+\/32$/);
  });

  test('follows a new, a disabled, an enabled and a removed device', async () => {
    const world = new World();
    const sync = await world.startSync();

    await world.store.addDevice(newDevice(1), {}, act());
    await sync.nudge();
    expect(world.tunnel).toEqual({ 1: 2 });

    await world.store.changeDevice('device000001', { enabled: false }, act());
    await sync.nudge();
    expect(world.tunnel).toEqual({});
    expect(world.changes.at(-1)?.cut).toMatchObject([{ id: 'device000001', addresses: { length: 2 } }]);

    await world.store.changeDevice('device000001', { enabled: true }, act());
    await sync.nudge();
    expect(world.tunnel).toEqual({ 1: 2 });

    await world.store.removeDevice('device000001', start, act());
    await sync.nudge();
    expect(world.tunnel).toEqual({});
    expect(world.changes.at(-1)).toMatchObject({ removed: ['device000001'], cut: [{ id: 'device000001' }] });
    expect(sync.deviceOf(keyOf(1))).toBeUndefined();
  });

  test('tells of a limit without touching the tunnel', async () => {
    const world = new World();
    await world.store.addDevice(newDevice(1), {}, act());
    const sync = await world.startSync();

    await world.store.changeDevice('device000001', { rateBps: 5 }, act());
    await sync.nudge();

    expect(world.changes.at(-1)).toMatchObject({ peers: [], cut: [], changed: [{ rateBps: 5 }] });
  });

  test('cuts a device when its time is over, and not before', async () => {
    const world = new World();
    await world.store.addDevice(newDevice(1), {}, act());
    await world.store.changeDevice('device000001', { expiresAt: unixMs(start + 1000) }, act());
    const sync = await world.startSync();

    world.now = unixMs(start + 999);
    await sync.look();
    expect(world.tunnel).toEqual({ 1: 2 });

    world.now = unixMs(start + 1000);
    await sync.look();
    expect(world.tunnel).toEqual({});
    expect(world.changes.at(-1)?.cut).toHaveLength(1);
  });

  test('keeps addresses at the former key until the new one is heard', async () => {
    const world = new World();
    await world.store.addDevice(newDevice(1), {}, act());
    const sync = await world.startSync();
    await world.store.rotateKey('device000001', keyOf(11), unixMs(start + 60_000), act());

    await sync.nudge();
    expect(world.tunnel).toEqual({ 1: 2, 11: 0 });
    expect(sync.deviceOf(keyOf(1))?.id).toBe('device000001');

    await sync.heard(keyOf(1));
    expect(world.tunnel).toEqual({ 1: 2, 11: 0 });

    await sync.heard(keyOf(11));
    expect(world.tunnel).toEqual({ 11: 2 });
    expect(world.changes.flatMap(({ cut }) => cut)).toEqual([]);
  });

  test('ends the overlap of two keys by time, too', async () => {
    const world = new World();
    await world.store.addDevice(newDevice(1), {}, act());
    const sync = await world.startSync();
    await world.store.rotateKey('device000001', keyOf(11), unixMs(start + 60_000), act());
    await sync.nudge();

    world.now = unixMs(start + 60_000);
    await sync.look();

    expect(world.tunnel).toEqual({ 11: 2 });
  });

  test('does the same again after the tunnel refused, and tells once', async () => {
    const world = new World();
    const sync = await world.startSync();
    world.fails = true;
    await world.store.addDevice(newDevice(1), {}, act());
    await sync.nudge();
    await world.store.removeDevice('device000001', start, act());
    await world.store.addDevice(newDevice(2), {}, act());
    await sync.look();
    expect(world.tunnel).toEqual({});

    world.fails = false;
    await sync.look();

    expect(world.tunnel).toEqual({ 2: 2 });
  });

  test('answers many nudges with few changes, and each after its own write', async () => {
    const world = new World();
    const sync = await world.startSync();
    const before = world.changes.length;

    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        await world.store.addDevice(newDevice(i), {}, act());
        await sync.nudge();
        expect(world.tunnel[i]).toBe(2);
      }),
    );

    expect(world.changes.length - before).toBeLessThan(10);
  });
});
