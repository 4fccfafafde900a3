import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplayWindow, replayWindowSize } from '../../../../../shared/core/session/replay-window.ts';

const blockBits = 32;
const blocks = replayWindowSize / blockBits + 1;

/** All that was ever seen, and the rule in plain words: not seen, and its block is among the newest. */
class NaiveWindow {
  readonly #seen = new Set<number>();
  #newestBlock = 0;

  accept(counter: number): boolean {
    const block = Math.floor(counter / blockBits);
    if (block <= this.#newestBlock - blocks || this.#seen.has(counter)) return false;
    this.#seen.add(counter);
    this.#newestBlock = Math.max(this.#newestBlock, block);
    return true;
  }
}

describe('the replay window', () => {
  test('holds 8192 counters at least', () => {
    expect(replayWindowSize).toBeGreaterThanOrEqual(8192);
  });

  test('accepts every counter once', () => {
    const window = new ReplayWindow();

    for (let counter = 0; counter < 70_000; counter++) {
      if (!window.accept(counter) || window.accept(counter)) expect.fail(`counter ${counter}`);
    }
  });

  test.each([0, 2 ** 31, 2 ** 32, 2 ** 40 + 17, 2 ** 53 - 1 - 40_000])(
    'accepts late counters down to the edge of the window, from %d on',
    (start) => {
      const window = new ReplayWindow();
      const newest = start + 40_000;

      expect(window.accept(newest)).toBe(true);
      for (let back = 1; back <= replayWindowSize; back++) {
        if (!window.accept(newest - back)) expect.fail(`${back} back`);
      }
      for (let back = 0; back <= replayWindowSize; back++) {
        if (window.accept(newest - back)) expect.fail(`${back} back, again`);
      }
      const tooOld = (Math.floor(newest / blockBits) - blocks) * blockBits;
      for (let bit = 0; bit < blockBits; bit++) expect(window.accept(tooOld + bit)).toBe(false);
      expect(window.accept(tooOld + blockBits)).toBe(newest % blockBits !== 0);
      expect(window.accept(newest - 39_000)).toBe(false);
    },
  );

  test.each([2 ** 31, 2 ** 32])('crosses %d without losing what it saw', (edge) => {
    const window = new ReplayWindow();
    const counters = Array.from({ length: 200 }, (_, i) => edge - 100 + i);

    expect(counters.map((counter) => window.accept(counter))).toEqual(counters.map(() => true));
    expect(counters.map((counter) => window.accept(counter))).toEqual(counters.map(() => false));
    expect(window.accept(edge - 101)).toBe(true);
    // The same low 32 bits, another counter.
    expect(window.accept(edge + 2 ** 32)).toBe(true);
    expect(window.accept(edge + 2 ** 32)).toBe(false);
  });

  test('accepts the greatest counter there is, once, and none of old after it', () => {
    const window = new ReplayWindow();
    window.accept(5);

    expect(window.accept(2 ** 53 - 1)).toBe(true);
    expect(window.accept(2 ** 53 - 1)).toBe(false);
    expect(window.accept(2 ** 53 - 2)).toBe(true);
    expect(window.accept(5)).toBe(false);
    expect(window.accept(6)).toBe(false);
  });

  test('does what a set of all counters does, on any order of them, leaps included', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: -40, max: 60 }) },
      { weight: 3, arbitrary: fc.integer({ min: -replayWindowSize - 100, max: replayWindowSize + 100 }) },
      { weight: 1, arbitrary: fc.integer({ min: -3 * replayWindowSize, max: 3 * replayWindowSize }) },
      { weight: 1, arbitrary: fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 32 - 1, 2 ** 33, -(2 ** 32), 2 ** 45) },
    );
    const start = fc.constantFrom(0, 31, 32, 2 ** 31 - 50, 2 ** 32 - 50, 2 ** 48);
    fc.assert(
      fc.property(start, fc.array(step, { minLength: 1, maxLength: 400 }), (first, steps) => {
        const window = new ReplayWindow();
        const naive = new NaiveWindow();
        let counter = first;
        for (const by of steps) {
          counter = Math.min(2 ** 53 - 1, Math.max(0, counter + by));
          expect(window.accept(counter)).toBe(naive.accept(counter));
        }
      }),
      { seed: 6479, numRuns: 150 },
    );
  });
});
