/** What devices move, from counters that begin again. */

import { describe, expect, test } from 'vitest';
import type { DeviceRecord } from '../../../../edge/peers/store.ts';
import { UsageMeter } from '../../../../edge/peers/usage.ts';
import type { PeerStatus } from '../../../../shared/core/tunnel/config.ts';

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const device = { id: 'laptop' } as DeviceRecord;
const known = {
  devices: new Map([['laptop', device]]),
  deviceOf: (publicKey: Uint8Array) => (publicKey[0] === 1 || publicKey[0] === 2 ? device : undefined),
};

function peer(fill: number, rxBytes: number, txBytes: number, lastHandshakeMs = 0): PeerStatus {
  return { publicKey: key(fill), rxBytes, txBytes, lastHandshakeMs } as PeerStatus;
}

describe('the usage of a device', () => {
  test('rises with its counters, and is told only where it rose', () => {
    const meter = new UsageMeter();

    expect(meter.read([peer(1, 10, 20, 5), peer(9, 1, 1)], known)).toEqual([
      { deviceId: 'laptop', rxBytes: 10, txBytes: 20, lastSeenAt: 5 },
    ]);
    expect(meter.read([peer(1, 10, 20, 5)], known)).toEqual([]);
    expect(meter.read([peer(1, 15, 20, 9)], known)).toEqual([
      { deviceId: 'laptop', rxBytes: 15, txBytes: 20, lastSeenAt: 9 },
    ]);
  });

  test('goes on where the counter begins at zero again, and over a change of keys', () => {
    const meter = new UsageMeter();
    meter.read([peer(1, 100, 100)], known);

    expect(meter.read([peer(1, 7, 0)], known)[0]).toMatchObject({ rxBytes: 107, txBytes: 100 });
    expect(meter.read([peer(1, 7, 0), peer(2, 3, 4)], known)[0]).toMatchObject({
      rxBytes: 110,
      txBytes: 104,
    });
  });
});
