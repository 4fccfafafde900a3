/**
 * The two clocks of the machine. Monotonic time counts on while the machine sleeps where the
 * system lets us ask (CLOCK_BOOTTIME); elsewhere it may stand still during sleep.
 */

import { type MonoMs, monoMs, type UnixMs, unixMs } from '../core/base/time.ts';
import { ffiAvailable } from './ffi/libc.ts';
import { CLOCK_BOOTTIME } from './ffi/structs.ts';

export interface Clock {
  /** For logs: 'boottime' counts during sleep, 'process' may not. */
  readonly kind: 'boottime' | 'process';
  now(): MonoMs;
  unix(): UnixMs;
}

const twoTo32 = 4_294_967_296;

/** The best clock of this machine. Every clock of one machine and kind shares its zero, threads included. */
export function systemClock(): Clock {
  return bootClock() ?? processClock();
}

/** Monotonic milliseconds of Node alone: the fallback. */
export function processClock(): Clock {
  return {
    kind: 'process',
    // hrtime has one zero for all threads of the process; performance.now() has one per thread.
    now: () => monoMs(Number(process.hrtime.bigint() / 1000n) / 1000),
    unix: systemUnixMs,
  };
}

function bootClock(): Clock | undefined {
  const ffi = ffiAvailable();
  if (!ffi.ok) return undefined;
  const { libc } = ffi;
  // With a buffer of its own, which never moves: handing over an address is the cheapest call there is.
  const words = new Uint32Array(new ArrayBuffer(16));
  const time = libc.addressOf(new Uint8Array(words.buffer));
  if (libc.clockGettime(CLOCK_BOOTTIME, time) !== 0) return undefined;
  return {
    kind: 'boottime',
    now: () => {
      libc.clockGettime(CLOCK_BOOTTIME, time);
      const seconds = (words[0] ?? 0) + (words[1] ?? 0) * twoTo32;
      return monoMs(seconds * 1000 + (words[2] ?? 0) / 1e6);
    },
    unix: systemUnixMs,
  };
}

function systemUnixMs(): UnixMs {
  return unixMs(Date.now());
}
