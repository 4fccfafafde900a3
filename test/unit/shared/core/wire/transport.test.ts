import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplayWindow } from '../../../../../shared/core/session/replay-window.ts';
import { classify, messageType } from '../../../../../shared/core/wire/message.ts';
import {
  paddedLength,
  readTransportCounter,
  readTransportIndex,
  transportHeaderSize,
  transportOverhead,
  writeTransportHeader,
} from '../../../../../shared/core/wire/transport.ts';

describe('the transport header', () => {
  test('reads back what was written, at any offset, and nothing beside it is written', () => {
    const counter = fc.oneof(fc.maxSafeNat(), fc.integer({ min: 2 ** 32 - 2, max: 2 ** 32 + 2 }));
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 32 - 1 }), counter, fc.nat({ max: 30 }), (index, n, offset) => {
        const memory = new Uint8Array(offset + transportOverhead + 5).fill(0xc3);
        const expected = Buffer.from(memory);
        expected.writeUInt32LE(4, offset);
        expected.writeUInt32LE(index, offset + 4);
        expected.writeBigUInt64LE(BigInt(n), offset + 8);

        writeTransportHeader(memory, offset, index, n);

        expect(Buffer.compare(memory, expected)).toBe(0);
        expect(classify(memory, offset, transportOverhead)).toBe(messageType.transport);
        expect(readTransportIndex(memory, offset)).toBe(index);
        expect(readTransportCounter(memory, offset)).toBe(n);
      }),
      { seed: 16, numRuns: 300 },
    );
  });

  test('has no counter that a JS number cannot hold', () => {
    const memory = new Uint8Array(16);
    for (const [at, bits] of [
      [14, 0x20],
      [14, 0x80],
      [15, 0x01],
      [15, 0xff],
    ] as const) {
      memory.fill(0);
      memory[at] = bits;
      expect(readTransportCounter(memory, 0)).toBe(-1);
    }
  });

  test('is 16 bytes, 32 with the tag', () => {
    expect([transportHeaderSize, transportOverhead]).toEqual([16, 32]);
  });
});

describe('padding', () => {
  test.each([
    [0, 1420, 0],
    [1, 1420, 16],
    [15, 1420, 16],
    [16, 1420, 16],
    [17, 1420, 32],
    [1408, 1420, 1408],
    [1409, 1420, 1420],
    [1419, 1420, 1420],
    [1420, 1420, 1420],
    [1421, 1420, 1421],
    [65_535, 1420, 65_535],
    [65_535, 65_535, 65_535],
    [20, 0, 20],
  ])('makes %d bytes with an MTU of %d into %d', (length, mtu, expected) => {
    expect(paddedLength(length, mtu)).toBe(expected);
  });
});

describe('the path of every packet', () => {
  test('allocates nothing: classify, header, replay window, padding', () => {
    const memory = new Uint8Array(2000);
    const window = new ReplayWindow();
    let next = 0;
    let checksum = 0;
    const step = (): void => {
      writeTransportHeader(memory, 32, 77, next);
      if (classify(memory, 32, 1452) !== messageType.transport) throw new Error('not a transport message');
      checksum += readTransportIndex(memory, 32) + paddedLength(next % 1400, 1420);
      if (!window.accept(readTransportCounter(memory, 32))) throw new Error('replayed');
      next++;
    };

    for (let i = 0; i < 200_000; i++) step();
    const grown = Array.from({ length: 21 }, () => {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < 2000; i++) step();
      return process.memoryUsage().heapUsed - before;
    });

    // The smallest object per packet would be 24 kB. The median: a collection may fall in between.
    expect(checksum).toBeGreaterThan(0);
    expect(grown.toSorted((a, b) => a - b)[10]).toBeLessThan(8000);
  });
});
