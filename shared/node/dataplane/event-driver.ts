/**
 * The event driver: steps the loop on Node's event loop, for ports that call `onReadable` (portable
 * UDP, later sockets of the userspace stack). May run on the main thread or in a worker.
 */

import type { Clock } from '../clock.ts';
import type { TunPort } from '../tun/port.ts';
import type { UdpPort } from '../udp/port.ts';
import type { DataplaneLoop } from './loop.ts';

/** setTimeout counts in 32 bits; nothing here needs to sleep longer. */
const longestSleepMs = 60_000;

export interface EventDriverOptions {
  readonly loop: DataplaneLoop;
  readonly udp: UdpPort;
  readonly tun: TunPort;
  readonly clock: Clock;
  /** Called once where the interface is gone; the driver has ended then. */
  readonly onGone: () => void;
}

export class EventDriver {
  readonly #options: EventDriverOptions;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: EventDriverOptions) {
    this.#options = options;
    const schedule = (): void => this.schedule();
    options.udp.onReadable = schedule;
    options.tun.onReadable = schedule;
    this.schedule();
  }

  /** Steps soon. Call after a command that may have something to send. */
  schedule(): void {
    if (this.#stopped || this.#immediate !== undefined) return;
    this.#immediate = setImmediate(() => this.#run());
  }

  /** Ends it. Idempotent; the ports stay open. */
  stop(): void {
    this.#stopped = true;
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.#immediate = undefined;
    if (this.#stopped) return;
    const { loop, clock, onGone } = this.#options;
    const result = loop.step();
    clearTimeout(this.#timer);
    if (result === 'gone') {
      this.stop();
      onGone();
      return;
    }
    if (result === 'busy') {
      this.schedule();
      return;
    }
    const wait = Math.min(longestSleepMs, Math.ceil(loop.nextTimeoutAt() - clock.now()));
    this.#timer = setTimeout(() => this.schedule(), Math.max(0, wait));
  }
}
