// What the daemon said → what the window may show: nothing is added, and what is not understood is not shown.
import { expect, test } from 'vitest';
import { viewOf } from '../../../../desktop/main/daemon-view.ts';
import { stateNames } from '../../../../shared/core/control/status.ts';
import { wordsFor } from '../../../../shared/core/control/texts.ts';
import { statusOf } from '../../../support/statuses.ts';

test.each(stateNames)('shows the state %s with the words of the shared catalogue', (state) => {
  const answer = statusOf(state);

  expect(viewOf({ answer, mayChange: true })).toMatchObject({
    daemon: 'answers',
    status: answer,
    words: wordsFor(answer),
    hasEdge: false,
  });
});

test('says until when the way to the sign-in page is open', () => {
  const portal = { url: 'http://probe.example/', opensUntil: '2026-11-20T12:05:00Z' };

  expect(viewOf({ answer: statusOf('portal', { portal }), mayChange: true })).toMatchObject({
    signInUntil: '2026-11-20T12:05:00Z',
  });
  expect(
    viewOf({ answer: statusOf('portal', { portal: { url: portal.url } }), mayChange: true }),
  ).not.toHaveProperty('signInUntil');
});

test.each([
  undefined,
  null,
  'on',
  {},
  { ...statusOf('off'), state: 'quantum' },
  { ...statusOf('off'), mode: 'warp' },
  { ...statusOf('off'), health: undefined },
  { ...statusOf('off'), traffic: null },
])('takes %j for another version', (answer) => {
  expect(viewOf({ answer, mayChange: true })).toEqual({ daemon: 'other-version' });
});

test('takes what a newer daemon says beyond that as it comes', () => {
  expect(viewOf({ answer: { ...statusOf('connected'), news: 1 }, mayChange: true }).daemon).toBe('answers');
});
