// What a daemon does first, given what an earlier one left: a table.
import { expect, test } from 'vitest';
import { whatToResume } from '../../../../client/connection/resume.ts';

const rows = [
  // the proxy: what an earlier mode left for the whole device is undone first
  ['home', true, true, true, 'restore-and-connect', 'proxy'],
  ['home', true, false, true, 'connect', 'proxy'],
  ['home', true, true, false, 'stay-closed', 'proxy'],
  [undefined, false, true, true, 'restore', 'proxy'],
  ['', true, true, true, 'restore-and-connect', 'dns'],
  ['', true, false, true, 'connect', 'dns'],
  ['', false, false, true, 'nothing', 'device'],
  // private names alone closed nothing
  ['', true, true, false, 'restore', 'dns'],
  // wish, known, changes, auto → answer, reach
  [undefined, false, false, true, 'nothing', 'device'],
  [undefined, false, true, true, 'restore', 'device'],
  [undefined, false, true, false, 'restore', 'device'],
  ['home', true, true, true, 'connect', 'device'],
  ['home', true, false, true, 'connect', 'device'],
  ['home', true, true, false, 'stay-closed', 'device'],
  ['home', true, false, false, 'nothing', 'device'],
  ['home', false, true, true, 'stay-closed', 'device'],
  ['home', false, false, true, 'nothing', 'device'],
] as const;

test.each(rows)(
  'with the wish %s (edge known: %s), changes left: %s, autoConnect: %s, it does: %s',
  (wishedEdge, edgeKnown, changes, autoConnect, answer, reach) => {
    const left = { wishedEdge, edgeKnown, reach, changes, autoConnect };

    expect(whatToResume({ ...left, resting: false })).toBe(answer);
    // In a pause nothing is brought back, and what an earlier daemon left is undone.
    expect(whatToResume({ ...left, resting: true })).toBe(changes ? 'restore' : 'nothing');
  },
);
