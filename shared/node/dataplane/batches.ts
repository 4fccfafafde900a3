/** The four batches of a packet loop, carved out of one memory. */

import { PacketBatch } from '../../core/packet/batch.ts';
import { recommendedTunRead } from '../tun/tun-linux.ts';

export interface LoopBatches {
  /** Datagrams as they came. */
  readonly fromUdp: PacketBatch;
  /** Plain packets as they came. */
  readonly fromTun: PacketBatch;
  /** Plain packets to write; they lie in `fromUdp`'s part of the memory, answers of our own in its own. */
  readonly toTun: PacketBatch;
  /** Datagrams to send; they lie in `fromTun`'s part, handshakes and staged packets in its own. */
  readonly out: PacketBatch;
}

/** Sizes of the arenas, in bytes, and of the batches, in packets. */
const fromUdpArena = 2 * 1024 * 1024;
const { arenaBytes: fromTunArena, capacity: fromTunCapacity } = recommendedTunRead;
const ownArena = 512 * 1024;
const fromUdpCapacity = 1024;
/** Room for handshakes, keepalives and staged packets besides what one read brings. */
const ownCapacity = 256;

/** Memory that `loopBatches` takes. */
export const loopBatchesBytes: number = fromUdpArena + fromTunArena + 2 * ownArena + 4096;

/** Where to take room from: a worker's memory. */
export interface Arena {
  readonly bytes: Uint8Array;
  /** Returns the offset of `size` bytes that are never given back. */
  alloc(size: number, align?: number): number;
}

/** Carves the batches. Once per worker. */
export function loopBatches(memory: Arena): LoopBatches {
  const batch = (arenaBytes: number, capacity: number): PacketBatch => {
    const arenaStart = memory.alloc(arenaBytes, 64);
    return new PacketBatch({
      bytes: memory.bytes,
      arenaStart,
      arenaEnd: arenaStart + arenaBytes,
      capacity,
      addressCapacity: capacity,
    });
  };
  return {
    fromUdp: batch(fromUdpArena, fromUdpCapacity),
    fromTun: batch(fromTunArena, fromTunCapacity),
    toTun: batch(ownArena, fromUdpCapacity + ownCapacity),
    out: batch(ownArena, Math.max(fromTunCapacity, fromUdpCapacity) + ownCapacity),
  };
}
