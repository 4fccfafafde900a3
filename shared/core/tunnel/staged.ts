/**
 * Packets that wait for a session, copied out of their batch. Bounded per peer and over all peers;
 * the oldest goes first.
 */

import { stagedBytesInAll, stagedPacketsPerPeer } from '../session/limits.ts';

/** Bytes staged over all peers of a device. */
export interface StagedBudget {
  bytes: number;
}

export class StagedPackets {
  readonly #packets: Uint8Array[] = [];
  readonly #budget: StagedBudget;

  constructor(budget: StagedBudget) {
    this.#budget = budget;
  }

  get count(): number {
    return this.#packets.length;
  }

  /** Copies a packet in. Returns how many packets were dropped for it (itself included). */
  push(bytes: Uint8Array, offset: number, length: number): number {
    let dropped = 0;
    if (this.#packets.length === stagedPacketsPerPeer) {
      this.shift();
      dropped++;
    }
    if (this.#budget.bytes + length > stagedBytesInAll) return dropped + 1;
    this.#packets.push(bytes.slice(offset, offset + length));
    this.#budget.bytes += length;
    return dropped;
  }

  /** The oldest packet, left in place. */
  peek(): Uint8Array | undefined {
    return this.#packets[0];
  }

  /** Takes the oldest packet out. */
  shift(): Uint8Array | undefined {
    const packet = this.#packets.shift();
    if (packet !== undefined) this.#budget.bytes -= packet.length;
    return packet;
  }

  /** Drops everything. Returns how many packets that were. */
  clear(): number {
    const dropped = this.#packets.length;
    for (const packet of this.#packets) this.#budget.bytes -= packet.length;
    this.#packets.length = 0;
    return dropped;
  }
}
