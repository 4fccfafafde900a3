/**
 * Writes down what devices move, and keeps their limits right in the tunnel. A device that has moved its quota is
 * stopped by the tunnel itself, with that very packet, and disabled here, until the operator enables it again.
 */

import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import { secondMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { DeviceChange, DeviceStatus, PeerStatus } from '../../shared/core/tunnel/config.ts';
import { newId } from '../registration/secrets.ts';
import { type DeviceLimits, quotaOf, type UsualLimits } from './device-limits.ts';
import type { PeerStore } from './store.ts';
import type { DeviceSync } from './sync.ts';
import { UsageMeter } from './usage.ts';

export interface AccountingParts {
  readonly store: PeerStore;
  readonly sync: Pick<DeviceSync, 'devices' | 'deviceOf' | 'nudge'>;
  readonly status: () => Promise<Pick<DeviceStatus, 'peers'>>;
  readonly configure: (change: DeviceChange) => Promise<void>;
  readonly limits: DeviceLimits;
  readonly usual: () => UsualLimits;
  readonly entropy: Entropy;
  readonly unixNow: () => UnixMs;
  readonly log: Log;
}

/** Between two looks at the counters; a device whose quota is used up is disabled this late. */
export const accountingEveryMs: number = secondMs;
/** Where nobody has a quota: every so many looks are enough. */
const looksWithoutQuota = 10;

export class Accounting {
  readonly #parts: AccountingParts;
  readonly #meter = new UsageMeter();
  readonly #boot: string;
  #looks = 0;
  #running: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;

  constructor(parts: AccountingParts) {
    this.#parts = parts;
    this.#boot = newId(parts.entropy);
  }

  /**
   * Call every `accountingEveryMs`, and `now` at the end and where limits may have changed: then the tunnel has them
   * when this resolves. Never rejects.
   */
  look(now = false): Promise<void> {
    const { limits, sync } = this.#parts;
    const isDue = now || limits.hasQuota(sync.devices.values()) || this.#looks++ % looksWithoutQuota === 0;
    if (!isDue) return this.#running ?? Promise.resolve();
    if (this.#running !== undefined) {
      if (!now) return this.#running;
      // One that runs may have looked before the change.
      this.#waiting ??= this.#running.then(() => {
        this.#waiting = undefined;
        return this.look(true);
      });
      return this.#waiting;
    }
    this.#running = this.#look().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #look(): Promise<void> {
    const { store, sync, status, log } = this.#parts;
    try {
      const { peers } = await status();
      const rows = this.#meter.read(peers, sync);
      if (rows.length > 0) await store.recordUsage(this.#boot, rows);
      // What was spent was so under the limits that the tunnel has, which may be other ones in a moment.
      const spent = this.#spent(peers);
      await this.#limit(peers);
      let cut = false;
      for (const deviceId of new Set([...rows.map((row) => row.deviceId), ...spent])) {
        cut = (await this.#enforce(deviceId, spent.has(deviceId))) || cut;
      }
      if (cut) await sync.nudge();
    } catch (cause) {
      log.warn('what devices move was not written down', {
        why: cause instanceof Error ? cause.message : String(cause),
      });
    }
  }

  /** What was recorded just now is what the counters say. */
  async #limit(peers: readonly PeerStatus[]): Promise<void> {
    const { store, sync, limits, configure } = this.#parts;
    const changes = await limits.changes(
      peers,
      (publicKey) => sync.deviceOf(publicKey),
      async (device) => {
        const usage = (await store.device(device.id))?.usage ?? device.usage;
        return usage.rxBytes + usage.txBytes;
      },
    );
    if (changes.length > 0) await configure({ peers: changes });
  }

  /** Ids of devices that the tunnel has stopped. */
  #spent(peers: readonly PeerStatus[]): ReadonlySet<string> {
    const { sync, limits } = this.#parts;
    const ids = peers.map((peer) => {
      const device = peer.isSpent === true ? sync.deviceOf(peer.publicKey) : undefined;
      return device !== undefined && limits.isSpent(peer, device) ? device.id : undefined;
    });
    return new Set(ids.filter((id) => id !== undefined));
  }

  async #enforce(deviceId: string, isStopped: boolean): Promise<boolean> {
    const { store, usual, entropy, unixNow, log } = this.#parts;
    const known = this.#parts.sync.devices.get(deviceId);
    if (known === undefined || !known.enabled || quotaOf(known, usual()) === 0) return false;
    const device = await store.device(deviceId);
    if (device === undefined || !device.enabled) return false;
    // Of other processes: what the tunnel has stopped was for another quota then.
    const isChanged = quotaOf(device, usual()) !== quotaOf(known, usual());
    const { rxBytes, txBytes } = device.usage;
    const isOver = rxBytes + txBytes >= quotaOf(device, usual());
    if (!isOver && (isChanged || !isStopped)) return false;
    const act = { id: newId(entropy), actor: 'edge', at: unixNow() };
    await store.changeDevice(deviceId, { enabled: false }, act);
    log.info('a device has used up its quota and was disabled', { device: deviceId });
    return true;
  }
}
