/** How fast each device opens connections and flows of datagrams, refused ones included. Told the time by its clock. */

import type { MonoMs } from '../../shared/core/base/time.ts';
import { DeviceRates } from '../dns/device-rate.ts';

/** At once after a pause: this many seconds of the limit, as the kernel's guard has it. */
const burstSeconds = 4;

export class ConnectionRates {
  readonly #now: () => MonoMs;
  #perSecond = 0;
  #rates: DeviceRates | undefined;

  constructor(now: () => MonoMs) {
    this.#now = now;
  }

  /** 0 = no limit. Where it stays the same, so does what everybody has left. */
  limit(perSecond: number): void {
    if (perSecond === this.#perSecond) return;
    this.#perSecond = perSecond;
    const burst = perSecond * burstSeconds;
    this.#rates = perSecond === 0 ? undefined : new DeviceRates({ perSecond, burst });
  }

  /** True, and one less left, where the device may open one more. */
  take(device: string): boolean {
    return this.#rates === undefined || this.#rates.take(device, this.#now());
  }
}
