/**
 * TunPort: the inside of a tunnel, whole IP packets. Implementations share this contract and its
 * test suite: tun-linux.ts (/dev/net/tun with offloads), tun-netstack.ts (our own TCP/IP), tun-memory.ts (tests).
 */

import type { PacketBatch } from '../../core/packet/batch.ts';

export interface TunPort {
  /** For `status`: for example 'linux tso uso'. */
  readonly description: string;
  /** Interface name, empty where there is none. */
  readonly name: string;
  /** Largest IP packet of the interface now. Cached; `refreshMtu` asks again. */
  readonly mtu: number;
  /** Packets lost on reading because they never fit a batch or were malformed, ever; absent where it cannot happen. */
  readonly readDrops?: number;
  readonly pollFds: readonly number[];
  onReadable: (() => void) | undefined;
  /** When `readBatch` must be called even if nothing arrives; absent = only readiness tells. Infinity = never. */
  nextTimeoutAt?(): number;
  /** Asks the system for the MTU again. Returns false where the interface is gone. */
  refreshMtu(): boolean;
  /**
   * Reads what waits, without blocking, until the batch is full or nothing is left. Super-packets
   * come out as single packets with correct checksums, each with headroom and tailroom as
   * PacketBatch promises. Returns the number of packets appended, or -1 where the interface is gone.
   */
  readBatch(batch: PacketBatch): number;
  /**
   * Writes every packet, without blocking. May merge neighbours of one flow into super-packets and
   * overwrite up to `headroom` bytes before each packet. Returns how many were dropped.
   */
  writeBatch(batch: PacketBatch): number;
  close(): void;
}
