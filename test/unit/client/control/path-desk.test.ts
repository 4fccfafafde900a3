// What the daemon asks an edge about ways out, and what stands in the status; an edge that answers in memory.
import { describe, expect, test } from 'vitest';
import { PathDesk } from '../../../../client/control/path-desk.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import type { Paths } from '../../../../shared/core/control/paths-api.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function world(fields: { readonly refusal?: Error } = {}) {
  const calls: unknown[][] = [];
  const state = { edge: 'home' as string | undefined, now: 0 };
  let paths: Paths = {
    paths: [
      { id: 'direct', type: 'direct', state: 'up', rttMs: 12, lossPercent: 0, usual: true },
      { id: 'fra', type: 'wireguard', state: 'up', rttMs: 30, lossPercent: 1 },
    ],
    chosen: 'auto',
    using: 'direct',
  };
  const call = async (...words: unknown[]): Promise<unknown> => {
    calls.push(words);
    if (fields.refusal !== undefined) throw fields.refusal;
    if (words[1] === 'choosePath') paths = { ...paths, chosen: 'fra', using: 'fra' };
    return words[1] === 'why' ? { host: 'x', answers: [] } : paths;
  };
  const desk = new PathDesk({
    enrollment: { call: call as never },
    connectedTo: () => state.edge,
    now: () => monoMs(state.now),
  });
  return { desk, calls, state, handlers: desk.handlers() };
}

describe('the way out in the status', () => {
  test('is asked for after a connect, and told when the edge has answered', async () => {
    const { desk, calls } = world();

    desk.handleChange();
    expect(desk.view).toBeUndefined();
    await turn();

    expect(desk.view).toEqual({ id: 'direct', chosen: 'auto', rttMs: 12, lossPercent: 0 });
    expect(calls).toEqual([['home', 'paths']]);
  });

  test('is asked for again only while somebody looks, and then seldom', async () => {
    const { desk, calls, state } = world();
    desk.handleChange();
    await turn();

    for (state.now = 0; state.now < 90_000; state.now += 1000) {
      expect(desk.view).toBeDefined();
      await turn();
    }
    state.now += 3_600_000;

    expect(calls.length).toBe(3);
  });

  test('is gone with the connection, and never another edge’s', async () => {
    const { desk, state } = world();
    desk.handleChange();
    await turn();

    state.edge = undefined;
    desk.handleChange();
    expect(desk.view).toBeUndefined();
    state.edge = 'office';
    desk.handleChange();
    expect(desk.view).toBeUndefined();
  });

  test('changes at once with the choice', async () => {
    const { desk, handlers } = world();
    desk.handleChange();
    await turn();

    const list = await handlers.usePath({ path: 'fra' });

    expect(list).toMatchObject({ edge: 'home', chosen: 'fra', using: 'fra' });
    expect(desk.view).toMatchObject({ id: 'fra', chosen: 'fra', rttMs: 30 });
  });
});

describe('asking fails with one sentence', () => {
  test.each([
    ['of an edge that was imported', new CulvertError('not-registered'), 'no-path-choice'],
    [
      'for a path that is not granted',
      new CulvertError('edge-refused', { cause: { code: 'path-not-granted' } }),
      'unknown-path',
    ],
    ['where the edge does not answer', new CulvertError('edge-unreachable'), 'edge-unreachable'],
  ])('%s', async (_, refusal, code) => {
    const { handlers } = world({ refusal });

    await expect(handlers.usePath({ path: 'fra' })).rejects.toMatchObject({ code });
  });

  test('without a connection', async () => {
    const { handlers, state } = world();
    state.edge = undefined;

    await expect(handlers.paths(undefined)).rejects.toMatchObject({ code: 'not-connected' });
  });
});
