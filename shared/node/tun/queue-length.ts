/**
 * How long the queue of a TUN interface should be. The system counts it in packets, and a packet may
 * be 60 bytes or 64 KiB: the usual 500 are then 32 MB, which is a tenth of a second of standing
 * delay. We want about the same number of bytes whatever the packets are. Pure.
 */

/** Bytes that may wait: a few milliseconds at several gigabits per second. */
export const queueTargetBytes: number = 3 * 1024 * 1024;
export const shortestQueue = 48;
/** Enough for a burst of small packets while the worker is busy elsewhere. What an interface begins with. */
export const longestQueue = 1000;
/** What the system gives a TUN interface. */
export const systemQueue = 500;
/** Fewer reads say nothing about the traffic. */
const fewestReads = 64;
/** A change smaller than this factor is not worth a resize. */
const leastChange = 1.5;

/**
 * A change loses what is sent in that moment, some milliseconds: the system takes the queue out of use for it. Longer it
 * becomes only where it should have been as often as this, one after the other.
 */
export const looksBeforeLonger = 8;

/**
 * The length to set after `reads` reads of `bytes` in all, while the queue is `current` long.
 * Undefined = leave it.
 */
export function queueLengthFor(bytes: number, reads: number, current: number): number | undefined {
  if (reads < fewestReads) return undefined;
  const fitting = Math.round(queueTargetBytes / (bytes / reads));
  const wanted = Math.min(longestQueue, Math.max(shortestQueue, fitting));
  const factor = wanted > current ? wanted / current : current / wanted;
  return factor >= leastChange ? wanted : undefined;
}

/** Decides over time, so that a queue seldom becomes longer. */
export class QueueFit {
  /** Looks, one after the other, that found it too short. */
  #tooShort = 0;

  /** As `queueLengthFor`, asked once a look. */
  lengthFor(bytes: number, reads: number, current: number): number | undefined {
    const wanted = queueLengthFor(bytes, reads, current);
    const isLonger = wanted !== undefined && wanted > current;
    this.#tooShort = isLonger ? this.#tooShort + 1 : 0;
    return isLonger && this.#tooShort < looksBeforeLonger ? undefined : wanted;
  }
}
