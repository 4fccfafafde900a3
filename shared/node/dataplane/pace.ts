/**
 * When to wait a moment before reading, so that several packets are there. At ordinary rates packets
 * come one by one, and each costs a wake-up, which costs far more than the packet. Waiting is worth
 * it only where packets keep coming by themselves: where they answer each other, it would only add
 * delay, which shows as one packet per wait, and then we stop. Pure.
 */

import type { MonoMs } from '../../core/base/time.ts';

/** How long one wait is. What a packet may lose at most, with the system's own slack. */
export const lingerMicroseconds = 190;
/** Wake-ups closer together than this, on average, are a stream. */
const streamGapMs = 0.25;
/** A longer gap counts as this. */
const longestGapMs = 10;
/** More packets in one step: the machine is busy enough without waiting. */
const busyPackets = 32;
/** Fewer packets per wait than this, on average, were not worth it. */
const worthwhilePackets = 1.6;
/** What a stream is believed to bring at first: a few poor waits are forgiven. */
const hopefulPackets = 2.5;
/** So many good waits in a row are a real stream. */
const provenWaits = 50;
const firstPauseMs = 20;
const longestPauseMs = 2000;

export class Pace {
  #gapMs = longestGapMs;
  #lastWakeAt = 0;
  #packetsPerLinger = hopefulPackets;
  #goodWaits = 0;
  #pausedUntil = 0;
  #pauseMs = firstPauseMs;

  /** A sleep ended because something came. */
  woke(now: MonoMs): void {
    const gap = Math.min(longestGapMs, now - this.#lastWakeAt);
    this.#lastWakeAt = now;
    this.#gapMs += (gap - this.#gapMs) / 8;
  }

  /** The last step moved `lastPackets`: wait a moment before the next? */
  shouldLinger(now: MonoMs, lastPackets: number): boolean {
    if (this.#gapMs >= streamGapMs || now < this.#pausedUntil) return false;
    return lastPackets > 0 && lastPackets < busyPackets;
  }

  /** What a wait brought. */
  lingered(now: MonoMs, packets: number): void {
    this.#lastWakeAt = now;
    this.#packetsPerLinger += (packets - this.#packetsPerLinger) / 4;
    if (this.#packetsPerLinger >= worthwhilePackets) {
      if (++this.#goodWaits === provenWaits) this.#pauseMs = firstPauseMs;
      return;
    }
    this.#packetsPerLinger = hopefulPackets;
    this.#goodWaits = 0;
    this.#pausedUntil = now + this.#pauseMs;
    this.#pauseMs = Math.min(longestPauseMs, 2 * this.#pauseMs);
  }
}
