import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteQueue, ChunkPool, chunkSize } from '../../../../../shared/core/netstack/byte-queue.ts';
import { patternBytes } from '../../../../support/packets.ts';

const commands = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('append' as const), size: fc.nat(40_000) }),
    fc.record({ kind: fc.constant('read' as const), size: fc.nat(40_000) }),
    fc.record({
      kind: fc.constant('ahead' as const),
      size: fc.integer({ min: 1, max: 3000 }),
      gap: fc.nat(50_000),
    }),
    fc.record({ kind: fc.constant('peek' as const), size: fc.nat(5000) }),
    fc.record({ kind: fc.constant('drop' as const), size: fc.constant(0) }),
  ),
  { maxLength: 60 },
);

describe('a byte queue', () => {
  test('is a list of bytes, whatever is done to it, and gives all memory back', () => {
    fc.assert(
      fc.property(commands, (list) => {
        const pool = new ChunkPool(64 * chunkSize);
        const queue = new ByteQueue(pool);
        let model: number[] = [];
        let salt = 0;
        for (const command of list) {
          const bytes = patternBytes(command.size, salt++);
          if (command.kind === 'append') {
            const taken = queue.append(bytes, 0, bytes.length);
            model.push(...bytes.subarray(0, taken));
          } else if (command.kind === 'read') {
            const room = new Uint8Array(command.size);
            const count = queue.read(room);
            expect([...room.subarray(0, count)]).toEqual(model.slice(0, count));
            expect(count).toBe(Math.min(command.size, model.length));
            model = model.slice(count);
          } else if (command.kind === 'ahead') {
            queue.writeAt(queue.length + command.gap, bytes, 0, bytes.length);
          } else if (command.kind === 'peek') {
            const count = Math.min(command.size, model.length);
            const room = new Uint8Array(count + 2);
            queue.copyTo(model.length - count, count, room, 1);
            expect([...room.subarray(1, count + 1)]).toEqual(model.slice(model.length - count));
          } else {
            queue.dropAhead();
          }
          expect(queue.length).toBe(model.length);
        }
        queue.clear();
        expect(pool.usedBytes).toBe(0);
      }),
      { seed: 11, numRuns: 60 },
    );
  });

  test('what was written ahead is there when the gap is filled', () => {
    const queue = new ByteQueue(new ChunkPool(1 << 20));
    const bytes = patternBytes(50_000);
    queue.append(bytes, 0, 100);
    queue.writeAt(20_000, bytes, 20_000, 50_000);
    queue.writeAt(100, bytes, 100, 20_000);

    queue.extend(49_900);
    const room = new Uint8Array(50_000);
    queue.read(room);

    expect(room).toEqual(bytes);
  });

  test('the pool is a limit for all queues together', () => {
    const pool = new ChunkPool(2 * chunkSize);
    const queues = [new ByteQueue(pool), new ByteQueue(pool)];
    const bytes = new Uint8Array(3 * chunkSize);

    expect(queues[0]!.append(bytes, 0, bytes.length)).toBe(2 * chunkSize);
    expect(queues[1]!.append(bytes, 0, 1)).toBe(0);
    expect(queues[1]!.writeAt(5, bytes, 0, 1)).toBe(false);
    queues[0]!.consume(chunkSize);

    expect(queues[1]!.append(bytes, 0, bytes.length)).toBe(chunkSize);
  });

  test('an empty queue holds no memory', () => {
    const pool = new ChunkPool(1 << 20);
    const queue = new ByteQueue(pool);
    queue.append(new Uint8Array(100), 0, 100);
    queue.consume(100);

    expect(pool.usedBytes).toBe(0);
  });
});
