import { expect, test } from 'vitest';
import type { Entropy } from '../../../../../shared/core/base/ports.ts';
import { IndexTable } from '../../../../../shared/core/peers/index-table.ts';

/** Gives the listed 32-bit numbers in turn, the last one for ever. */
function entropyOf(...draws: number[]): Entropy & { asked: number } {
  return {
    asked: 0,
    fill(bytes) {
      const draw = draws[Math.min(this.asked++, draws.length - 1)]!;
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, draw);
    },
  };
}

test.each([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])('finds a value again by the index %i', (index) => {
  const table = new IndexTable<string>();

  expect(table.insert('a', entropyOf(index))).toBe(index);

  expect(table.get(index)).toBe('a');
  expect(table.size).toBe(1);
});

test('draws again where an index is taken', () => {
  const table = new IndexTable<string>();
  table.insert('a', entropyOf(7));

  expect(table.insert('b', entropyOf(7, 7, 8))).toBe(8);

  expect(table.get(7)).toBe('a');
  expect(table.get(8)).toBe('b');
});

test('gives up after a bounded number of draws', () => {
  const table = new IndexTable<string>();
  table.insert('a', entropyOf(7));
  const stuck = entropyOf(7);

  expect(table.insert('b', stuck)).toBeUndefined();
  expect(stuck.asked).toBeLessThanOrEqual(16);
});

test('takes nothing beyond its capacity', () => {
  const table = new IndexTable<string>(1);
  table.insert('a', entropyOf(1));

  expect(table.insert('b', entropyOf(2))).toBeUndefined();
  expect(table.get(2)).toBeUndefined();
});

test('forgets what is deleted, and frees its index', () => {
  const table = new IndexTable<string>();
  table.insert('a', entropyOf(0xdead_beef));

  expect(table.delete(0xdead_beef)).toBe(true);
  expect(table.delete(0xdead_beef)).toBe(false);
  expect(table.get(0xdead_beef)).toBeUndefined();
  expect(table.insert('b', entropyOf(0xdead_beef))).toBe(0xdead_beef);
});

test('replaces only what is there', () => {
  const table = new IndexTable<string>();
  table.insert('a', entropyOf(0xf000_0000));

  expect(table.replace(0xf000_0000, 'b')).toBe(true);
  expect(table.replace(5, 'c')).toBe(false);
  expect(table.get(0xf000_0000)).toBe('b');
  expect(table.get(5)).toBeUndefined();
});
