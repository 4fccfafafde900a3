import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeHex } from '../../../../../shared/core/base/bytes.ts';
import { parseAddress, parsePrefix, prefixContains } from '../../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import type { DeviceChange, DeviceStatus, PeerStatus } from '../../../../../shared/core/tunnel/config.ts';
import { TunnelDevice } from '../../../../../shared/core/tunnel/device.ts';
import { routeChanges, shardRoutes } from '../../../../../shared/core/tunnel/shard-routes.ts';
import { mergeStatuses, peersOf, ShardTable } from '../../../../../shared/core/tunnel/shards.ts';
import { applyChange, emptyStatus } from '../../../../../shared/core/uapi/device-change.ts';
import { seededEntropy } from '../../../../support/seeded.ts';
import { fixedSeed, keys, prefixTexts, statuses } from '../uapi/arbitraries.ts';

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const add = (byte: number, ...allowedIps: string[]): DeviceChange['peers'][number] => ({
  publicKey: key(byte),
  allowedIps,
});

const rarely = fc.integer({ min: 0, max: 7 }).map((n) => n === 0);
const prefixes = fc.uniqueArray(fc.constantFrom(...prefixTexts), { maxLength: 3 });

/** Mostly additions, so that peers meet: few keys, few prefixes, one inside the other. */
const peerChanges = fc
  .record({
    publicKey: keys,
    remove: rarely,
    updateOnly: rarely,
    replaceAllowedIps: rarely,
    allowedIps: prefixes,
    removeAllowedIps: prefixes,
    persistentKeepalive: fc.integer({ min: 0, max: 9 }),
  })
  .map(({ removeAllowedIps, ...peer }) =>
    peer.remove
      ? { publicKey: peer.publicKey, remove: true, allowedIps: [] }
      : { ...peer, removeAllowedIps: removeAllowedIps.filter((one) => !peer.allowedIps.includes(one)) },
  );
const changes: fc.Arbitrary<DeviceChange> = fc.record({
  replacePeers: rarely,
  peers: fc.array(peerChanges, { maxLength: 6 }),
});

/** Several devices that keep settings alone, told by one table. */
class Shards {
  readonly table: ShardTable;
  devices: DeviceStatus[];

  constructor(count: number, choose?: (publicKey: Uint8Array) => number) {
    this.table = new ShardTable(count, choose);
    this.devices = Array.from({ length: count }, emptyStatus);
  }

  apply(change: DeviceChange): readonly (DeviceChange | undefined)[] {
    const parts = this.table.split(change, undefined);
    this.devices = this.devices.map((device, i) => {
      const part = parts[i];
      return part === undefined ? device : applyChange(device, part);
    });
    return parts;
  }
}

/** Settings in an order of their own. */
function settings(peers: readonly PeerStatus[]): unknown {
  return peers
    .map((peer) => ({
      ...peer,
      publicKey: encodeHex(peer.publicKey),
      allowedIps: peer.allowedIps.toSorted(),
    }))
    .toSorted((a, b) => (a.publicKey < b.publicKey ? -1 : 1));
}

/** Whose packets a device lets through from `address`: longest prefix, the slow way. */
function userOf(device: DeviceStatus, address: Uint8Array): string | undefined {
  let best = -1;
  let user: string | undefined;
  for (const peer of device.peers) {
    for (const text of peer.allowedIps) {
      const prefix = parsePrefix(text)!;
      if (prefix.bits <= best || !prefixContains(prefix, address)) continue;
      best = prefix.bits;
      user = encodeHex(peer.publicKey);
    }
  }
  return user;
}

const addresses = ['10.7.0.2', '10.7.0.3', '10.8.0.1', '192.0.2.1', 'fd00::2', 'fd00::3', '2001:db8::1'].map(
  (text) => parseAddress(text)!,
);

describe('a device split over shards', () => {
  test('has the same peers with the same settings as one device, after any changes', () => {
    fc.assert(
      fc.property(
        fc.array(changes, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 4 }),
        (many, n) => {
          const shards = new Shards(n);
          let one = emptyStatus();
          for (const change of many) {
            one = applyChange(one, change);
            shards.apply(change);

            expect(settings(mergeStatuses(shards.devices).peers)).toEqual(settings(one.peers));
          }
        },
      ),
      fixedSeed,
    );
  });

  test('lets the same peers use the same addresses as one device does, nested prefixes too', () => {
    fc.assert(
      fc.property(
        fc.array(changes, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 2, max: 4 }),
        (many, n) => {
          const shards = new Shards(n);
          let one = emptyStatus();
          for (const change of many) {
            one = applyChange(one, change);
            shards.apply(change);
          }

          for (const address of addresses) {
            const user = userOf(one, address);
            for (const device of shards.devices) {
              for (const peer of peersOf(device)) {
                const name = encodeHex(peer.publicKey);
                expect(userOf(device, address) === name).toBe(user === name);
              }
            }
          }
        },
      ),
      fixedSeed,
    );
  });

  test('lets the routes of the kernel lead to the peer that one device would choose', () => {
    fc.assert(
      fc.property(fc.array(changes, { minLength: 1, maxLength: 6 }), (many) => {
        const shards = new Shards(3);
        let one = emptyStatus();
        for (const change of many) {
          one = applyChange(one, change);
          shards.apply(change);
        }

        const named = shards.devices.map((device, i) => ({
          interfaceName: `cv${i}`,
          peers: peersOf(device),
          device,
        }));
        const table = shardRoutes(named).map(({ prefix, interfaceName }) => ({
          ...emptyStatus().peers[0]!,
          publicKey: key(Number(interfaceName.slice(2))),
          allowedIps: [prefix],
        }));
        for (const address of addresses) {
          const through = userOf({ ...emptyStatus(), peers: table }, address);
          const shard = named.find(
            ({ interfaceName }) => encodeHex(key(Number(interfaceName.slice(2)))) === through,
          );
          expect(shard === undefined ? undefined : userOf(shard.device, address)).toBe(userOf(one, address));
        }
      }),
      fixedSeed,
    );
  });

  test('never moves a peer while it is there', () => {
    fc.assert(
      fc.property(fc.array(changes, { minLength: 2, maxLength: 6 }), (many) => {
        const shards = new Shards(3);
        const homes = new Map<string, number>();
        for (const change of many) {
          shards.apply(change);
          for (const [i, device] of shards.devices.entries()) {
            for (const { publicKey } of peersOf(device)) {
              const name = encodeHex(publicKey);
              // A peer that went and came back within one change has not been away either.
              expect(homes.get(name) ?? i).toBe(i);
              expect(shards.table.shardOf(publicKey)).toBe(i);
              homes.set(name, i);
            }
          }
          for (const name of homes.keys()) {
            const stays = shards.devices.some((one) =>
              one.peers.some((peer) => encodeHex(peer.publicKey) === name),
            );
            if (!stays) homes.delete(name);
          }
        }
      }),
      fixedSeed,
    );
  });

  test('gives new peers to the shard that has the fewest', () => {
    const shards = new Shards(3);

    shards.apply({ peers: [1, 2, 3, 4, 5, 6, 7].map((n) => add(n, `10.0.0.${n}/32`)) });
    shards.apply({ peers: [{ publicKey: key(2), remove: true, allowedIps: [] }, add(9, '10.0.0.9/32')] });

    expect(shards.devices.map((device) => device.peers.map((peer) => peer.publicKey[0]))).toEqual([
      [1, 4, 7],
      [5, 9],
      [3, 6],
    ]);
  });

  test('gives new peers to the shard that the caller names, and asks again after a removal', () => {
    let home = 1;
    const shards = new Shards(2, () => home);
    shards.apply({ peers: [add(1, '10.0.0.1/32')] });
    home = 0;

    shards.apply({ peers: [add(1, '10.0.0.2/32')] });
    const stayed = shards.table.shardOf(key(1));
    shards.apply({ peers: [{ publicKey: key(1), remove: true, allowedIps: [] }, add(1, '10.0.0.3/32')] });

    expect([stayed, shards.table.shardOf(key(1))]).toEqual([1, 0]);
    expect(shards.devices.map((device) => device.peers.length)).toEqual([1, 0]);
  });

  test('takes an address away from its old owner on another shard, however it is written', () => {
    const shards = new Shards(2);
    shards.apply({ peers: [add(1, 'fd00::2/128'), add(2, '10.0.0.2/32')] });

    const parts = shards.apply({ peers: [add(2, 'fd00:0:0::2/128')] });

    expect(parts[0]).toEqual({
      peers: [{ publicKey: key(1), updateOnly: true, allowedIps: [], removeAllowedIps: ['fd00::2/128'] }],
    });
    expect(shards.devices[0]!.peers[0]!.allowedIps).toEqual([]);
  });

  test('tells a shard nothing that is not its business', () => {
    const shards = new Shards(2);
    shards.apply({ peers: [add(1, '10.0.0.1/32'), add(2, '10.0.0.2/32')] });

    expect(shards.apply({ listenPort: 7, peers: [] })).toEqual([{ listenPort: 7, peers: [] }, undefined]);
    expect(shards.apply({ fwmark: 9, peers: [] })).toEqual([
      { fwmark: 9, peers: [] },
      { fwmark: 9, peers: [] },
    ]);
    expect(shards.apply({ peers: [{ ...add(2), persistentKeepalive: 5 }] })[0]).toBeUndefined();
    expect(shards.apply({ peers: [{ ...add(8, '10.0.0.1/32'), updateOnly: true }] })).toEqual([
      undefined,
      undefined,
    ]);
  });

  test('has no peer with its own key, and takes nothing away for it', () => {
    const secret = key(21);
    const own = portableSuite.publicKey(secret);
    const table = new ShardTable(2);
    const devices = [1, 2, 3].map((seed) => {
      const device = new TunnelDevice({ suite: portableSuite, entropy: seededEntropy(seed), mtu: 1420 });
      return { device, prefixes: () => device.status().peers.flatMap((peer) => peer.allowedIps) };
    });
    const [single, ...shards] = devices;
    const wide = { publicKey: key(4), allowedIps: ['10.0.0.0/8'] };
    const self = { publicKey: own, allowedIps: ['10.0.0.1/32', '10.0.0.5/32'] };
    for (const change of [
      { peers: [wide, self] },
      { privateKey: secret, peers: [{ publicKey: key(3), allowedIps: ['10.0.0.1/32'] }, self] },
    ]) {
      single!.device.configure(change, monoMs(1));
      for (const [i, part] of table.split(change, own).entries()) {
        if (part !== undefined) shards[i]!.device.configure(part, monoMs(1));
      }
    }

    const merged = mergeStatuses(shards.map(({ device }) => ({ ...emptyStatus(), ...device.status() })));

    expect(merged.peers.flatMap((peer) => peer.allowedIps).toSorted()).toEqual(single!.prefixes().toSorted());
    expect(new Set(merged.peers.map((peer) => peer.publicKey[0]))).toEqual(new Set([3, 4]));
    // What it held inside the wide prefix belongs to that peer again.
    const home = { ...emptyStatus(), ...shards[table.shardOf(key(4))!]!.device.status() };
    expect(userOf(home, parseAddress('10.0.0.5')!)).toBe(encodeHex(key(4)));
  });

  test('ignores a peer with the key that stands for nobody', () => {
    const shards = new Shards(2);
    const one = key(0);
    one[0] = 1;

    const parts = shards.apply({ peers: [{ publicKey: one, allowedIps: ['10.0.0.1/32'] }] });

    expect(parts).toEqual([undefined, undefined]);
  });
});

describe('the status of all shards', () => {
  test('adds up drops and keeps the settings of the first', () => {
    fc.assert(
      fc.property(statuses, statuses, (a, b) => {
        const first = { ...a, drops: { ...a.drops, 'no-route': 3 } };
        const second = { ...b, peers: [], drops: { ...b.drops, 'no-route': 4, 'bad-tag': 1 } };

        const merged = mergeStatuses([first, second]);

        expect(merged).toMatchObject({ listenPort: a.listenPort, fwmark: a.fwmark, peers: a.peers });
        expect(merged.drops).toEqual({ ...a.drops, 'no-route': 7, 'bad-tag': 1 });
      }),
      fixedSeed,
    );
  });
});

describe('routes between shards', () => {
  test('change where a peer comes, moves or goes, and only there', () => {
    const route = (prefix: string, interfaceName: string) => ({ prefix, interfaceName });
    const before = [route('10.0.0.1/32', 'cv0'), route('10.0.0.2/32', 'cv0'), route('10.0.0.3/32', 'cv0a')];
    const after = [route('10.0.0.1/32', 'cv0'), route('10.0.0.2/32', 'cv0a'), route('10.0.0.4/32', 'cv0a')];

    expect(routeChanges(before, after)).toEqual({
      remove: [route('10.0.0.3/32', 'cv0a')],
      add: [route('10.0.0.2/32', 'cv0a'), route('10.0.0.4/32', 'cv0a')],
    });
    expect(routeChanges(after, after)).toEqual({ remove: [], add: [] });
  });
});
