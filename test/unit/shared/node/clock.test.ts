import { describe, expect, test } from 'vitest';
import { processClock, systemClock } from '../../../../shared/node/clock.ts';
import { systemEntropy } from '../../../../shared/node/entropy.ts';

describe.each([
  ['the system clock', systemClock()],
  ['the clock of Node alone', processClock()],
])('%s', (_name, clock) => {
  test('never runs backwards', () => {
    let last = clock.now();
    for (let i = 0; i < 10_000; i++) {
      const now = clock.now();
      expect(now >= last).toBe(true);
      last = now;
    }
  });

  test('two of a kind share their zero', () => {
    const other = clock.kind === 'boottime' ? systemClock() : processClock();
    const before = clock.now();
    const between = other.now();

    expect(between).toBeGreaterThanOrEqual(before);
    expect(clock.now()).toBeGreaterThanOrEqual(between);
  });
});

describe('the entropy of the system', () => {
  test.each([1, 32, 1024, 1025, 5000, 100_000])('fills all %i bytes, differently every time', (size) => {
    const entropy = systemEntropy();
    const [a, b] = [new Uint8Array(size), new Uint8Array(size)];
    for (let i = 0; i < 300; i++) entropy.fill(a);

    entropy.fill(b);

    if (size >= 32) {
      expect(a).not.toEqual(b);
      expect(a.some((byte) => byte !== 0) && b.subarray(-16).some((byte) => byte !== 0)).toBe(true);
    }
  });
});
