/** What every PeerStore promises of its feed of changes, its lists and what it forgets. */

import { describe, expect, test } from 'vitest';
import { retention } from '../../edge/peers/store.ts';
import { unixMs } from '../../shared/core/base/time.ts';
import {
  act,
  enrolment,
  invited,
  keyOf,
  newDevice,
  type StoreWorld,
  start,
  withStoreOf,
} from './peer-store-arrangement.ts';

const minute = 60_000;

export function peerStoreRecordsContract(name: string, open: () => StoreWorld): void {
  const withStore = withStoreOf(open);

  describe(`${name}: the feed`, () => {
    test(
      'tells what changed after a revision, as it is now, and who is gone',
      withStore(async ({ store }) => {
        for (let i = 1; i <= 3; i++) await store.addDevice(newDevice(i), {}, act());
        const revision = await store.revision();
        await store.changeDevice('device000001', { enabled: false }, act());
        await store.changeDevice('device000001', { name: 'x' }, act());
        await store.removeDevice('device000002', start, act());

        const page = await store.since(revision);

        expect(page).toMatchObject({ revision: revision + 3, whole: false, removed: ['device000002'] });
        expect(page.devices).toMatchObject([{ id: 'device000001', name: 'x', enabled: false }]);
        expect(await store.since(page.revision)).toMatchObject({ devices: [], removed: [] });
      }),
    );

    test(
      'is whole for a beginner and after a restore to an older state',
      withStore(async ({ store }) => {
        await store.addDevice(newDevice(1), {}, act());

        expect(await store.since(-1)).toMatchObject({ whole: true, devices: [{ id: 'device000001' }] });
        expect(await store.since(99)).toMatchObject({ whole: true, devices: [{ id: 'device000001' }] });
      }),
    );

    test(
      'shows that somebody else wrote, and not that we did',
      withStore(async ({ store, second }) => {
        const other = second();
        const before = store.writesElsewhere();
        await store.addDevice(newDevice(1), {}, act());
        const own = store.writesElsewhere();
        await other.addDevice(newDevice(2), {}, act());
        const foreign = store.writesElsewhere();
        other.close();

        expect(own).toBe(before);
        expect(foreign).not.toBe(before);
        expect((await store.since(1)).devices).toMatchObject([{ id: 'device000002' }]);
      }),
    );
  });

  describe(`${name}: the rest`, () => {
    test(
      'lists devices in pages',
      withStore(async ({ store }) => {
        for (let i = 1; i <= 5; i++) await store.addDevice(newDevice(i), {}, act());

        const first = await store.devices({ limit: 2 });
        const rest = await store.devices({ after: first[1]!.id });

        expect([...first, ...rest].map(({ name }) => name)).toEqual(
          [1, 2, 3, 4, 5].map((number) => `device ${number}`),
        );
      }),
    );

    test(
      'counts usage across runs of the edge, and a repeated report once',
      withStore(async ({ store }) => {
        await store.addDevice(newDevice(1), {}, act());
        const revision = await store.revision();
        const row = { deviceId: 'device000001', rxBytes: 100, txBytes: 10, lastSeenAt: unixMs(start + 5) };
        const unknown = { ...row, deviceId: 'nobody' };

        await store.recordUsage('boot1', [row, unknown]);
        await store.recordUsage('boot1', [row]);
        await store.recordUsage('boot1', [{ ...row, rxBytes: 300 }]);
        await store.recordUsage('boot2', [{ ...row, rxBytes: 7, txBytes: 1, lastSeenAt: undefined }]);

        expect((await store.device('device000001'))?.usage).toEqual({
          rxBytes: 307,
          txBytes: 11,
          lastSeenAt: start + 5,
        });
        expect(await store.revision()).toBe(revision);
      }),
    );

    test(
      'keeps admin keys by their hash, each name once',
      withStore(async ({ store }) => {
        const key = {
          id: 'key1',
          name: 'ci',
          role: 'operator' as const,
          keyHash: keyOf(1),
          expiresAt: undefined,
        };

        const added = await store.addAdminKey(key, act());
        const taken = await store.addAdminKey({ ...key, id: 'key2', name: 'CI', keyHash: keyOf(2) }, act());

        expect(await store.adminKeyByHash(keyOf(1))).toEqual(added);
        expect(taken).toBeUndefined();
        expect(await store.removeAdminKey('key1', act())).toBe(true);
        expect(await store.removeAdminKey('key1', act())).toBe(false);
        expect(await store.adminKeys()).toEqual([]);
      }),
    );

    test(
      'keeps an audit log, newest first and in pages, without secrets',
      withStore(async ({ store }) => {
        await invited(store, 1);
        await store.enrol(enrolment(1, 1), act(start, 'device:device000001'));
        await store.changeDevice('device000001', { enabled: false }, act(start + 1, 'admin:key1'));

        const [newest] = await store.audit({ limit: 1 });
        const older = await store.audit({ before: newest!.id, limit: 10 });

        expect(newest).toMatchObject({
          actor: 'admin:key1',
          action: 'device.change',
          subject: 'device000001',
          detail: { enabled: 0 },
          at: start + 1,
        });
        expect(older.map(({ action }) => action)).toEqual(['device.enrol', 'invite.add']);
        expect(JSON.stringify(older)).not.toMatch(/10\.83|fd7c/);
      }),
    );

    test(
      'forgets what is over when it is told the time',
      withStore(async ({ store }) => {
        await invited(store, 1);
        await store.addDevice(newDevice(1), {}, act());
        const later = start + retention.auditMs + minute;

        await store.purge(unixMs(start + 15 * minute + retention.endedInviteMs - 1));
        expect(await store.invites()).toHaveLength(1);
        await store.purge(unixMs(later));

        expect(await store.invites()).toEqual([]);
        expect(await store.audit({ limit: 10 })).toEqual([]);
        expect(await store.deviceCount()).toBe(1);
      }),
    );
  });
}
