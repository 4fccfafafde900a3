/**
 * TunPort whose other side is a userspace TCP/IP stack: what the tunnel delivers goes into the stack, what
 * the stack sends goes into the tunnel. The loop's batches and ours share one memory, so packets change hands
 * by their numbers. The stack's events are handed on right after each turn, while the loop waits.
 */

import { assert } from '../../core/base/assert.ts';
import type { MonoMs } from '../../core/base/time.ts';
import type { NetEvent } from '../../core/netstack/events.ts';
import type { NetStack } from '../../core/netstack/stack.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';
import type { Clock } from '../clock.ts';
import type { TunPort } from './port.ts';

/** Whether a whole packet goes back into the tunnel as it is, and never into the stack. */
export type TurnJudge = (bytes: Uint8Array, offset: number, length: number, now: MonoMs) => boolean;

export interface TunNetstackOptions {
  readonly stack: NetStack;
  readonly clock: Clock;
  /** Of the stack. It never changes. */
  readonly mtu: number;
  /** Empty; for what the stack sends while it takes packets. In the memory of every batch given to this port. */
  readonly replies: PacketBatch;
  /** Gets what happened. The array is borrowed until return. May command the stack, never step the loop. */
  readonly onEvents: (events: readonly NetEvent[]) => void;
}

export class TunNetstack implements TunPort {
  readonly description = 'netstack';
  readonly name = '';
  readonly mtu: number;
  readonly pollFds: readonly number[] = [];
  onReadable: (() => void) | undefined;
  /** Packets from one peer to another. Absent: the stack gets them all. */
  turnJudge: TurnJudge | undefined;
  readonly #stack: NetStack;
  readonly #clock: Clock;
  readonly #replies: PacketBatch;
  readonly #onEvents: (events: readonly NetEvent[]) => void;
  /** Replies handed on already. */
  #taken = 0;
  #closed = false;

  constructor(options: TunNetstackOptions) {
    this.#stack = options.stack;
    this.#clock = options.clock;
    this.mtu = options.mtu;
    this.#replies = options.replies;
    this.#onEvents = options.onEvents;
  }

  /** When `readBatch` has something without any packet before: the stack's timers and commands. */
  nextTimeoutAt(): number {
    if (this.#closed) return Number.POSITIVE_INFINITY;
    return this.#taken < this.#replies.count ? 0 : this.#stack.nextTimeoutAt();
  }

  /** Call after commands to the stack that may have something to send. */
  wake(): void {
    this.onReadable?.();
  }

  refreshMtu(): boolean {
    return true;
  }

  readBatch(batch: PacketBatch): number {
    assert(batch.bytes === this.#replies.bytes, 'the batch lies in the memory of the port');
    if (this.#closed) return 0;
    const before = batch.count;
    this.#takeReplies(batch);
    const now = this.#clock.now();
    if (batch.count < batch.capacity && this.#stack.nextTimeoutAt() <= now) {
      this.#stack.poll(now, batch);
      this.#announce();
    }
    return batch.count - before;
  }

  writeBatch(batch: PacketBatch): number {
    if (this.#closed) return batch.count;
    // Replies that nobody took yet stay; where there is no room, the stack sends later.
    if (this.#taken === this.#replies.count) {
      this.#replies.clear();
      this.#taken = 0;
    }
    const now = this.#clock.now();
    const lost = this.turnJudge === undefined ? 0 : this.#turnAround(batch, this.turnJudge, now);
    this.#stack.handlePackets(batch, now, this.#replies);
    this.#announce();
    return lost;
  }

  close(): void {
    this.#closed = true;
  }

  /** Takes what is for another peer out of the batch. Returns how many of these found no room. */
  #turnAround(batch: PacketBatch, judge: TurnJudge, now: MonoMs): number {
    const { bytes } = batch;
    let kept = 0;
    let lost = 0;
    for (let i = 0; i < batch.count; i++) {
      const offset = batch.offset[i] ?? 0;
      const length = batch.length[i] ?? 0;
      if (!judge(bytes, offset, length, now)) {
        batch.offset[kept] = offset;
        batch.length[kept] = length;
        kept++;
        continue;
      }
      // A copy: the packet lies where the next datagrams will be read.
      const to = this.#replies.count < this.#replies.capacity ? this.#replies.reserve(length) : -1;
      if (to < 0) {
        lost++;
        continue;
      }
      bytes.copyWithin(to, offset, offset + length);
      this.#replies.push(to, length);
    }
    batch.count = kept;
    return lost;
  }

  #takeReplies(batch: PacketBatch): void {
    const { offset, length, count } = this.#replies;
    while (this.#taken < count && batch.push(offset[this.#taken] ?? 0, length[this.#taken] ?? 0)) {
      this.#taken++;
    }
  }

  #announce(): void {
    const events = this.#stack.takeEvents();
    if (events.length > 0) this.#onEvents(events);
  }
}
