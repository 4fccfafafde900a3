/**
 * How fast one peer may be, and how much it may move: a token bucket each way, and an end of its counters. Pure,
 * told the time. Peers without limits have none of these, so that nobody else pays for them.
 */

import type { MonoMs } from '../base/time.ts';
import { secondMs } from '../base/time.ts';
import type { PeerLimits } from './config.ts';
import { PacedPackets } from './paced.ts';
import type { StagedBudget } from './staged.ts';

/**
 * What a peer may take at once after a pause, in time of its rate: longer than TCP waits before it tries again
 * (200 ms), or that pause would be lost to it for good.
 */
export const burstMs = 250;
/** At least: a slow peer must be able to take a few of the largest packets in a row. */
export const leastBurstBytes = 65_536;

/** Bytes of packets inside the tunnel in one direction. */
export class RateBucket {
  readonly #bytesPerMs: number;
  readonly #full: number;
  #tokens: number;
  #at: MonoMs | undefined;

  /** `rateBytes`: a second, more than 0. Full at first. */
  constructor(rateBytes: number) {
    this.#bytesPerMs = rateBytes / secondMs;
    this.#full = Math.max(leastBurstBytes, this.#bytesPerMs * burstMs);
    this.#tokens = this.#full;
  }

  /** True, and so many less left, where the packet may pass. */
  take(bytes: number, now: MonoMs): boolean {
    if (!this.mayTake(bytes, now)) return false;
    this.#tokens -= bytes;
    return true;
  }

  /** The same, and takes nothing. */
  mayTake(bytes: number, now: MonoMs): boolean {
    const pausedMs = Math.max(0, now - (this.#at ?? now));
    this.#at = now;
    this.#tokens = Math.min(this.#full, this.#tokens + pausedMs * this.#bytesPerMs);
    return this.#tokens >= bytes;
  }

  /** How long after the last `take` so many bytes may pass, milliseconds. */
  waitMs(bytes: number): number {
    return Math.max(0, (bytes - this.#tokens) / this.#bytesPerMs);
  }
}

/** What a peer with limits has. What is too fast from it is lost, what is too fast to it waits a little. Counters are the peer's own, which end at `allowanceBytes`. */
export class PeerLimiter {
  #wanted: PeerLimits;
  readonly #budget: StagedBudget;
  #inbound: RateBucket | undefined;
  #outbound: RateBucket | undefined;
  #waiting: PacedPackets | undefined;
  #isSpent = false;

  /** `budget`: of what waits, shared by all peers. */
  constructor(limits: PeerLimits, budget: StagedBudget) {
    this.#wanted = limits;
    this.#budget = budget;
    this.#fill();
  }

  /** As last told. */
  get limits(): PeerLimits {
    return this.#wanted;
  }

  /** A packet did not fit into the allowance: nothing passes any more. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Buckets stay as full as they are where the rate stays. */
  change(limits: PeerLimits): void {
    const sameRate = limits.rateBytes === this.#wanted.rateBytes;
    this.#wanted = limits;
    this.#isSpent = false;
    if (!sameRate) this.#fill();
  }

  /** Whether a packet of so many bytes from the peer is slow enough. */
  mayReceive(bytes: number, now: MonoMs): boolean {
    return this.#inbound === undefined || this.#inbound.take(bytes, now);
  }

  /** The same for one to the peer. 'waits': it was copied, and `nextWaiting` will give it. */
  send(bytes: Uint8Array, offset: number, length: number, now: MonoMs): 'ok' | 'waits' | 'over-rate' {
    if (this.#outbound === undefined || this.#waiting === undefined) return 'ok';
    if (this.#waiting.count === 0 && this.#outbound.take(length, now)) return 'ok';
    return this.#waiting.push(bytes, offset, length) ? 'waits' : 'over-rate';
  }

  /** The next packet that may go now. The caller sends it, and calls `sent`. */
  nextWaiting(now: MonoMs): Uint8Array | undefined {
    const packet = this.#waiting?.peek();
    return packet !== undefined && this.#outbound?.mayTake(packet.length, now) === true ? packet : undefined;
  }

  sent(packet: Uint8Array, now: MonoMs): void {
    this.#outbound?.take(packet.length, now);
    this.#waiting?.shift();
  }

  /** When the next one may go, milliseconds from the last question; undefined where none waits. */
  waitMs(): number | undefined {
    const packet = this.#waiting?.peek();
    return packet === undefined ? undefined : this.#outbound?.waitMs(packet.length);
  }

  /** Drops what waits. */
  clear(): void {
    this.#waiting?.clear();
  }

  /** Whether the peer's counters, both together, may become `total`. After the first no, never. */
  hasAllowance(total: number): boolean {
    const { allowanceBytes } = this.#wanted;
    if (allowanceBytes === undefined) return true;
    if (total > allowanceBytes) this.#isSpent = true;
    return !this.#isSpent;
  }

  #fill(): void {
    const { rateBytes } = this.#wanted;
    this.#inbound = rateBytes > 0 ? new RateBucket(rateBytes) : undefined;
    this.#outbound = rateBytes > 0 ? new RateBucket(rateBytes) : undefined;
    this.#waiting?.clear();
    this.#waiting = rateBytes > 0 ? new PacedPackets(rateBytes, this.#budget) : undefined;
  }
}

/** Whether these are limits at all. */
export function limitsAnything(limits: PeerLimits): boolean {
  return limits.rateBytes > 0 || limits.allowanceBytes !== undefined;
}
