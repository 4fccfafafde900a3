/**
 * Packets to a peer that is at its rate, copied out of their batch until they may go: a short queue, so that TCP sees
 * a slow link and not one that loses. Bounded in time, per peer and over all peers; what comes when it is full is lost.
 */

import { secondMs } from '../base/time.ts';
import type { StagedBudget } from './staged.ts';

/** How long a packet waits at most, in time of the rate: short enough for whoever talks to a person meanwhile. */
export const longestWaitMs = 100;
/** At least, bytes: room for a train of packets however slow the peer is. */
const leastBytes = 65_536;
/** Over all peers of a device. */
const bytesInAll = 64 * 1024 * 1024;

export class PacedPackets {
  readonly #most: number;
  readonly #budget: StagedBudget;
  #packets: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;

  /** `rateBytes`: a second. */
  constructor(rateBytes: number, budget: StagedBudget) {
    this.#most = Math.max(leastBytes, (rateBytes * longestWaitMs) / secondMs);
    this.#budget = budget;
  }

  get count(): number {
    return this.#packets.length - this.#first;
  }

  /** Copies a packet in; false where there is no room. */
  push(bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.#bytes + length > this.#most || this.#budget.bytes + length > bytesInAll) return false;
    this.#packets.push(bytes.slice(offset, offset + length));
    this.#bytes += length;
    this.#budget.bytes += length;
    return true;
  }

  /** The oldest packet, left in place. */
  peek(): Uint8Array | undefined {
    return this.#packets[this.#first];
  }

  /** Takes the oldest packet out. */
  shift(): void {
    const packet = this.#packets[this.#first];
    if (packet === undefined) return;
    this.#bytes -= packet.length;
    this.#budget.bytes -= packet.length;
    this.#first++;
    // Half of it is past: moving the rest costs each packet one move.
    if (this.#first * 2 < this.#packets.length) return;
    this.#packets = this.#packets.slice(this.#first);
    this.#first = 0;
  }

  clear(): void {
    while (this.count > 0) this.shift();
  }
}
