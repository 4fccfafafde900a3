import { expect, test } from 'vitest';
import { answerWrite, maxRounds, noFight, roundsWithinMs } from '../../../../../client/host/dns/fight.ts';
import { monoMs } from '../../../../../shared/core/base/time.ts';

function write(times: readonly number[]): readonly string[] {
  let fight = noFight;
  return times.map((at) => {
    const [next, answer] = answerWrite(fight, monoMs(at));
    fight = next;
    return answer;
  });
}

test('writes again a few times, then stops', () => {
  const answers = write(Array.from({ length: maxRounds + 2 }, (_, i) => 1000 * i));

  expect(answers).toEqual([...Array.from({ length: maxRounds }, () => 'again'), 'stop', 'stop']);
});

test('a rare writer never ends it', () => {
  const answers = write(Array.from({ length: 50 }, (_, i) => (i * roundsWithinMs) / 2));

  expect(answers).not.toContain('stop');
});

test('after a quiet time it begins anew', () => {
  const burst = Array.from({ length: maxRounds + 1 }, (_, i) => i);

  expect(write([...burst, roundsWithinMs + maxRounds])).toEqual([
    ...Array.from({ length: maxRounds }, () => 'again'),
    'stop',
    'again',
  ]);
});
