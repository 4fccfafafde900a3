import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import { PacketBatch } from '../../../../../shared/core/packet/batch.ts';
import { segment } from '../../../../../shared/core/packet/segment.ts';
import { systemClock } from '../../../../../shared/node/clock.ts';
import { loopBatches, loopBatchesBytes } from '../../../../../shared/node/dataplane/batches.ts';
import { rehearseLoop } from '../../../../../shared/node/dataplane/loop-rehearsal.ts';
import {
  putPacket,
  rehearsalPacketBytes,
  rehearsalPackets,
} from '../../../../../shared/node/dataplane/rehearsal-packets.ts';
import { systemEntropy } from '../../../../../shared/node/entropy.ts';
import { requireLibc } from '../../../../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { EFD_CLOEXEC, EFD_NONBLOCK } from '../../../../../shared/node/ffi/structs.ts';
import { describeWith } from '../../../../support/requires.ts';

const descriptors = (): number => readdirSync('/proc/self/fd').length;

describeWith({ ffi: true }, 'the rehearsal of the loop', () => {
  test('brings packets there and back and leaves nothing behind', () => {
    const libc = requireLibc();
    const memory = new WorkerMemory(loopBatchesBytes + 1024 * 1024, libc);
    const batches = loopBatches(memory);
    const eventFd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const before = descriptors();
    const rounds = 40;
    const done = rehearseLoop({
      libc,
      memory,
      suite: portableSuite,
      entropy: systemEntropy(),
      clock: systemClock(),
      batches,
      eventFd,
      rounds,
      budgetMs: 20_000,
    });
    // A round in which a handshake took too long is lost, and no harm.
    expect(done).toBeGreaterThan(rounds / 2);
    expect(descriptors()).toBe(before);
    expect(Object.values(batches).map(({ count }) => count)).toEqual([0, 0, 0, 0]);
    libc.close(eventFd);
    memory.close();
  });
});

test('every packet of the rehearsal is one that segmentation accepts', () => {
  const bytes = new Uint8Array(128 * 1024);
  const batch = new PacketBatch({
    bytes,
    arenaStart: 16_384,
    arenaEnd: bytes.length,
    capacity: 64,
    addressCapacity: 1,
  });
  for (const packet of rehearsalPackets) {
    batch.clear();
    const length = putPacket(bytes, 0, packet);
    expect(length).toBeLessThanOrEqual(rehearsalPacketBytes);
    expect(segment(batch, bytes, 0, packet.size)).toBe('ok');
    expect(batch.count > 1).toBe(packet.size > 1420);
  }
});
