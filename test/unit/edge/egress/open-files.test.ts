// How many flows a process may have, from what Linux says of its limits.
import { expect, test } from 'vitest';
import { flowLimit, flowLimitOf } from '../../../../edge/egress/open-files.ts';

const limitsWith = (
  files: string,
): string => `Limit                     Soft Limit           Hard Limit           Units
Max processes             7781                 7781                 processes
Max open files            ${files.padEnd(21)}1048576              files
`;

test.each<[string, number]>([
  ['1024', 896],
  ['1048576', 100_000],
  ['unlimited', 100_000],
  ['64', 1],
])('%s open files leave room for %i flows', (files, flows) => {
  expect(flowLimitOf(limitsWith(files))).toBe(flows);
});

test('what cannot be read is taken for little, and the running process has some', () => {
  expect(flowLimitOf('')).toBe(8192);
  expect(flowLimit()).toBeGreaterThan(0);
});
