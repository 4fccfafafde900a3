/**
 * The FFI driver: a worker that sleeps in poll(2) on the ports' descriptors and an eventfd, and
 * steps the loop while there is work. It runs no event loop: messages are taken from the port by
 * hand. Never give it a port that needs Node's sockets.
 */

import { assert } from '../../core/base/assert.ts';
import type { Clock } from '../clock.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import { POLLIN, PR_SET_TIMERSLACK, pollfd } from '../ffi/structs.ts';
import type { DataplaneLoop } from './loop.ts';
import { lingerMicroseconds, Pace } from './pace.ts';

/** A worker blocked for ever cannot be ended; this is the longest it sleeps. */
const longestSleepMs = 60_000;
/** The system may end a short sleep this much late; its default is a third of our wait. */
const timerSlackNanoseconds = 1000;
/** A poll that took longer than this has slept. */
const shortestSleepMs = 0.01;
/** Messages are looked for at least once in this many busy steps. */
const stepsBetweenMessages = 64;

/** When the step after this one may be done: as soon as no packet waits, or when none has come for a while. */
export type SpareStep = 'soon' | 'quiet';

/** Without a packet for so long, a millisecond late hurts nobody. */
const quietMs = 100;

export interface PollDriverOptions {
  readonly loop: DataplaneLoop;
  readonly libc: Libc;
  readonly memory: WorkerMemory;
  readonly clock: Clock;
  /** Whose descriptors to sleep on, the inside's (one) first; asked again after messages, since sockets come and go. */
  readonly ports: readonly { readonly pollFds: readonly number[] }[];
  readonly eventFd: number;
  /** Handles the messages that wait, and sends what `outbox` holds. Returns false when the driver shall end. */
  readonly takeMessages: () => boolean;
  /** What may be sent to the main thread once no packet waits: waking it up costs as much as a packet. */
  readonly outbox: { readonly waiting: boolean; send(): void };
  /** Done step by step while nothing else is to do; `next` takes a millisecond or two. Ended by whoever made it. */
  readonly spare?: Iterator<SpareStep, unknown> | undefined;
  /** Default: a minute. */
  readonly longestSleepMs?: number;
  /** Default: a fresh one. */
  readonly pace?: Pace;
}

/** Most descriptors at a time. */
const maxFds = 16;

/** Runs until told to stop ('stopped') or the interface is gone ('gone'). */
export function drivePoll(options: PollDriverOptions): 'stopped' | 'gone' {
  const driver = new PollDriver(options);
  options.libc.prctl(PR_SET_TIMERSLACK, timerSlackNanoseconds);
  for (;;) {
    const ended = driver.turn();
    if (ended !== undefined) return ended;
  }
}

/** What a driver does again and again, one turn a call. */
export class PollDriver {
  readonly #loop: DataplaneLoop;
  readonly #libc: Libc;
  readonly #clock: Clock;
  readonly #takeMessages: () => boolean;
  readonly #outbox: PollDriverOptions['outbox'];
  readonly #sleeper: Sleeper;
  readonly #pace: Pace;
  readonly #longestSleepMs: number;
  #spare: Iterator<SpareStep, unknown> | undefined;
  #nextSpare: SpareStep = 'soon';
  #lastPacketAt = -Infinity;
  #turns = 0;
  #lingering = false;

  constructor(options: PollDriverOptions) {
    this.#loop = options.loop;
    this.#libc = options.libc;
    this.#clock = options.clock;
    this.#takeMessages = options.takeMessages;
    this.#outbox = options.outbox;
    this.#pace = options.pace ?? new Pace();
    this.#sleeper = new Sleeper(options);
    this.#longestSleepMs = options.longestSleepMs ?? longestSleepMs;
    this.#spare = options.spare;
  }

  /** Sleeps until there is something to do, does it, and says when that was the last time. */
  turn(): 'stopped' | 'gone' | undefined {
    const loop = this.#loop;
    const sleeper = this.#sleeper;
    const pace = this.#pace;
    if (sleeper.nudged || this.#turns % stepsBetweenMessages === 0) {
      if (!this.#takeMessages()) return 'stopped';
      sleeper.refresh(loop.isResting);
    }
    this.#turns = (this.#turns + 1) & 0xffff;
    const lingered = this.#lingering;
    // Only two looks at the clock a turn: after a sleep each costs as much as sealing a packet.
    const before = this.#clock.now();
    const wait = Math.min(this.#longestSleepMs, Math.max(0, Math.ceil(loop.nextTimeoutAt() - before)));
    // After a wait, look only: what it brought is to be counted before anything else comes.
    const isBusy = lingered || this.#outbox.waiting;
    const spareIn = this.#spareIn(before);
    const ready = sleeper.poll(isBusy ? 0 : Math.min(wait, spareIn));
    const woken = this.#clock.now();
    if (!lingered && ready !== 0 && woken - before > shortestSleepMs) pace.woke(woken);
    if (ready === 0 && this.#outbox.waiting) {
      this.#outbox.send();
      loop.prepare();
    }
    let packets = 0;
    if (ready !== 0 || loop.nextTimeoutAt() <= woken) {
      if (loop.step(ready, woken) === 'gone') return 'gone';
      packets = ready === 0 ? 0 : loop.lastPackets;
    } else if (!lingered) {
      if (spareIn === 0 && !sleeper.nudged) this.#doSpare();
      return undefined;
    }
    if (packets > 0) this.#lastPacketAt = woken;
    if (lingered) pace.lingered(woken, packets);
    this.#lingering = pace.shouldLinger(woken, packets);
    if (this.#lingering) this.#libc.usleep(lingerMicroseconds);
    return undefined;
  }

  /** Whole milliseconds until the next spare step; Infinity where none is left. */
  #spareIn(now: number): number {
    if (this.#spare === undefined) return Infinity;
    return this.#nextSpare === 'soon' ? 0 : Math.max(0, Math.ceil(this.#lastPacketAt + quietMs - now));
  }

  #doSpare(): void {
    const step = this.#spare?.next();
    if (step?.done === false) this.#nextSpare = step.value;
    else this.#spare = undefined;
  }
}

/** The poll(2) of one worker: its descriptors, and what was ready last. */
class Sleeper {
  /** True where the eventfd rang since the last `refresh`. */
  nudged = true;
  readonly #libc: Libc;
  readonly #memory: WorkerMemory;
  readonly #ports: PollDriverOptions['ports'];
  readonly #eventFd: number;
  readonly #fdsAt: number;
  readonly #counterAt: number;
  #count = 0;

  constructor(options: PollDriverOptions) {
    this.#libc = options.libc;
    this.#memory = options.memory;
    this.#ports = options.ports;
    this.#eventFd = options.eventFd;
    this.#fdsAt = options.memory.alloc(maxFds * pollfd.size, 8);
    this.#counterAt = options.memory.alloc(8, 8);
  }

  /** Looks at the descriptors anew: sockets come and go with messages only. `deaf`: the inside only tells its end. */
  refresh(deaf: boolean): void {
    const memory = this.#memory;
    const all = [...this.#ports.flatMap((port) => port.pollFds), this.#eventFd];
    assert(all.length <= maxFds, 'a packet loop has few descriptors');
    this.#count = all.length;
    for (const [i, fd] of all.entries()) {
      const at = this.#fdsAt + i * pollfd.size;
      memory.view.setInt32(at + pollfd.fd, fd, true);
      memory.view.setInt16(at + pollfd.events, deaf && i === 0 ? 0 : POLLIN, true);
    }
    this.nudged = false;
  }

  /** Waits up to `timeoutMs`. Bit i of the answer: descriptor i has something (or an error). */
  poll(timeoutMs: number): number {
    const memory = this.#memory;
    const found = this.#libc.poll(memory.base + this.#fdsAt, this.#count, timeoutMs);
    if (found <= 0) return 0;
    const last = this.#count - 1;
    let ready = 0;
    for (let i = 0; i < last; i++) {
      if (this.#revents(i) !== 0) ready |= 1 << i;
    }
    if (this.#revents(last) !== 0) {
      this.#libc.read(this.#eventFd, memory.base + this.#counterAt, 8);
      this.nudged = true;
    }
    return ready;
  }

  /** What the system said of descriptor `i`: the upper half of the second word. */
  #revents(i: number): number {
    return this.#memory.words[(this.#fdsAt + i * pollfd.size + pollfd.events) >>> 2]! >>> 16;
  }
}
