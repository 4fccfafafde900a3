/**
 * The FFI driver: a worker that sleeps in poll(2) on the ports' descriptors and an eventfd, and
 * steps the loop while there is work. It runs no event loop: messages are taken from the port by
 * hand. Never give it a port that needs Node's sockets.
 */

import type { Clock } from '../clock.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import { POLLIN, pollfd } from '../ffi/structs.ts';
import type { DataplaneLoop } from './loop.ts';

/** A worker blocked for ever cannot be ended; this is the longest it sleeps. */
const longestSleepMs = 60_000;
/** Messages are looked for at least once in this many busy steps. */
const stepsBetweenMessages = 64;

export interface PollDriverOptions {
  readonly loop: DataplaneLoop;
  readonly libc: Libc;
  readonly memory: WorkerMemory;
  readonly clock: Clock;
  /** Whose descriptors to sleep on; asked again before every sleep, since sockets come and go. */
  readonly ports: readonly { readonly pollFds: readonly number[] }[];
  readonly eventFd: number;
  /** Handles the messages that wait. Returns false when the driver shall end. */
  readonly takeMessages: () => boolean;
}

/** Most descriptors at a time. */
const maxFds = 16;

/** Runs until told to stop ('stopped') or the interface is gone ('gone'). */
export function drivePoll(options: PollDriverOptions): 'stopped' | 'gone' {
  const { loop, libc, memory, clock, ports, eventFd, takeMessages } = options;
  const fdsAt = memory.alloc(maxFds * pollfd.size, 8);
  const counterAt = memory.alloc(8, 8);
  for (;;) {
    if (!takeMessages()) return 'stopped';
    for (let i = 0; i < stepsBetweenMessages; i++) {
      const result = loop.step();
      if (result === 'gone') return 'gone';
      if (result === 'idle') {
        if (sleep()) break;
      }
    }
  }

  /** Sleeps until something happens. Returns true where the eventfd woke it. */
  function sleep(): boolean {
    let count = 0;
    for (let p = 0; p < ports.length; p++) {
      const fds = ports[p]!.pollFds;
      for (let i = 0; i < fds.length && count < maxFds - 1; i++) {
        putPollfd(memory, fdsAt + count++ * pollfd.size, fds[i]!);
      }
    }
    const eventAt = fdsAt + count * pollfd.size;
    putPollfd(memory, eventAt, eventFd);
    const wait = loop.nextTimeoutAt() - clock.now();
    const timeout = Math.max(0, Math.min(longestSleepMs, Math.ceil(wait)));
    const ready = libc.poll(memory.base + fdsAt, count + 1, timeout);
    if (ready <= 0) return false;
    if (memory.view.getInt16(eventAt + pollfd.revents, true) === 0) return false;
    libc.read(eventFd, memory.base + counterAt, 8);
    return true;
  }
}

function putPollfd(memory: WorkerMemory, at: number, fd: number): void {
  memory.view.setInt32(at + pollfd.fd, fd, true);
  memory.view.setInt16(at + pollfd.events, POLLIN, true);
  memory.view.setInt16(at + pollfd.revents, 0, true);
}
