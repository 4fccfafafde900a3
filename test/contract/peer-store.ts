/** What every PeerStore promises of devices, whatever it is made of; peer-store-records.ts has the rest. */

import { describe, expect, test } from 'vitest';
import { retention } from '../../edge/peers/store.ts';
import { unixMs } from '../../shared/core/base/time.ts';
import {
  act,
  enrolment,
  invited,
  keyOf,
  newDevice,
  poolOf,
  type StoreWorld,
  start,
  withStoreOf,
} from './peer-store-arrangement.ts';

const minute = 60_000;

export function peerStoreContract(name: string, open: () => StoreWorld): void {
  const withStore = withStoreOf(open);

  describe(`${name}: enrolment`, () => {
    test(
      'makes a device with an address of every pool, found by id, name, key and bearer',
      withStore(async ({ store }) => {
        await invited(store, 1);

        const outcome = await store.enrol(enrolment(1, 1, { platform: 'linux x64' }), act());

        expect(outcome).toMatchObject({ kind: 'enrolled', again: false });
        const device = await store.device('device000001');
        expect(device).toMatchObject({
          name: 'device 1',
          publicKey: keyOf(1),
          platform: 'linux x64',
          kind: 'enrolled',
          enabled: true,
          createdAt: start,
          path: undefined,
        });
        expect(device?.addresses[0]).toMatch(/^10\.83\./);
        expect(device?.addresses[1]).toMatch(/^fd7c:1f2e:9a40:/);
        expect(await store.deviceByName('DEVICE 1')).toEqual(device);
        expect(await store.deviceByKey(keyOf(1))).toEqual(device);
        expect(await store.deviceByBearer(keyOf(800_001))).toEqual(device);
        expect(await store.deviceByBearer(keyOf(2))).toBeUndefined();
        expect(await store.deviceCount()).toBe(1);
      }),
    );

    test(
      'uses an invitation up for another key, and answers the same key again with a new bearer',
      withStore(async ({ store }) => {
        await invited(store, 1);
        await store.enrol(enrolment(1, 1), act());

        const other = await store.enrol(enrolment(2, 1), act());
        const again = await store.enrol(enrolment(3, 1, { publicKey: keyOf(1) }), act());

        expect(other).toEqual({ kind: 'refused', why: 'invite-used' });
        expect(again).toMatchObject({ kind: 'enrolled', again: true, device: { id: 'device000001' } });
        expect(await store.deviceCount()).toBe(1);
        expect((await store.deviceByBearer(keyOf(800_003)))?.id).toBe('device000001');
        expect(await store.deviceByBearer(keyOf(800_001))).toBeUndefined();
      }),
    );

    test(
      'does not bring back a removed device by its old invitation',
      withStore(async ({ store }) => {
        await invited(store, 1, 2);
        await store.enrol(enrolment(1, 1), act());
        await store.removeDevice('device000001', unixMs(start + 1), act());

        expect(await store.enrol(enrolment(2, 1, { publicKey: keyOf(1) }), act())).toEqual({
          kind: 'refused',
          why: 'invite-used',
        });
      }),
    );

    test(
      'refuses what is unknown, expired, or has a key that is taken, and changes nothing then',
      withStore(async ({ store }) => {
        await invited(store, 1, 5, minute);
        await store.enrol(enrolment(1, 1), act());
        const before = [await store.revision(), await store.devices(), await store.invites()];

        const unknown = await store.enrol(enrolment(2, 2), act());
        const late = await store.enrol(enrolment(2, 1), act(start + minute));
        await invited(store, 3);
        const taken = await store.enrol(enrolment(2, 3, { publicKey: keyOf(1) }), act());
        await store.removeInvite('invite3', act());

        expect(unknown).toEqual({ kind: 'refused', why: 'invite-unknown' });
        expect(late).toEqual({ kind: 'refused', why: 'invite-expired' });
        expect(taken).toEqual({ kind: 'refused', why: 'key-taken' });
        expect([await store.revision(), await store.devices(), await store.invites()]).toEqual(before);
      }),
    );

    test(
      'counts the uses of an invitation exactly, from two connections at once',
      withStore(async ({ store, second }) => {
        await invited(store, 1, 10);
        const other = second();

        const outcomes = await Promise.all(
          Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? store : other).enrol(enrolment(i, 1), act())),
        );
        other.close();

        expect(outcomes.filter(({ kind }) => kind === 'enrolled')).toHaveLength(10);
        expect(await store.deviceCount()).toBe(10);
        expect((await store.invites())[0]).toMatchObject({ uses: 10, usesLeft: 0 });
      }),
    );

    test(
      'gives a name that is taken an ending, and keeps names unique',
      withStore(async ({ store }) => {
        await invited(store, 1, 20);
        const names: string[] = [];
        for (let i = 0; i < 12; i++) {
          const outcome = await store.enrol(enrolment(i, 1, { name: i === 0 ? 'Phone' : 'phone' }), act());
          if (outcome.kind === 'enrolled') names.push(outcome.device.name);
        }

        expect(names.slice(0, 3)).toEqual(['Phone', 'phone-2', 'phone-3']);
        expect(new Set(names.map((one) => one.toLowerCase())).size).toBe(12);
      }),
    );
  });

  describe(`${name}: addresses`, () => {
    test(
      'never gives one twice, nor the edge’s own, and says when there is none left',
      withStore(async ({ store, second }) => {
        const small = [poolOf('10.9.0.0/28', '10.9.0.4/30')];
        const other = second();

        const outcomes = [];
        for (let i = 0; i < 12; i++) {
          outcomes.push(
            await (i % 2 === 0 ? store : other).addDevice(newDevice(i, { pools: small }), {}, act()),
          );
        }
        other.close();

        const given = outcomes.flatMap((one) => (one.kind === 'added' ? one.device.addresses : []));
        expect(given.toSorted()).toEqual(
          [2, 3, 8, 9, 10, 11, 12, 13, 14].map((last) => `10.9.0.${last}`).toSorted(),
        );
        expect(outcomes.at(-1)).toEqual({ kind: 'refused', why: 'no-address-left' });
      }),
    );

    test(
      'keeps a released address in quarantine',
      withStore(async ({ store }) => {
        const single = [poolOf('10.9.0.0/30')];
        await store.addDevice(newDevice(1, { pools: single }), {}, act());
        const freeAt = unixMs(start + retention.quarantineMs);
        await store.removeDevice('device000001', freeAt, act());

        const early = await store.addDevice(newDevice(2, { pools: single }), {}, act(freeAt - 1));
        const late = await store.addDevice(newDevice(2, { pools: single }), {}, act(freeAt));

        expect(early).toEqual({ kind: 'refused', why: 'no-address-left' });
        expect(late).toMatchObject({ kind: 'added', device: { addresses: ['10.9.0.2'] } });
      }),
    );
  });

  describe(`${name}: changes`, () => {
    test(
      'come back as written, null takes away, and an equal change is none',
      withStore(async ({ store }) => {
        await store.addDevice(newDevice(1), { path: 'fra' }, act());
        const patch = {
          name: 'laptop',
          enabled: false,
          path: null,
          granted: ['fra', 'direct'],
          tags: ['kids', 'work'],
          families: 'malware' as const,
          quotaBytes: 5,
          rateBps: 6,
          expiresAt: unixMs(start + 9),
        };

        const changed = await store.changeDevice('device000001', patch, act());
        const revision = await store.revision();
        const repeated = await store.changeDevice('device000001', patch, act());
        const cleared = await store.changeDevice(
          'device000001',
          { granted: null, tags: [], families: null, expiresAt: null },
          act(),
        );

        expect(changed).toMatchObject({ kind: 'changed', device: { ...patch, path: undefined } });
        expect(repeated).toEqual(changed);
        expect(await store.revision()).toBe(revision + 1);
        expect(cleared).toMatchObject({
          device: { granted: undefined, tags: [], families: undefined, expiresAt: undefined, name: 'laptop' },
        });
      }),
    );

    test(
      'refuse a taken name and an unknown device',
      withStore(async ({ store }) => {
        await store.addDevice(newDevice(1), {}, act());
        await store.addDevice(newDevice(2), {}, act());

        expect(await store.changeDevice('device000002', { name: 'Device 1' }, act())).toEqual({
          kind: 'refused',
          why: 'name-taken',
        });
        expect(await store.changeDevice('nobody', { enabled: false }, act())).toEqual({
          kind: 'refused',
          why: 'not-found',
        });
        expect(await store.addDevice(newDevice(3, { name: 'device 2' }), {}, act())).toEqual({
          kind: 'refused',
          why: 'name-taken',
        });
      }),
    );

    test(
      'of a key keep the former one for a while, and both belong to the device',
      withStore(async ({ store }) => {
        await store.addDevice(newDevice(1), {}, act());
        await store.addDevice(newDevice(2), {}, act());
        const until = unixMs(start + minute);

        const rotated = await store.rotateKey('device000001', keyOf(11), until, act());
        const revision = await store.revision();
        const repeated = await store.rotateKey('device000001', keyOf(11), until, act());
        const stolen = await store.rotateKey('device000001', keyOf(2), until, act());

        expect(rotated).toMatchObject({
          device: { publicKey: keyOf(11), formerKey: { publicKey: keyOf(1), until } },
        });
        expect(repeated).toEqual(rotated);
        expect(await store.revision()).toBe(revision);
        expect(stolen).toEqual({ kind: 'refused', why: 'key-taken' });
        expect((await store.deviceByKey(keyOf(1)))?.id).toBe('device000001');

        await store.rotateKey('device000001', keyOf(12), until, act());
        expect((await store.device('device000001'))?.formerKey?.publicKey).toEqual(keyOf(11));
        expect(await store.deviceByKey(keyOf(1))).toBeUndefined();

        await store.purge(until);
        expect((await store.device('device000001'))?.formerKey).toBeUndefined();
      }),
    );

    test(
      'are idempotent: adding and removing twice is once',
      withStore(async ({ store }) => {
        const one = act();
        const added = await store.addDevice(newDevice(1), {}, one);
        expect(await store.addDevice(newDevice(1), {}, one)).toEqual(added);
        expect(await store.deviceCount()).toBe(1);

        const two = act();
        expect(await store.removeDevice('device000001', start, two)).toBe(true);
        expect(await store.removeDevice('device000001', start, two)).toBe(false);
        const actions = (await store.audit({ limit: 10 })).map(({ action }) => action);
        expect(actions).toEqual(['device.remove', 'device.add']);
      }),
    );
  });
}
