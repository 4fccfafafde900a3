// Questions under way: by number, in the order of asking, and no number twice at a time.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OpenQuestions } from '../../../../../shared/core/dns/open-questions.ts';

test('keeps numbers and order, whoever is answered first', () => {
  const step = fc.oneof({ weight: 3, arbitrary: fc.constant(-1) }, { weight: 2, arbitrary: fc.nat(10_000) });
  const steps = fc.array(step, { maxLength: 500, size: 'max' });
  const property = fc.property(fc.nat(0xffff), steps, (first, steps) => {
    const open = new OpenQuestions<string>(first);
    const model = new Map<number, string>();
    for (const [i, what] of steps.entries()) {
      if (what < 0) {
        const number = open.add(`q${i}`);
        expect(number).toBeLessThan(0x1_0000);
        expect(model.has(number)).toBe(false);
        model.set(number, `q${i}`);
      } else {
        const number = [...model.keys()][what % Math.max(1, model.size)] ?? what;
        expect(open.get(number)).toBe(model.get(number));
        open.remove(number);
        model.delete(number);
      }
      expect(open.size).toBe(model.size);
      expect(open.oldest).toBe(model.values().next().value);
    }
    expect(open.list()).toEqual([...model.values()]);
    expect(open.oldestNumber).toBe(model.keys().next().value ?? -1);
  });

  fc.assert(property, { seed: 20261121, numRuns: 40 });
});

test('uses a number again only after all others', () => {
  const open = new OpenQuestions<string>(65_530);
  const stuck = open.add('stuck');
  const numbers = new Set<number>();
  for (let i = 0; i < 65_000; i++) {
    const number = open.add('passes');
    numbers.add(number);
    open.remove(number);
  }

  expect(numbers.size).toBeGreaterThan(64_000);
  expect(numbers.has(stuck)).toBe(false);
  expect(open.oldest).toBe('stuck');
});
