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

export interface PollDriverOptions {
  readonly loop: DataplaneLoop;
  readonly libc: Libc;
  readonly memory: WorkerMemory;
  readonly clock: Clock;
  /** Whose descriptors to sleep on, the inside's (one) first; asked again after messages, since sockets come and go. */
  readonly ports: readonly { readonly pollFds: readonly number[] }[];
  readonly eventFd: number;
  /** Handles the messages that wait. Returns false when the driver shall end. */
  readonly takeMessages: () => boolean;
}

/** Most descriptors at a time. */
const maxFds = 16;

/** Runs until told to stop ('stopped') or the interface is gone ('gone'). */
export function drivePoll(options: PollDriverOptions): 'stopped' | 'gone' {
  const { loop, libc, clock, takeMessages } = options;
  const sleeper = new Sleeper(options);
  const pace = new Pace();
  libc.prctl(PR_SET_TIMERSLACK, timerSlackNanoseconds);
  let lingering = false;
  for (let steps = 0; ; steps++) {
    if (sleeper.nudged || steps % stepsBetweenMessages === 0) {
      if (!takeMessages()) return 'stopped';
      sleeper.refresh();
    }
    const before = clock.now();
    const wait = Math.min(longestSleepMs, Math.max(0, Math.ceil(loop.nextTimeoutAt() - before)));
    // After a wait, look only: what it brought is to be counted before anything else comes.
    const ready = sleeper.poll(lingering ? 0 : wait);
    const woken = clock.now();
    if (!lingering && ready !== 0 && woken - before > shortestSleepMs) pace.woke(woken);
    if (ready !== 0 || loop.nextTimeoutAt() <= woken) {
      if (loop.step(ready) === 'gone') return 'gone';
    } else if (!lingering) {
      continue;
    }
    const packets = ready === 0 ? 0 : loop.lastPackets;
    const now = clock.now();
    if (lingering) pace.lingered(now, packets);
    lingering = pace.shouldLinger(now, packets);
    if (lingering) libc.usleep(lingerMicroseconds);
  }
}

/** The poll(2) of one worker: its descriptors, and what was ready last. */
class Sleeper {
  /** True where the eventfd rang since the last `refresh`. */
  nudged = true;
  readonly #options: PollDriverOptions;
  readonly #fdsAt: number;
  readonly #counterAt: number;
  #count = 0;

  constructor(options: PollDriverOptions) {
    this.#options = options;
    this.#fdsAt = options.memory.alloc(maxFds * pollfd.size, 8);
    this.#counterAt = options.memory.alloc(8, 8);
  }

  /** Looks at the descriptors anew: sockets come and go with messages only. */
  refresh(): void {
    const { memory, ports, eventFd } = this.#options;
    const all = [...ports.flatMap((port) => port.pollFds), eventFd];
    assert(all.length <= maxFds, 'a packet loop has few descriptors');
    this.#count = all.length;
    for (const [i, fd] of all.entries()) {
      const at = this.#fdsAt + i * pollfd.size;
      memory.view.setInt32(at + pollfd.fd, fd, true);
      memory.view.setInt16(at + pollfd.events, POLLIN, true);
    }
    this.nudged = false;
  }

  /** Waits up to `timeoutMs`. Bit i of the answer: descriptor i has something (or an error). */
  poll(timeoutMs: number): number {
    const { libc, memory, eventFd } = this.#options;
    const found = libc.poll(memory.base + this.#fdsAt, this.#count, timeoutMs);
    if (found <= 0) return 0;
    const last = this.#count - 1;
    let ready = 0;
    for (let i = 0; i < last; i++) {
      if (this.#revents(i) !== 0) ready |= 1 << i;
    }
    if (this.#revents(last) !== 0) {
      libc.read(eventFd, memory.base + this.#counterAt, 8);
      this.nudged = true;
    }
    return ready;
  }

  #revents(i: number): number {
    return this.#options.memory.view.getInt16(this.#fdsAt + i * pollfd.size + pollfd.revents, true);
  }
}
