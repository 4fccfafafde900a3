// What a daemon does first, given what an earlier one left: a table.
import { expect, test } from 'vitest';
import { whatToResume } from '../../../../client/connection/resume.ts';

const rows = [
  // wish, known, changes, auto → answer
  [undefined, false, false, true, 'nothing'],
  [undefined, false, true, true, 'restore'],
  [undefined, false, true, false, 'restore'],
  ['home', true, true, true, 'connect'],
  ['home', true, false, true, 'connect'],
  ['home', true, true, false, 'stay-closed'],
  ['home', true, false, false, 'nothing'],
  ['home', false, true, true, 'stay-closed'],
  ['home', false, false, true, 'nothing'],
] as const;

test.each(rows)(
  'with the wish %s (edge known: %s), changes left: %s, autoConnect: %s, it does: %s',
  (wishedEdge, edgeKnown, changes, autoConnect, answer) => {
    expect(whatToResume({ wishedEdge, edgeKnown, changes, autoConnect })).toBe(answer);
  },
);
