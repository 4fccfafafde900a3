import { describe, expect, it } from 'vitest';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import type { CryptoSuite } from '../../../../../shared/core/crypto/suite.ts';
import { PacketBatch } from '../../../../../shared/core/packet/batch.ts';
import { rehearse } from '../../../../../shared/core/tunnel/rehearsal.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

function batches(): [PacketBatch, PacketBatch, PacketBatch] {
  const bytes = new Uint8Array(48 * 1024);
  const make = (n: number): PacketBatch =>
    new PacketBatch({
      bytes,
      arenaStart: n * 16_384,
      arenaEnd: (n + 1) * 16_384,
      capacity: 8,
      addressCapacity: 8,
    });
  return [make(0), make(1), make(2)];
}

describe('a rehearsal', () => {
  it('makes a handshake and delivers a packet every round, wipes its keys and leaves the batches empty', () => {
    const [input, toTun, out] = batches();
    let keys = 0;
    let wiped = 0;
    let opened = 0;
    const suite: CryptoSuite = {
      ...portableSuite,
      transportKey(key) {
        keys++;
        const real = portableSuite.transportKey(key);
        return {
          seal: (...parts) => real.seal(...parts),
          open(...parts) {
            const good = real.open(...parts);
            if (good) opened++;
            return good;
          },
          wipe() {
            wiped++;
            real.wipe();
          },
        };
      },
    };

    rehearse({ suite, entropy: seededEntropy(4), input, toTun, out, rounds: 3 });

    expect(keys).toBe(3 * 4);
    expect(opened).toBe(3);
    expect(wiped).toBe(keys);
    expect([input.count, toTun.count, out.count]).toEqual([0, 0, 0]);
  });
});
