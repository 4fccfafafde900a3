// Which way a program takes into the tunnel, and when none.
import { describe, expect, test } from 'vitest';
import { type ExecFacts, type IsolationVerdict, parseDoor, planExec } from '../../../../client/exec/plan.ts';
import { proxyVariables } from '../../../../client/exec/variables.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import { healthItem } from '../../../../shared/core/control/health.ts';

const allowed: IsolationVerdict = { ok: true, ownUser: true };
const forbidden: IsolationVerdict = { ok: false, reason: 'it is forbidden' };

function facts(status: Partial<ExecFacts['status']>, more: Partial<ExecFacts> = {}): ExecFacts {
  return {
    status: { mode: 'proxy', state: 'connected', health: [], ...status },
    isolation: () => allowed,
    strict: false,
    ...more,
  };
}

function codeOf(plan: () => unknown): string {
  try {
    plan();
  } catch (error) {
    if (error instanceof CulvertError) return error.code;
    throw error;
  }
  return 'none';
}

describe('the plan for a program', () => {
  test('is a network of its own where the system allows it', () => {
    expect(planExec(facts({}))).toEqual({ kind: 'isolated', ownUser: true });
  });

  test('is proxy variables where it does not, and says why and that nothing enforces them', () => {
    const plan = planExec(facts({}, { isolation: () => forbidden }));

    expect(plan).toMatchObject({ kind: 'variables' });
    expect(plan).toHaveProperty('note', expect.stringMatching(/nothing enforces them: it is forbidden\.$/));
  });

  test('is a refusal where only variables would do and they are not wanted', () => {
    expect(codeOf(() => planExec(facts({}, { isolation: () => forbidden, strict: true })))).toBe(
      'exec-not-isolated',
    );
  });

  test.each(['off', 'connecting', 'waiting', 'blocked', 'disconnecting', 'portal'] as const)(
    'is a refusal in mode proxy while %s',
    (state) => {
      expect(codeOf(() => planExec(facts({ state })))).toBe('not-connected');
    },
  );

  test.each(['doh', 'dot'] as const)('is a refusal in mode %s, which has no tunnel', (mode) => {
    expect(codeOf(() => planExec(facts({ mode, state: 'dns' })))).toBe('not-proxy-mode');
  });

  test.each(['connected', 'connecting', 'waiting', 'blocked'] as const)(
    'is the program as it is where the whole device is held: %s',
    (state) => {
      const plan = planExec(facts({ mode: 'tunnel', state }, { isolation: () => forbidden, strict: true }));

      expect(plan).toMatchObject({ kind: 'plain' });
    },
  );

  test.each([
    ['off', []],
    ['disconnecting', []],
    ['blocked', [healthItem('cannot-block')]],
  ] as const)('is a refusal where the whole device is open or soon will be: %s', (state, health) => {
    expect(codeOf(() => planExec(facts({ mode: 'tunnel+doh', state, health })))).toBe('not-connected');
  });

  test('does not promise the whole device where the file names a part of the world', () => {
    const plan = planExec(facts({ mode: 'tunnel', health: [healthItem('split-tunnel')] }));

    expect(plan).toHaveProperty('note', expect.not.stringContaining('whole device'));
  });
});

describe('where the proxy is', () => {
  test.each([
    ['127.0.0.1:40000', { host: '127.0.0.1', port: 40_000 }],
    ['[::1]:1080', { host: '::1', port: 1080 }],
  ])('is read from %s', (text, door) => {
    expect(parseDoor(text)).toEqual(door);
  });

  test.each([undefined, '', 'proxy', '127.0.0.1', 'example.com:80'])('is not guessed from %j', (text) => {
    expect(codeOf(() => parseDoor(text))).toBe('not-connected');
  });
});

describe('proxy variables', () => {
  test('name the proxy in both spellings, names resolved at the far end, without exceptions', () => {
    const variables = proxyVariables({ host: '127.0.0.1', port: 40_000 });

    expect(variables).toMatchObject({
      all_proxy: 'socks5h://127.0.0.1:40000',
      ALL_PROXY: 'socks5h://127.0.0.1:40000',
      http_proxy: 'http://127.0.0.1:40000',
      HTTPS_PROXY: 'http://127.0.0.1:40000',
    });
    expect(Object.keys(variables)).toContain('NO_PROXY');
    expect([variables['no_proxy'], variables['NO_PROXY']]).toEqual([undefined, undefined]);
  });

  test('carry a login, escaped', () => {
    const variables = proxyVariables({ host: '::1', port: 1, username: 'a@b', password: 'p:/w' });

    expect(variables['http_proxy']).toBe('http://a%40b:p%3A%2Fw@[::1]:1');
  });
});
