/** What the rooms of one stack share. Owned by stack.ts. */

import type { Entropy } from '../base/ports.ts';
import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import type { ChunkPool } from './byte-queue.ts';
import type { CongestionName } from './congestion/congestion.ts';
import type { NetCounts, NetEvent } from './events.ts';
import { type NetLimits, strayReplies } from './limits.ts';
import type { Population } from './population.ts';
import type { SipHash } from './siphash.ts';
import type { Tcb } from './tcb.ts';
import type { WakeHeap } from './wake-heap.ts';

export interface NetContext {
  readonly entropy: Entropy;
  readonly limits: NetLimits;
  readonly pool: ChunkPool;
  readonly secret: SipHash;
  readonly counts: NetCounts;
  readonly congestion: CongestionName;
  own: readonly Uint8Array[];
  mtu: number;
  /** The time the stack was told last, for commands, which are not told. */
  now: MonoMs;
  /** Taken by `takeEvents`. At most a few of each kind per flow wait, so their number is bounded by that of flows. */
  events: NetEvent[];
  /** Connections with something to send. */
  readonly ready: Tcb[];
  readonly sleepers: WakeHeap<Tcb>;
  /** Connections whose write found no memory. */
  readonly hungry: Set<Tcb>;
  readonly population: Population;
  /** Replies to strays that are still allowed in this second. */
  repliesLeft: number;
  repliesSince: number;
}

/** Notes that the connection has something to send; the next poll does it. */
export function markReady(context: NetContext, tcb: Tcb): void {
  if (tcb.isReady) return;
  tcb.isReady = true;
  context.ready.push(tcb);
}

/** Makes sure that the stack looks at the connection when its earliest timer is due. */
export function watchTimers(context: NetContext, tcb: Tcb): void {
  context.sleepers.wake(tcb, tcb.timers.nextAt());
}

/** Whether one more reply to a stray packet may leave in this second. */
export function mayReply(context: NetContext, now: MonoMs): boolean {
  if (now - context.repliesSince >= 1000) {
    context.repliesSince = now;
    context.repliesLeft = strayReplies;
  }
  if (context.repliesLeft <= 0) return false;
  context.repliesLeft--;
  return true;
}

/** Takes room for a packet of `length` bytes in `out`; -1 where it is full. */
export function reservePacket(out: PacketBatch, length: number): number {
  return out.count < out.capacity ? out.reserve(length) : -1;
}
