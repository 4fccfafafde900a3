// One question in flight: tries, hedges and deadlines; equal questions merged.
import { describe, expect, test } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { QueryRace, Waiting } from '../../../../../shared/core/dns/query.ts';

const options = { upstreams: 3, hedgeMs: 300, totalMs: 5000 };

/** Who is asked when, where nobody answers and tries fail after `failAfterMs`. */
function schedule(upstreams: number, failAfterMs: number): { asked: string[]; endedAt: number } {
  const race = new QueryRace({ ...options, upstreams }, monoMs(0));
  const failing: number[] = [];
  const asked: string[] = [];
  for (let now = 0; now <= 6000; now += 10) {
    while (failing[0] !== undefined && failing[0] <= now) {
      failing.shift();
      race.handleFailure(monoMs(now));
    }
    let step = race.next(monoMs(now));
    while (step.kind === 'ask') {
      asked.push(`${step.upstream}@${now}`);
      if (failAfterMs < Infinity) failing.push(now + failAfterMs);
      step = race.next(monoMs(now));
    }
    if (step.kind === 'give-up') return { asked, endedAt: now };
    expect(step.until).toBeGreaterThan(now);
  }
  throw new Error('it never ends');
}

describe('a question', () => {
  test('goes to the second upstream when the first is silent, and gives up at the end', () => {
    expect(schedule(2, Infinity)).toEqual({ asked: ['0@0', '1@300', '0@900', '1@1500'], endedAt: 5000 });
  });

  test('goes to the next upstream at once when one fails, then once more round, and gives up', () => {
    expect(schedule(3, 10)).toEqual({
      asked: ['0@0', '1@10', '2@20', '0@270', '1@520', '2@770'],
      endedAt: 780,
    });
  });

  test('is asked twice of a single upstream', () => {
    expect(schedule(1, 10).asked).toEqual(['0@0', '0@250']);
  });

  test('is never asked more than six times', () => {
    expect(schedule(30, 1).asked.length).toBe(6);
  });

  test('waits for those that are still open', () => {
    const race = new QueryRace({ upstreams: 1, hedgeMs: 10, totalMs: 1000 }, monoMs(0));
    expect(race.next(monoMs(0)).kind).toBe('ask');
    expect(race.next(monoMs(500)).kind).toBe('ask');
    race.handleFailure(monoMs(501));

    expect(race.next(monoMs(501))).toEqual({ kind: 'wait', until: 1000 });
    race.handleFailure(monoMs(600));
    expect(race.next(monoMs(600)).kind).toBe('give-up');
  });
});

describe('equal questions', () => {
  test('share one answer', () => {
    const waiting = new Waiting<string>({ maxQuestions: 2, maxEach: 2 });

    expect(waiting.join('q', 'one')).toBe('first');
    expect(waiting.join('q', 'two')).toBe('joined');
    expect(waiting.has('q')).toBe(true);
    expect(waiting.take('q')).toEqual(['one', 'two']);
    expect(waiting.take('q')).toEqual([]);
    expect(waiting.join('q', 'three')).toBe('first');
  });

  test('are refused above the limits', () => {
    const waiting = new Waiting<string>({ maxQuestions: 2, maxEach: 2 });
    waiting.join('a', '1');
    waiting.join('a', '2');
    waiting.join('b', '1');

    expect(waiting.join('a', '3')).toBe('full');
    expect(waiting.join('c', '1')).toBe('full');
    expect(waiting.size).toBe(2);
  });
});
