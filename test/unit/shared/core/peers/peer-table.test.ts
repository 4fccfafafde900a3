import { expect, test } from 'vitest';
import { PeerTable } from '../../../../../shared/core/peers/peer-table.ts';

function keyOf(first: number, last = 0): Uint8Array {
  const key = new Uint8Array(32);
  key[0] = first;
  key[31] = last;
  return key;
}

test('finds a peer by the bytes of its key, not by the array', () => {
  const table = new PeerTable<string>();
  table.set(keyOf(1), 'a');

  expect(table.get(keyOf(1))).toBe('a');
  expect(table.has(keyOf(1))).toBe(true);
});

test('tells keys apart that differ in one byte only', () => {
  const table = new PeerTable<string>();
  table.set(keyOf(1, 0), 'a');
  table.set(keyOf(1, 1), 'b');

  expect(table.get(keyOf(1, 0))).toBe('a');
  expect(table.get(keyOf(1, 1))).toBe('b');
  expect(table.get(keyOf(0, 1))).toBeUndefined();
});

test('keeps the order of insertion, also where a value is replaced', () => {
  const table = new PeerTable<string>();
  table.set(keyOf(2), 'first');
  table.set(keyOf(1), 'second');
  table.set(keyOf(2), 'again');

  expect([...table.values()]).toEqual(['again', 'second']);
  expect(table.size).toBe(2);
});

test('takes no new key beyond its capacity, but replaces', () => {
  const table = new PeerTable<string>(1);
  table.set(keyOf(1), 'a');

  expect(table.set(keyOf(2), 'b')).toBe(false);
  expect(table.set(keyOf(1), 'c')).toBe(true);
  expect([...table.values()]).toEqual(['c']);
});

test('forgets what is deleted', () => {
  const table = new PeerTable<string>();
  table.set(keyOf(1), 'a');

  expect(table.delete(keyOf(1))).toBe(true);
  expect(table.delete(keyOf(1))).toBe(false);
  expect(table.get(keyOf(1))).toBeUndefined();
});

test('calls a key of another length a bug', () => {
  expect(() => new PeerTable<string>().get(new Uint8Array(31))).toThrow();
});
