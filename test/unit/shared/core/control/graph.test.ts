// Graphs of characters.
import { expect, test } from 'vitest';
import { bar, Series, sparkline } from '../../../../../shared/core/control/graph.ts';

test('a sparkline has the last values, scaled to the largest, with gaps', () => {
  expect(sparkline([1, 0, 5, undefined, 10], 5)).toBe('▂▁▅ █');
  expect(sparkline([1, 10, 10], 2)).toBe('██');
  expect(sparkline([0], 3)).toBe('  ▁');
  expect(sparkline([], 3)).toBe('   ');
});

test('a bar is full at one, and never longer', () => {
  expect([bar(0, 4), bar(0.5, 4), bar(1, 4), bar(7, 4), bar(-1, 4)]).toEqual([
    '····',
    '██··',
    '████',
    '████',
    '····',
  ]);
});

test('a series keeps so many values of each name', () => {
  const series = new Series(3);
  for (const value of [1, 2, undefined, 4]) series.add('a', value);

  expect(series.of('a')).toEqual([2, undefined, 4]);
  expect(series.of('b')).toEqual([]);
});
