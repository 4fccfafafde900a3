/**
 * What devices of the store have moved in this run of the edge, from the counters of the tunnel's peers. Pure.
 * A peer's counter begins at zero again where its key changes or it was away; a device's never does.
 */

import { type UnixMs, unixMs } from '../../shared/core/base/time.ts';
import type { PeerStatus } from '../../shared/core/tunnel/config.ts';
import { keyText } from './peer-changes.ts';
import type { DeviceRecord, UsageRow } from './store.ts';

interface Counter {
  readonly deviceId: string;
  rx: number;
  tx: number;
}

interface Total {
  rxBytes: number;
  txBytes: number;
  lastSeenAt: UnixMs | undefined;
}

/** Removed devices that are remembered at least. */
const slack = 1000;

export class UsageMeter {
  /** By public key: as last read. */
  readonly #counters = new Map<string, Counter>();
  /** By device. */
  readonly #totals = new Map<string, Total>();

  /** Returns the rows that changed since the last look. */
  read(
    peers: readonly PeerStatus[],
    known: {
      readonly devices: ReadonlyMap<string, DeviceRecord>;
      deviceOf(publicKey: Uint8Array): DeviceRecord | undefined;
    },
  ): readonly UsageRow[] {
    if (this.#totals.size > 2 * known.devices.size + slack) this.#forgetOthers(known.devices);
    const changed = new Set<string>();
    for (const peer of peers) {
      const device = known.deviceOf(peer.publicKey);
      if (device !== undefined && this.#count(peer, device.id)) changed.add(device.id);
    }
    return [...changed].flatMap((deviceId) => {
      const total = this.#totals.get(deviceId);
      return total === undefined ? [] : [{ deviceId, ...total }];
    });
  }

  /** Devices that are gone for good. */
  #forgetOthers(devices: ReadonlyMap<string, DeviceRecord>): void {
    for (const id of this.#totals.keys()) if (!devices.has(id)) this.#totals.delete(id);
    for (const [key, { deviceId }] of this.#counters) if (!devices.has(deviceId)) this.#counters.delete(key);
  }

  #count(peer: PeerStatus, deviceId: string): boolean {
    const key = keyText(peer.publicKey);
    const before = this.#counters.get(key) ?? { deviceId, rx: 0, tx: 0 };
    const rx = peer.rxBytes < before.rx ? peer.rxBytes : peer.rxBytes - before.rx;
    const tx = peer.txBytes < before.tx ? peer.txBytes : peer.txBytes - before.tx;
    this.#counters.set(key, { deviceId, rx: peer.rxBytes, tx: peer.txBytes });
    const total = this.#totals.get(deviceId) ?? { rxBytes: 0, txBytes: 0, lastSeenAt: undefined };
    const seen = peer.lastHandshakeMs;
    const isNewer = seen > (total.lastSeenAt ?? 0);
    if (rx === 0 && tx === 0 && !isNewer) return false;
    total.rxBytes += rx;
    total.txBytes += tx;
    if (isNewer) total.lastSeenAt = unixMs(seen);
    this.#totals.set(deviceId, total);
    return true;
  }
}
