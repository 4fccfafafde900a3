/** What the tunnel is told about limits, and what becomes of a device that has moved its quota. */

import { describe, expect, test } from 'vitest';
import { Accounting } from '../../../../edge/peers/accounting.ts';
import { DeviceLimits, type UsualLimits } from '../../../../edge/peers/device-limits.ts';
import type { DeviceRecord, PeerStore } from '../../../../edge/peers/store.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import type { DeviceChange, PeerChange, PeerStatus } from '../../../../shared/core/tunnel/config.ts';
import { seededEntropy } from '../../../support/seeded.ts';

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const none: UsualLimits = { deviceRate: 0, deviceQuotaBytes: 0 };

function device(fields: Partial<DeviceRecord> = {}): DeviceRecord {
  return {
    id: 'laptop',
    publicKey: key(1),
    enabled: true,
    quotaBytes: 0,
    rateBps: 0,
    usage: { rxBytes: 0, txBytes: 0, lastSeenAt: undefined },
    ...fields,
  } as DeviceRecord;
}

function peer(fields: Partial<PeerStatus> = {}): PeerStatus {
  return { publicKey: key(1), rxBytes: 0, txBytes: 0, lastHandshakeMs: 0, ...fields } as PeerStatus;
}

const installation: PeerChange = { publicKey: key(1), allowedIps: ['10.83.0.2/32'] };
const removal: PeerChange = { publicKey: key(1), remove: true, allowedIps: [] };

describe('a peer that is new', () => {
  test('has no limits where nobody wants any', () => {
    expect(new DeviceLimits(() => none).onPeers([installation], [device()])).toEqual([installation]);
  });

  test('begins with its own before the usual ones, and what is left of its quota', () => {
    const usual = { deviceRate: 1000, deviceQuotaBytes: 500 };
    const own = device({ rateBps: 80_000, usage: { rxBytes: 100, txBytes: 50, lastSeenAt: undefined } });

    const told = (wanted: DeviceRecord): unknown =>
      new DeviceLimits(() => usual).onPeers([installation], [wanted])[0]?.limits;

    expect(told(own)).toEqual({ rateBytes: 10_000, allowanceBytes: 350 });
    expect(told(device({ quotaBytes: 9000 }))).toEqual({ rateBytes: 1000, allowanceBytes: 9000 });
    expect(told(device({ usage: { rxBytes: 900, txBytes: 0, lastSeenAt: undefined } }))).toMatchObject({
      allowanceBytes: 0,
    });
  });

  test('is new again after it was away, and not by a change of its addresses', () => {
    const limits = new DeviceLimits(() => ({ deviceRate: 0, deviceQuotaBytes: 500 }));
    limits.onPeers([installation], [device()]);

    expect(limits.onPeers([installation], [device()])[0]).not.toHaveProperty('limits');
    limits.onPeers([removal], []);
    expect(limits.onPeers([installation], [device()])[0]?.limits?.allowanceBytes).toBe(500);
  });
});

describe('a peer that is there', () => {
  const changesOf = (
    limits: DeviceLimits,
    status: PeerStatus,
    wanted: DeviceRecord | undefined,
    moved = 0,
  ): Promise<readonly PeerChange[]> =>
    limits.changes(
      [status],
      () => wanted,
      () => Promise.resolve(moved),
    );

  test('is told where its own counter ends, whatever was counted before it', async () => {
    const limits = new DeviceLimits(() => none);
    const wanted = device({ quotaBytes: 10_000 });

    const [change] = await changesOf(limits, peer({ rxBytes: 300, txBytes: 200 }), wanted, 4000);

    expect(change).toMatchObject({ updateOnly: true, limits: { rateBytes: 0, allowanceBytes: 6500 } });
    const has = peer({ limits: { rateBytes: 0, allowanceBytes: 6500 } });
    expect(await changesOf(limits, has, wanted)).toEqual([]);
    expect(limits.isStale(wanted)).toBe(false);
    expect(limits.isStale(device({ quotaBytes: 11_000 }))).toBe(true);
  });

  test('is told again where the tunnel lost it, and freed where nothing is wanted', async () => {
    const limits = new DeviceLimits(() => none);
    const wanted = device({ rateBps: 8000 });
    await changesOf(limits, peer(), wanted);

    expect(await changesOf(limits, peer(), wanted)).toHaveLength(1);
    const [free] = await changesOf(
      limits,
      peer({ limits: { rateBytes: 1000, allowanceBytes: undefined } }),
      device(),
    );
    expect(free?.limits).toEqual({ rateBytes: 0, allowanceBytes: undefined });
  });

  test('of edge.yaml has the usual rate and no quota', async () => {
    const limits = new DeviceLimits(() => ({ deviceRate: 1000, deviceQuotaBytes: 5 }));

    const [change] = await changesOf(limits, peer(), undefined);

    expect(change?.limits).toEqual({ rateBytes: 1000, allowanceBytes: undefined });
  });
});

describe('a device that has moved its quota', () => {
  interface World {
    readonly look: () => Promise<void>;
    record: DeviceRecord;
    peers: PeerStatus[];
    readonly changes: DeviceChange[];
  }

  function world(record: DeviceRecord): World {
    const usual = (): UsualLimits => none;
    const made: World = { look: () => accounting.look(true), record, peers: [peer()], changes: [] };
    const accounting = new Accounting({
      store: {
        device: () => Promise.resolve(made.record),
        recordUsage: (_boot: string, [row]: readonly { rxBytes: number; txBytes: number }[]) => {
          made.record = {
            ...made.record,
            usage: { ...made.record.usage, rxBytes: row?.rxBytes ?? 0, txBytes: row?.txBytes ?? 0 },
          };
          return Promise.resolve();
        },
        changeDevice: (_id: string, patch: Partial<DeviceRecord>) => {
          made.record = { ...made.record, ...patch };
          return Promise.resolve({ kind: 'changed', device: made.record });
        },
      } as unknown as PeerStore,
      sync: {
        get devices() {
          return new Map([['laptop', made.record]]);
        },
        deviceOf: () => made.record,
        nudge: () => Promise.resolve(),
      },
      status: () => Promise.resolve({ peers: made.peers }),
      configure: (change) => {
        made.changes.push(change);
        return Promise.resolve();
      },
      limits: new DeviceLimits(usual),
      usual,
      entropy: seededEntropy(1),
      unixNow: () => unixMs(1000),
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    });
    return made;
  }

  test('is disabled where the tunnel has stopped it, short of the number', async () => {
    const made = world(device({ quotaBytes: 1000 }));
    await made.look();
    const limits = made.changes[0]?.peers[0]?.limits;
    expect(limits).toEqual({ rateBytes: 0, allowanceBytes: 1000 });

    made.peers = [peer({ rxBytes: 990, limits: limits!, isSpent: true })];
    await made.look();

    expect(made.record).toMatchObject({ enabled: false, usage: { rxBytes: 990 } });
  });

  test('goes on where its quota was raised before that was seen', async () => {
    const made = world(device({ quotaBytes: 1000 }));
    await made.look();
    const limits = made.changes[0]!.peers[0]!.limits!;

    made.record = { ...made.record, quotaBytes: 2000 };
    made.peers = [peer({ rxBytes: 990, limits, isSpent: true })];
    await made.look();

    expect(made.changes.at(-1)?.peers[0]?.limits?.allowanceBytes).toBe(2000);
    made.peers = [peer({ rxBytes: 990, limits: { rateBytes: 0, allowanceBytes: 2000 } })];
    await made.look();
    expect(made.record.enabled).toBe(true);
  });
});
