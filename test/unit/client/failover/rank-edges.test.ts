import { expect, test } from 'vitest';
import {
  dwellMs,
  type EdgeRecords,
  freshMs,
  isSilent,
  nearerThan,
  penanceMs,
  ranked,
  recordFailure,
  recordProbe,
} from '../../../../client/failover/rank-edges.ts';
import { type MonoMs, monoMs } from '../../../../shared/core/base/time.ts';

const start = monoMs(1_000_000);
const later = (ms: number): MonoMs => monoMs(start + ms);

function answered(rtts: Readonly<Record<string, readonly number[]>>, at: MonoMs = start): EdgeRecords {
  let records: EdgeRecords = new Map();
  for (const [edge, all] of Object.entries(rtts)) {
    for (const rttMs of all) records = recordProbe(records, edge, { rttMs }, at);
  }
  return records;
}

test('the nearest that answered lately comes first, by its usual answer and not by its best', () => {
  const records = answered({ far: [80, 82, 81], near: [20, 21, 20], lucky: [5, 60, 60] });

  expect(ranked(records, ['far', 'lucky', 'near', 'unknown'], start)).toEqual(['near', 'lucky', 'far']);
});

test('what was heard long ago, or not any more, is not counted on', () => {
  const records = answered({ a: [10], b: [20] });

  expect(ranked(records, ['a', 'b'], later(freshMs))).toEqual(['a', 'b']);
  expect(ranked(records, ['a', 'b'], later(freshMs + 1))).toEqual([]);
  expect(ranked(recordFailure(records, 'a', start), ['a', 'b'], start)).toEqual(['b']);
});

test('an edge is silent from its failure until it answers, or until that is old', () => {
  const failed = recordFailure(answered({ a: [10] }), 'a', start);

  expect(isSilent(failed, 'a', start)).toBe(true);
  expect(isSilent(failed, 'b', start)).toBe(false);
  expect(isSilent(recordProbe(failed, 'a', { rttMs: 9 }, start), 'a', start)).toBe(false);
  expect(isSilent(failed, 'a', later(freshMs + 1))).toBe(false);
});

const longAgo = { edge: 'used', since: monoMs(start - dwellMs), isQuiet: true };

test.each<readonly [string, Parameters<typeof nearerThan>[0], readonly number[], string | undefined]>([
  ['clearly nearer', { ...longAgo, rttMs: 100 }, [50, 50, 50], 'other'],
  ['a little nearer', { ...longAgo, rttMs: 100 }, [80, 80, 80], undefined],
  ['nearer by a share but hardly in milliseconds', { ...longAgo, rttMs: 10 }, [1, 1, 1], undefined],
  ['measured twice only', { ...longAgo, rttMs: 100 }, [50, 50], undefined],
  ['nearer while something is carried', { ...longAgo, rttMs: 100, isQuiet: false }, [50, 50, 50], undefined],
  [
    'nearer right after the last move',
    { ...longAgo, rttMs: 100, since: later(-1000) },
    [50, 50, 50],
    undefined,
  ],
  ['nearer than nobody knows what', longAgo, [50, 50, 50], undefined],
])('a working edge is left only for one that is worth it: %s', (_what, inUse, rtts, expected) => {
  expect(nearerThan(inUse, answered({ other: rtts }), ['other'], start)).toBe(expected);
});

test('an edge that failed is not gone back to for being nearer before ten minutes', () => {
  let records = recordFailure(new Map(), 'other', start);
  const soon = later(penanceMs - 1);
  for (let i = 0; i < 3; i++) records = recordProbe(records, 'other', { rttMs: 10 }, soon);
  const inUse = { ...longAgo, rttMs: 100 };

  expect(nearerThan(inUse, records, ['other'], soon)).toBeUndefined();
  expect(nearerThan(inUse, records, ['other'], later(penanceMs))).toBe('other');
});

test('two edges that take turns at being a bit nearer are not moved between', () => {
  let moves = 0;
  for (let round = 0; round < 100; round++) {
    const other = round % 2 === 0 ? 90 : 110;
    const records = answered({ other: [other, other, other] });
    if (nearerThan({ ...longAgo, rttMs: 100 }, records, ['other'], start) !== undefined) moves++;
  }

  expect(moves).toBe(0);
});
