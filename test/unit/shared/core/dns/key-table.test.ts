// Values by key beside a plain Map.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyTable, keyHash } from '../../../../../shared/core/dns/key-table.ts';

test('does what a Map does', () => {
  const step = fc.tuple(fc.constantFrom('set', 'take', 'get'), fc.nat(120), fc.nat());
  const property = fc.property(fc.array(step, { maxLength: 600 }), fc.integer(), (steps, seed) => {
    const table = new KeyTable<number>(seed);
    const model = new Map<string, number>();
    for (const [what, name, value] of steps) {
      const key = `key ${name}`;
      expect(table.get(key)).toBe(model.get(key));
      if (what === 'set') {
        table.set(key, value);
        model.set(key, value);
      } else if (what === 'take') {
        expect(table.take(key)).toBe(model.get(key));
        model.delete(key);
      }
      expect(table.size).toBe(model.size);
    }
    for (let name = 0; name <= 120; name++) expect(table.get(`key ${name}`)).toBe(model.get(`key ${name}`));
  });

  fc.assert(property, { seed: 20261121, numRuns: 200 });
});

test('tells keys apart that meet in one place, and keeps those that stand behind one that goes', () => {
  const table = new KeyTable<number>(3);
  const keys: string[] = [];
  for (let i = 0; keys.length < 20; i++) if ((keyHash(`k${i}`, 3) & 63) >= 60) keys.push(`k${i}`);
  for (const [i, key] of keys.entries()) table.set(key, i);

  for (const [i, key] of keys.entries()) {
    expect(table.take(key)).toBe(i);
    expect(keys.map((other) => table.get(other))).toEqual(keys.map((_, j) => (j <= i ? undefined : j)));
  }
});
