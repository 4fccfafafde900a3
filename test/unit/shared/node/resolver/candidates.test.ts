// Whom to ask first.
import { describe, expect, test } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { Candidates } from '../../../../../shared/node/resolver/candidates.ts';
import { UpstreamError } from '../../../../../shared/node/resolver/upstream.ts';
import { fakeUpstream } from '../../../../support/fake-upstream.ts';

function candidates(...groups: string[][]): Candidates {
  return new Candidates(
    groups.map((names) => names.map((name) => fakeUpstream(name))),
    () => 0.5,
  );
}

const names = (all: Candidates): string[] => all.ordered().map(({ upstream }) => upstream.name);

describe('the order of asking', () => {
  test.each([
    [[['a1', 'a2', 'a3']], ['a1', 'a2', 'a3']],
    [
      [
        ['a1', 'a2'],
        ['b1', 'b2'],
      ],
      ['a1', 'b2', 'a2', 'b1'],
    ],
    [
      [['a1'], ['b1', 'b2', 'b3']],
      ['a1', 'b2', 'b3', 'b1'],
    ],
    [[[], ['b1']], ['b1']],
    [[], []],
  ])('of %j is %j', (groups, expected) => {
    expect(names(candidates(...groups))).toEqual(expected);
  });

  test('puts those that fail last, the one that is back soonest first', () => {
    const all = candidates(['a', 'b', 'c']);
    const [a, b] = all.all;
    all.handleFailure(a!, monoMs(0));
    all.handleFailure(a!, monoMs(0));
    all.handleFailure(b!, monoMs(0));

    expect(names(all)).toEqual(['c', 'b', 'a']);
    all.handleAnswer(a!);
    expect(names(all)).toEqual(['a', 'c', 'b']);
  });

  test('knows who shows a certificate that is not to be trusted, until that one answers', () => {
    const all = candidates(['a', 'b']);
    const [a, b] = all.all;

    all.handleFailure(a!, monoMs(0), new UpstreamError('certificate', 'It is not to be trusted.'));
    all.handleFailure(b!, monoMs(0), new UpstreamError('timeout', 'It is silent.'));
    expect(all.all.map(({ isUntrusted }) => isUntrusted)).toEqual([true, false]);

    all.handleAnswer(a!);
    expect(a!.isUntrusted).toBe(false);
  });

  test('forgives one late answer, not two in a row', () => {
    const all = candidates(['a', 'b']);
    const [a] = all.all;
    all.handleLate(a!, monoMs(0));
    expect(names(all)).toEqual(['a', 'b']);
    all.handleLate(a!, monoMs(0));
    expect(names(all)).toEqual(['b', 'a']);
  });
});

describe('another try', () => {
  test('comes when its time has come, once at a time, and later after every failure', () => {
    const all = candidates(['a', 'b']);
    const [a, b] = all.all;
    const waits = [1, 2, 3, 4, 5, 6, 7].map(() => {
      all.handleFailure(a!, monoMs(0));
      let now = 0;
      while (all.takeProbe(monoMs(now), b!) === undefined) now += 500;
      expect(all.takeProbe(monoMs(now), b!)).toBeUndefined();
      return now;
    });

    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  test('is never of the one that is asked anyway', () => {
    const all = candidates(['a']);
    all.handleFailure(all.all[0]!, monoMs(0));

    expect(all.takeProbe(monoMs(1e9), all.all[0]!)).toBeUndefined();
  });
});

test('the next one is asked when the answer is later than usual', () => {
  const all = candidates(['a']);
  const [a] = all.all;
  expect(all.hedgeMs(a!)).toBe(200);
  a!.upstream.stats.rttMs = 20;
  a!.upstream.stats.rttVarianceMs = 20;
  expect(all.hedgeMs(a!)).toBe(100);
  a!.upstream.stats.rttVarianceMs = 0;
  expect(all.hedgeMs(a!)).toBe(50);
  a!.upstream.stats.rttMs = 900;
  expect(all.hedgeMs(a!)).toBe(200);
});
