/**
 * The event driver: steps the loop on Node's event loop, for ports that call `onReadable` (portable
 * UDP, the userspace stack) and for descriptors that the event loop watches. One step a turn, so that
 * Node's own sockets have theirs. May run on the main thread or in a worker.
 */

import type { Clock } from '../clock.ts';
import type { TunPort } from '../tun/port.ts';
import type { UdpPort } from '../udp/port.ts';
import type { FdWatch } from './fd-watch.ts';
import type { DataplaneLoop, StepResult } from './loop.ts';

/** setTimeout counts in 32 bits; nothing here needs to sleep longer. */
const longestSleepMs = 60_000;
const settled = Promise.resolve();

export interface EventDriverOptions {
  readonly loop: DataplaneLoop;
  readonly udp: UdpPort;
  readonly tun: TunPort;
  readonly clock: Clock;
  /** Watches the descriptors of `udp`, where it has some. Whoever binds tells it. Closed by `stop`. */
  readonly watch?: FdWatch | undefined;
  /** Called once where the interface is gone; the driver has ended then. */
  readonly onGone: () => void;
}

export class EventDriver {
  readonly #options: EventDriverOptions;
  readonly #run = (): void => this.#step();
  readonly #send = (): void => this.#sendAnswers();
  readonly #afterConsumers = (): void => process.nextTick(this.#send);
  readonly #schedule = (): void => this.schedule();
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer wakes us. */
  #wakeAt = Number.POSITIVE_INFINITY;
  #stopped = false;
  #isStepping = false;
  /** What came was taken, what follows from it is not sent yet: that happens in this turn anyhow. */
  #isAnswering = false;
  /** What taking it came to. */
  #arrival: StepResult = 'idle';

  constructor(options: EventDriverOptions) {
    this.#options = options;
    options.udp.onReadable = this.#schedule;
    options.tun.onReadable = this.#schedule;
    if (options.watch !== undefined) options.watch.onReadable = this.#schedule;
    this.schedule();
  }

  /** Steps soon. Call after a command that may have something to send. */
  schedule(): void {
    if (this.#stopped || this.#immediate !== undefined || this.#isAnswering) return;
    this.#immediate = setImmediate(this.#run);
  }

  /** Sends what the inside has now, where that is possible: a command was given that somebody waits for. */
  flush(): void {
    if (!this.#stopped && !this.#isStepping && !this.#isAnswering) {
      if (this.#stepLoop(1) === 'gone') return this.#conclude('gone');
    }
    this.schedule();
  }

  /** Ends it. Idempotent; the ports stay open. */
  stop(): void {
    this.#stopped = true;
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#options.watch?.close();
  }

  #step(): void {
    this.#immediate = undefined;
    if (this.#stopped) return;
    const { watch } = this.#options;
    const ready = watch?.takeReady() ?? 0;
    if (ready === 0) {
      // The inside is always asked; it is cheap where it has nothing.
      this.#conclude(this.#stepLoop(watch === undefined ? undefined : 1));
      return;
    }
    this.#arrival = this.#stepLoop(ready << 1);
    if (this.#arrival === 'gone') return this.#conclude('gone');
    this.#isAnswering = true;
    // Promises of whoever waits for what came are settled first: what a local program is told does not wait for what
    // the stack answers to the other side, and what consumers write goes out with that answer.
    void settled.then(this.#afterConsumers);
  }

  #sendAnswers(): void {
    this.#isAnswering = false;
    if (this.#stopped) return;
    const result = this.#stepLoop(1);
    this.#conclude(result === 'idle' ? this.#arrival : result);
  }

  /** Consumers may give commands meanwhile, but not step. */
  #stepLoop(ready: number | undefined): StepResult {
    this.#isStepping = true;
    const result = this.#options.loop.step(ready);
    this.#isStepping = false;
    return result;
  }

  #conclude(result: StepResult): void {
    if (result === 'gone') {
      this.stop();
      this.#options.onGone();
      return;
    }
    // What is left at a watched descriptor is announced again, but the inside may have more; and where much comes, one
    // more turn lets it gather.
    if (result === 'busy') this.schedule();
    else this.#sleep();
  }

  /** Arms the timer. One that rings too early only costs an empty step, so it is seldom moved. */
  #sleep(): void {
    const { loop, clock } = this.#options;
    const now = clock.now();
    const wait = Math.min(longestSleepMs, loop.nextTimeoutAt() - now);
    if (wait <= 0) {
      this.schedule();
      return;
    }
    const at = now + wait;
    if (this.#wakeAt > now && this.#wakeAt <= at) return;
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    this.#timer = setTimeout(() => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.schedule();
    }, Math.ceil(wait));
  }
}
