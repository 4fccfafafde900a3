// What `path why` says of places: why they have a path of their own, or why none can have one.
import { expect, test } from 'vitest';
import type { AutoReason, Choice } from '../../../../edge/egress/select.ts';
import { explain } from '../../../../edge/egress/sentence.ts';

function sentence(why: AutoReason, isSameEverywhere: boolean): string {
  const choice: Choice = {
    kind: 'path',
    path: 'second',
    fallbacks: [],
    reason: { by: 'auto', why },
    keys: [],
    site: '',
    patienceMs: 0,
    alsoMeasure: undefined,
  };
  const candidates = [
    { id: 'second', costMs: 30, health: 'good' },
    { id: 'direct', costMs: 230, health: 'good' },
  ] as const;
  return explain({ choice, candidates, name: undefined, hasHostRules: false, isSameEverywhere }).sentence;
}

test('a place that the usual path does not lead to is said to be one', () => {
  expect(sentence('fails-here', false)).toBe(
    'By second: connections to this place failed by the usual path, and came about by this one. It should connect in about 30 ms, direct in about 230 ms.',
  );
});

test('where nobody is asked it is the same for all places, unless there is one path', () => {
  expect(sentence('default', true)).toMatch(
    / It is the same for all places: .* without egress\.probe nobody is asked\.$/,
  );
  expect(sentence('only', true)).toBe('By second: there is no other path for it.');
});
