/**
 * What the main thread may ask of a running tunnel: change its configuration, tell its status.
 * Sockets first, since only they can fail: a change is applied as a whole or not at all.
 */

import { assert } from '../../core/base/assert.ts';
import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import type { TunnelDevice } from '../../core/tunnel/device.ts';
import type { Clock } from '../clock.ts';
import type { TunPort } from '../tun/port.ts';
import type { UdpPort } from '../udp/port.ts';

export interface CommandsOptions {
  readonly device: TunnelDevice;
  readonly udp: UdpPort;
  readonly tun: TunPort;
  readonly clock: Clock;
  /** Name of the crypto suite, for `status`. */
  readonly suite: string;
}

export class Commands {
  readonly #options: CommandsOptions;
  #fwmark = 0;

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /**
   * Applies a change, for ports that bind at once. Throws CulvertError, with nothing changed, where the port
   * or the mark cannot be had.
   */
  configure(change: DeviceChange): void {
    const later = this.#carryOut(change);
    assert(later === undefined, 'the port binds at once');
  }

  /** The same for every port; rejects with CulvertError. The caller waits for one change before the next. */
  async configureWhenBound(change: DeviceChange): Promise<void> {
    await this.#carryOut(change);
  }

  status(): DeviceStatus {
    const { device, udp, tun, suite } = this.#options;
    const status = device.status();
    const { receiveDrops = 0 } = udp;
    const { readDrops = 0 } = tun;
    return {
      ...status,
      drops: { ...status.drops, 'receive-overflow': receiveDrops, 'read-overflow': readDrops },
      listenPort: udp.localPort,
      fwmark: this.#fwmark,
      dataplane: { suite, udp: udp.description, tun: tun.description, mtu: tun.mtu },
    };
  }

  #carryOut(change: DeviceChange): void | Promise<void> {
    const { udp } = this.#options;
    const { fwmark = this.#fwmark, listenPort } = change;
    udp.setMark(fwmark);
    let binding: void | Promise<void> = undefined;
    try {
      if (listenPort !== undefined) binding = udp.bind(listenPort);
      else if (udp.localPort === 0) binding = udp.bind(0);
    } catch (error) {
      udp.setMark(this.#fwmark);
      throw error;
    }
    if (binding === undefined) return this.#apply(change, fwmark);
    return binding.then(
      () => this.#apply(change, fwmark),
      (error: unknown) => {
        udp.setMark(this.#fwmark);
        throw error;
      },
    );
  }

  #apply(change: DeviceChange, fwmark: number): void {
    const { device, clock } = this.#options;
    this.#fwmark = fwmark;
    device.configure(change, clock.now());
  }
}
