/** Who has which address and name, as the store changes. */

import { describe, expect, test } from 'vitest';
import { type DeviceDelta, type DeviceEntry, DeviceMap } from '../../../../edge/egress/devices.ts';
import { KnownDevices } from '../../../../edge/peers/known-devices.ts';
import type { DeviceRecord } from '../../../../edge/peers/store.ts';
import { parseAddress } from '../../../../shared/core/base/ip.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';

const now = unixMs(1000);

function record(id: string, changes: Partial<DeviceRecord> = {}): DeviceRecord {
  return { id, name: id, addresses: ['10.83.0.2'], tags: [], enabled: true, ...changes } as DeviceRecord;
}

function follow(devices: KnownDevices, changes: Partial<Parameters<KnownDevices['follow']>[0]>) {
  return devices.follow({ changed: [], removed: [], cut: [], ...changes }, now);
}

/** What another thread that has these devices makes of a change. */
function changed(devices: readonly DeviceEntry[], { set, gone }: DeviceDelta): readonly DeviceEntry[] {
  const others = new Set([...gone, ...set.map((device) => device.key)]);
  return [...devices.filter((device) => !others.has(device.key)), ...set];
}

describe('the known devices', () => {
  test('have addresses while they may connect', () => {
    const devices = new KnownDevices();
    follow(devices, { changed: [record('a'), record('b', { addresses: ['fd7c::9'], enabled: false })] });
    expect([devices.idAt('10.83.0.2'), devices.idAt('fd7c::9')]).toEqual(['a', undefined]);

    const delta = follow(devices, { cut: [{ id: 'a', addresses: ['10.83.0.2'] }] });
    expect(delta).toEqual({ set: [], gone: ['a'] });
    expect(devices.idAt('10.83.0.2')).toBeUndefined();
  });

  test('tell of a new name, and of nothing where only a key or a limit changed', () => {
    const devices = new KnownDevices();
    follow(devices, { changed: [record('a')] });

    expect(follow(devices, { changed: [record('a', { quotaBytes: 5 })] })).toEqual({ set: [], gone: [] });
    expect(follow(devices, { changed: [record('a', { name: 'tablet' })] }).set[0]).toMatchObject({
      name: 'tablet',
      key: 'a',
    });
    expect(
      follow(devices, { changed: [record('a', { name: 'tablet', tags: ['kids'] })] }).set[0]?.tags,
    ).toEqual(['kids']);
  });

  test('are the same list elsewhere, told by differences alone', () => {
    const devices = new KnownDevices();
    let far = devices.entries;
    const steps: Partial<Parameters<KnownDevices['follow']>[0]>[] = [
      { changed: [record('a'), record('b', { addresses: ['10.83.0.3'] })] },
      { changed: [record('a', { name: 'tablet' })] },
      { removed: ['b'] },
      { changed: [record('c', { addresses: ['10.83.0.3'] })] },
    ];
    for (const step of steps) far = changed(far, follow(devices, step));

    const map = new DeviceMap(far);
    const nameAt = (address: string) => map.find(parseAddress(address)!)?.name;
    expect([nameAt('10.83.0.2'), nameAt('10.83.0.3')]).toEqual(['tablet', 'c']);
    expect(far.toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual(
      devices.entries.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    );
  });
});
