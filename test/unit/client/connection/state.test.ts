// In which states nothing of ours is to do by itself.
import { expect, test } from 'vitest';
import { type ConnectionState, isAsleep } from '../../../../client/connection/state.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

const problem = { code: 'endpoint-unresolved', text: '', remedy: '' } as const;
const held = { reach: 'device', edge: 'home', failures: 1, problem } as const;
const later = { retryAt: monoMs(1) };

test.each<[string, ConnectionState, boolean]>([
  ['off', { kind: 'off' }, true],
  ['without a network', { kind: 'waiting', ...held }, true],
  ['waiting to try again', { kind: 'waiting', ...held, ...later }, false],
  ['blocked for good', { kind: 'blocked', ...held, unprotected: false }, true],
  ['blocked until it is tried again', { kind: 'blocked', ...held, ...later, unprotected: false }, false],
  ['private names', { kind: 'dns', reach: 'dns', ready: true }, false],
  [
    'connected',
    { kind: 'connected', reach: 'proxy', edge: 'home', endpoints: [], provenAt: monoMs(0) },
    false,
  ],
])('%s', (_what, state, expected) => {
  expect(isAsleep(state)).toBe(expected);
});
