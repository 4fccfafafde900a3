/**
 * What the main thread may ask of a running tunnel: change its configuration, tell its status.
 * Sockets first, since only they can fail: a change is applied as a whole or not at all.
 */

import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import type { TunnelDevice } from '../../core/tunnel/device.ts';
import type { Clock } from '../clock.ts';
import type { TunPort } from '../tun/port.ts';
import type { ImmediateUdpPort } from '../udp/port.ts';

export interface CommandsOptions {
  readonly device: TunnelDevice;
  readonly udp: ImmediateUdpPort;
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

  /** Applies a change. Throws CulvertError, with nothing changed, where the port or the mark cannot be had. */
  configure(change: DeviceChange): void {
    const { udp, device, clock } = this.#options;
    const { fwmark = this.#fwmark } = change;
    udp.setMark(fwmark);
    try {
      if (change.listenPort !== undefined) udp.bind(change.listenPort);
      else if (udp.localPort === 0) udp.bind(0);
    } catch (error) {
      udp.setMark(this.#fwmark);
      throw error;
    }
    this.#fwmark = fwmark;
    device.configure(change, clock.now());
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
}
