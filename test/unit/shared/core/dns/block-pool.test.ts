// Records in blocks: what comes out is what went in, whatever came and went meanwhile, and nothing is lost.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockPool, blockBytes } from '../../../../../shared/core/dns/block-pool.ts';

const bytesOf = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17 + 1) & 0xff);
const blocksOf = (length: number): number => Math.ceil(length / blockBytes);

test('gives back what was put, whole and in parts, and counts whole blocks', () => {
  const step = fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 700 }));
  const property = fc.property(fc.array(step, { maxLength: 150 }), fc.nat(699), (steps, part) => {
    const pool = new BlockPool();
    const model = new Map<number, { first: number; bytes: Uint8Array }>();
    for (const [name, length] of steps) {
      const known = model.get(name);
      if (known === undefined) {
        const bytes = bytesOf(length, name);
        model.set(name, { first: pool.put(bytes, length), bytes });
      } else {
        pool.remove(known.first);
        model.delete(name);
      }
    }

    let blocks = 0;
    for (const { first, bytes } of model.values()) {
      const from = part % bytes.length;
      const whole = new Uint8Array(bytes.length);
      const rest = new Uint8Array(bytes.length - from);
      pool.copy(first, 0, whole);
      pool.copy(first, from, rest);
      expect(whole).toEqual(bytes);
      expect(rest).toEqual(bytes.subarray(from));
      expect(pool.startsWith(first, bytes, from)).toBe(true);
      expect(pool.startsWith(first, bytes.with(from, bytes[from]! ^ 1), bytes.length)).toBe(false);
      blocks += blocksOf(bytes.length);
    }
    expect(pool.sizeBytes).toBe(blocks * blockBytes);
    for (const { first } of model.values()) pool.remove(first);
    expect(pool.sizeBytes).toBe(0);
  });

  fc.assert(property, { seed: 20261121, numRuns: 60 });
});

test('what one record gives up another takes: memory does not grow with what passes through', () => {
  const pool = new BlockPool();
  const open: number[] = [];
  for (let i = 0; i < 10_000; i++) {
    open.push(pool.put(bytesOf(1 + ((i * 37) % 400), i), 1 + ((i * 37) % 400)));
    if (open.length > 300) pool.remove(open.shift()!);
  }

  // 300 records of seven blocks at most.
  expect(pool.heldBytes).toBe(256 * 1024);
  pool.clear();
  expect([pool.heldBytes, pool.sizeBytes]).toEqual([0, 0]);
});

test('takes a record only where it has bytes', () => {
  const pool = new BlockPool();

  expect(() => pool.put(new Uint8Array(4), 0)).toThrow();
  expect(() => pool.put(new Uint8Array(4), 5)).toThrow();
});
