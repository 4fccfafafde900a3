/**
 * Two clocks that differ by the time this machine slept, and a descriptor that becomes readable when the wall clock is
 * set, which waking up from sleep does, too (man 2 timerfd_create, TFD_TIMER_CANCEL_ON_SET).
 */

import { loadNative } from './native.ts';
import { CLOCK_BOOTTIME } from './structs.ts';

const signatures = {
  clockGettime: 'int clock_gettime(int clock, uint8_t *time)',
  timerfdCreate: 'int timerfd_create(int clock, int flags)',
  timerfdSettime: 'int timerfd_settime(int fd, int flags, uint8_t *wanted, uint8_t *before)',
  read: 'intptr_t read(int fd, uint8_t *bytes, size_t length)',
  close: 'int close(int fd)',
} as const;

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const TFD_NONBLOCK = 0x800;
const TFD_CLOEXEC = 0x8_0000;
const TFD_TIMER_ABSTIME = 1;
const TFD_TIMER_CANCEL_ON_SET = 2;
/** So far ahead, in seconds since 1970, that it never rings by itself. */
const farSeconds = 2 ** 40;
const twoTo32 = 4_294_967_296;

export interface ClockCalls {
  /** Milliseconds that run on during sleep. */
  bootMs(): number;
  /** Milliseconds that stand still during sleep. */
  awakeMs(): number;
  /** Undefined where the system has no such descriptor. */
  watchWallClock(onSet: () => void): WallClockWatch | undefined;
}

export interface WallClockWatch {
  /** Idempotent. */
  close(): void;
}

/** Undefined where native calls do not work in this process. Never throws. */
export function clockCalls(): ClockCalls | undefined {
  const loaded = loadNative();
  if (!loaded.ok) return undefined;
  const { self, watch } = loaded.native;
  const gettime = self.func(signatures.clockGettime);
  const create = self.func(signatures.timerfdCreate);
  const settime = self.func(signatures.timerfdSettime);
  const read = self.func(signatures.read);
  const close = self.func(signatures.close);
  const time = new Uint8Array(16);
  const words = new Uint32Array(time.buffer);
  const now = (clock: number): number => {
    gettime(clock, time);
    return ((words[0] ?? 0) + (words[1] ?? 0) * twoTo32) * 1000 + (words[2] ?? 0) / 1e6;
  };
  if (gettime(CLOCK_BOOTTIME, time) !== 0) return undefined;
  const arm = (fd: number): boolean => {
    // struct itimerspec: interval, then the time.
    const wanted = new Uint8Array(32);
    new DataView(wanted.buffer).setBigUint64(16, BigInt(farSeconds), true);
    return settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, wanted, new Uint8Array(32)) === 0;
  };
  return {
    bootMs: () => now(CLOCK_BOOTTIME),
    awakeMs: () => now(CLOCK_MONOTONIC),
    watchWallClock(onSet) {
      const fd = create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC) as number;
      if (fd < 0) return undefined;
      if (!arm(fd)) {
        close(fd);
        return undefined;
      }
      let isClosed = false;
      const watcher = watch(fd, () => {
        // The answer is an error that says "set", and it stays until it was read and the timer armed again.
        read(fd, new Uint8Array(8), 8);
        arm(fd);
        onSet();
      });
      return {
        close() {
          if (isClosed) return;
          isClosed = true;
          watcher.close();
          close(fd);
        },
      };
    },
  };
}
