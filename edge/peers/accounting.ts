/**
 * Writes down what devices move, and takes the connection of those that are over their quota: they are
 * disabled, which cuts them at once, until the operator enables them again.
 */

import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import { secondMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import { newId } from '../registration/secrets.ts';
import type { DeviceRecord, PeerStore } from './store.ts';
import type { DeviceSync } from './sync.ts';
import { UsageMeter } from './usage.ts';

export interface AccountingParts {
  readonly store: PeerStore;
  readonly sync: Pick<DeviceSync, 'devices' | 'deviceOf' | 'nudge'>;
  readonly status: () => Promise<Pick<DeviceStatus, 'peers'>>;
  /** For devices without one of their own; 0 = no limit. */
  readonly quotaBytes: () => number;
  readonly entropy: Entropy;
  readonly unixNow: () => UnixMs;
  readonly log: Log;
}

/** Between two looks at the counters; a device is at most this long over its quota. */
export const accountingEveryMs: number = secondMs;
/** Where nobody has a quota: every so many looks are enough. */
const looksWithoutQuota = 10;

export class Accounting {
  readonly #parts: AccountingParts;
  readonly #meter = new UsageMeter();
  readonly #boot: string;
  #looks = 0;
  #running: Promise<void> | undefined;

  constructor(parts: AccountingParts) {
    this.#parts = parts;
    this.#boot = newId(parts.entropy);
  }

  /** Call every `accountingEveryMs`, and `isLast` at the end. Never rejects. */
  look(isLast = false): Promise<void> {
    const isDue = isLast || this.#hasQuota() || this.#looks++ % looksWithoutQuota === 0;
    if (!isDue) return Promise.resolve();
    this.#running ??= this.#look().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  #hasQuota(): boolean {
    if (this.#parts.quotaBytes() > 0) return true;
    for (const device of this.#parts.sync.devices.values()) if (device.quotaBytes > 0) return true;
    return false;
  }

  async #look(): Promise<void> {
    const { store, sync, status, log } = this.#parts;
    try {
      if (sync.devices.size === 0) return;
      const { peers } = await status();
      const rows = this.#meter.read(peers, sync);
      if (rows.length === 0) return;
      await store.recordUsage(this.#boot, rows);
      let cut = false;
      for (const { deviceId } of rows) cut = (await this.#enforce(deviceId)) || cut;
      if (cut) await sync.nudge();
    } catch (cause) {
      log.warn('what devices move was not written down', {
        why: cause instanceof Error ? cause.message : String(cause),
      });
    }
  }

  async #enforce(deviceId: string): Promise<boolean> {
    const { store, quotaBytes, entropy, unixNow, log } = this.#parts;
    const known = this.#parts.sync.devices.get(deviceId);
    if (known === undefined || !known.enabled || quotaOf(known, quotaBytes()) === 0) return false;
    const device = await store.device(deviceId);
    if (device === undefined || !device.enabled) return false;
    const { rxBytes, txBytes } = device.usage;
    if (rxBytes + txBytes < quotaOf(device, quotaBytes())) return false;
    const act = { id: newId(entropy), actor: 'edge', at: unixNow() };
    await store.changeDevice(deviceId, { enabled: false }, act);
    log.info('a device has used up its quota and was disabled', { device: deviceId });
    return true;
  }
}

function quotaOf(device: DeviceRecord, usual: number): number {
  return device.quotaBytes > 0 ? device.quotaBytes : usual;
}
