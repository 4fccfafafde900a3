// Samples, lines, rates, and how numbers and times read.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytes, countdown, delay, quickness, rate, spokenDelay } from '../../../../desktop/view/format.ts';
import { kept, linesOf, noRates, topOf, withPaths, withTraffic } from '../../../../desktop/view/samples.ts';

const box = { width: 72, height: 28, top: 0 };

const list = (rttMs: number | undefined, state: 'up' | 'down' = 'up') => ({
  edge: 'home',
  chosen: 'auto',
  paths: [{ id: 'a', type: 'direct', state, ...(rttMs === undefined ? {} : { rttMs }) }],
});

describe('the last minute of a path', () => {
  test('keeps sixty samples and forgets paths that are gone', () => {
    let history: ReturnType<typeof withPaths> = new Map();
    for (let second = 0; second < 70; second++) history = withPaths(history, list(second));

    expect(history.get('a')).toHaveLength(kept);
    expect(history.get('a')?.at(-1)).toBe(69);
    expect(withPaths(history, { edge: 'home', chosen: 'auto', paths: [] }).size).toBe(0);
  });

  test('holds a gap, not a zero, while there is no answer', () => {
    expect(withPaths(new Map(), list(12, 'down')).get('a')).toEqual([undefined]);
  });

  test('is drawn in as many pieces as the gaps leave', () => {
    expect(linesOf([1, 2, undefined, 3, undefined, undefined, 4, 5], box)).toHaveLength(3);
    expect(linesOf([undefined, undefined], box)).toEqual([]);
    expect(linesOf([], box)).toEqual([]);
  });

  test('can be compared with another by a common top', () => {
    const top = topOf([[10, undefined], [100]]);

    expect(top).toBe(100);
    expect(linesOf([10, 10], { ...box, top })[0]).toContain(',24.4');
    expect(linesOf([100, 100], { ...box, top })[0]).toContain(',1.0');
  });

  test('stays inside its box whatever is measured', () => {
    const sample = fc.option(fc.double({ min: 0, max: 1e7, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 90 }), (samples) => {
        const points = linesOf(samples, box).flatMap((line) => line.split(' '));
        for (const point of points) {
          const [x = -1, y = -1] = point.split(',').map(Number);
          expect(x >= 0 && x <= 73.1 && y >= 0 && y <= 28).toBe(true);
        }
      }),
      { seed: 7 },
    );
  });
});

describe('rates', () => {
  const traffic = (rxBytes: number, txBytes = 0) => ({ rxBytes, txBytes });

  test('are bytes per second between two looks', () => {
    const first = withTraffic(noRates, traffic(1000), 0);
    const next = withTraffic(first, traffic(5000, 200), 2000);

    expect(next.down).toEqual([2000]);
    expect(next.up).toEqual([100]);
  });

  test('begin anew with a new tunnel', () => {
    const first = withTraffic(withTraffic(noRates, traffic(1000), 0), traffic(2000), 1000);

    expect(withTraffic(first, traffic(10), 2000).down).toEqual([]);
  });

  test('take no notice of two looks in one moment', () => {
    const first = withTraffic(noRates, traffic(0), 0);

    expect(withTraffic(first, traffic(1_000_000), 1).down).toEqual([]);
  });
});

describe('numbers for people', () => {
  test.each<readonly [number, string]>([
    [0, '0 kB'],
    [999_000, '999 kB'],
    [1_234_567, '1.2 MB'],
    [48_300_000, '48 MB'],
    [7e15, '7,000 TB'],
  ])('write %d bytes as %s', (count, text) => {
    expect(bytes('en', count)).toBe(text);
  });

  test('follow the language', () => {
    expect(bytes('de', 1_234_567)).toBe('1,2 MB');
    expect(rate('en', 2_000_000)).toBe('2 MB/s');
    expect(delay('en', 14.2)).toBe('14 ms');
    expect(delay('en', 2.25)).toBe('2.3 ms');
    expect(spokenDelay('en', 14.2)).toBe('14 milliseconds');
    expect(spokenDelay('de', 14.2)).toBe('14 Millisekunden');
  });

  test.each<readonly [number, string]>([
    [49, 'quick'],
    [50, 'fine'],
    [119, 'fine'],
    [120, 'slow'],
  ])('call %d milliseconds %s', (ms, word) => {
    expect(quickness(ms)).toBe(word);
  });

  test('count down to zero and not below it', () => {
    const until = '2026-11-20T12:04:32Z';
    const at = Date.parse(until);

    expect(countdown(until, at - 272_000)).toBe('4:32');
    expect(countdown(until, at - 500)).toBe('0:01');
    expect(countdown(until, at + 9000)).toBe('0:00');
    expect(countdown('nonsense', at)).toBe('0:00');
  });
});
