/** Batches of plain packets for tests, and what came of them as plain arrays. */

import { PacketBatch } from '../../shared/core/packet/batch.ts';
import { Coalescer, type CoalescerOptions } from '../../shared/core/packet/coalesce.ts';
import { segment } from '../../shared/core/packet/segment.ts';
import { setVirtioChecksum, setVirtioGso, virtioHeaderSize } from '../../shared/core/packet/virtio-header.ts';

export interface BatchShape {
  readonly capacity?: number;
  readonly arenaSize?: number;
}

export function emptyBatch(shape: BatchShape = {}): PacketBatch {
  const { capacity = 256, arenaSize = 400_000 } = shape;
  return new PacketBatch({
    bytes: new Uint8Array(arenaSize),
    arenaStart: 0,
    arenaEnd: arenaSize,
    capacity,
    addressCapacity: 4,
  });
}

/** A batch that holds copies of the packets. */
export function batchOf(packets: readonly Uint8Array[], shape: BatchShape = {}): PacketBatch {
  const batch = emptyBatch(shape);
  for (const packet of packets) {
    const offset = batch.reserve(packet.length);
    if (offset < 0 || !batch.push(offset, packet.length)) throw new Error('the test batch is too small');
    batch.bytes.set(packet, offset);
  }
  return batch;
}

/** Copies of all packets of a batch. */
export function packetsOf(batch: PacketBatch): Uint8Array[] {
  return Array.from({ length: batch.count }, (_, i) =>
    batch.bytes.slice(batch.offset[i]!, batch.offset[i]! + batch.length[i]!),
  );
}

export interface SuperParts {
  readonly type: number;
  readonly size: number;
  /** From the packet to its transport header. */
  readonly start: number;
  /** From there to the checksum. */
  readonly field: number;
  /** What the header claims about header lengths; not to be trusted. */
  readonly headers?: number;
}

/** A packet behind a virtio header. */
export function superPacket(packet: Uint8Array, parts: SuperParts): Uint8Array {
  const bytes = new Uint8Array(virtioHeaderSize + packet.length);
  setVirtioGso(bytes, 0, parts.type, parts.size, parts.headers ?? 0);
  setVirtioChecksum(bytes, 0, parts.start, parts.field);
  bytes.set(packet, virtioHeaderSize);
  return bytes;
}

type CoalescedClasses = Omit<CoalescerOptions, 'capacity'>;

export const allClasses: CoalescedClasses = { tcp4: true, tcp6: true, udp4: true, udp6: true };

/** What would be written: the slices of each group, joined. */
export function writesOf(
  packets: readonly Uint8Array[],
  classes: CoalescedClasses = allClasses,
): Uint8Array[] {
  const batch = batchOf(packets);
  const coalescer = new Coalescer({ capacity: 256, ...classes });
  coalescer.plan(batch);
  return Array.from({ length: coalescer.groupCount }, (_, group) => {
    const bytes: number[] = [];
    for (let slice = coalescer.groupStart[group]!; slice < coalescer.groupStart[group + 1]!; slice++) {
      const offset = coalescer.sliceOffset[slice]!;
      bytes.push(...batch.bytes.subarray(offset, offset + coalescer.sliceLength[slice]!));
    }
    return Uint8Array.from(bytes);
  });
}

/** What a receiver gets that splits every write again. */
export function receivedFrom(writes: readonly Uint8Array[]): Uint8Array[] {
  const batch = emptyBatch({ capacity: 4096, arenaSize: 2_000_000 });
  for (const write of writes) {
    const verdict = segment(batch, write, 0, write.length - virtioHeaderSize);
    if (verdict !== 'ok') throw new Error(`a written packet does not split: ${verdict}`);
  }
  return packetsOf(batch);
}
