import { expect, test } from 'vitest';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import { FailoverDesk } from '../../../../client/failover/failover-desk.ts';
import { type MonoMs, monoMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const place = { address: '192.0.2.9', port: 51820 };

interface Waiting {
  readonly at: number;
  readonly run: () => void;
}

function world(edges: readonly string[] = ['a', 'b', 'c']) {
  const moves: string[] = [];
  const probed: string[] = [];
  const waiting: Waiting[] = [];
  const now = {
    ms: 100_000,
    state: { kind: 'off' } as ConnectionState,
    isAuto: true,
    alive: new Set(edges),
    rxBytes: 0,
    handshakeMs: 12,
    asked: 0,
    byTls: new Set<string>(),
    byTlsAfterMs: 0,
    places: [] as unknown[],
  };
  const later = (delayMs: number, run: () => void): (() => void) => {
    const one = { at: now.ms + delayMs, run };
    waiting.push(one);
    return () => {
      if (waiting.includes(one)) waiting.splice(waiting.indexOf(one), 1);
    };
  };
  const desk = new FailoverDesk({
    state: () => now.state,
    isAuto: () => now.isAuto,
    edges: () => edges,
    probe: async (edge) => {
      probed.push(edge);
      return now.alive.has(edge) ? { rttMs: edge === 'b' ? 10 : 30, place } : undefined;
    },
    probeTls: async (edge) => {
      if (now.byTlsAfterMs > 0) await new Promise<void>((run) => later(now.byTlsAfterMs, run));
      return now.byTls.has(edge) ? { rttMs: 40 } : undefined;
    },
    status: async () => ({
      peers: [{ rxBytes: now.rxBytes, txBytes: 0, handshakeMs: now.handshakeMs } as never],
    }),
    ask: async () => {
      now.asked++;
    },
    onTlsAlone: (edge) => {
      moves.push(`${edge} by TLS`);
    },
    move: (edge, _, at) => {
      moves.push(edge);
      now.places.push(at);
    },
    clock: { now: (): MonoMs => monoMs(now.ms) },
    log: silentLog,
    after: later,
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 60; i++) await Promise.resolve();
  };
  const go = async (state: Record<string, unknown>): Promise<void> => {
    now.state = { reach: 'proxy', endpoints: [], ...state } as unknown as ConnectionState;
    desk.handleChange();
    await settle();
  };
  const pass = async (ms: number): Promise<void> => {
    const end = now.ms + ms;
    for (;;) {
      const next = waiting.filter(({ at }) => at <= end).toSorted((x, y) => x.at - y.at)[0];
      if (next === undefined) break;
      waiting.splice(waiting.indexOf(next), 1);
      now.ms = Math.max(now.ms, next.at);
      next.run();
      await settle();
    }
    now.ms = end;
  };
  /** All that is due meanwhile is done at the end of it. */
  const freeze = async (ms: number): Promise<void> => {
    now.ms += ms;
    await pass(0);
  };
  return { desk, moves, probed, now, go, pass, freeze, settle };
}

const connected = { kind: 'connected', edge: 'a' };
const stalled = { kind: 'connecting', phase: 'stalled', edge: 'a' };

test('an edge that stalls is left for one that answers', async () => {
  const { moves, now, go, pass } = world();
  now.alive.delete('a');
  now.alive.delete('c');

  await go(connected);
  await go(stalled);
  await pass(50);

  expect(moves).toEqual(['b']);
});

test('nobody answers: nothing is moved, since the network may be what is gone', async () => {
  const { moves, now, go } = world();
  now.alive.clear();

  await go(connected);
  await go(stalled);

  expect(moves).toEqual([]);
});

test('a doubt moves after some round trips of further silence, and not where something came back', async () => {
  const { desk, moves, now, go, pass, settle } = world();
  await go(connected);

  void desk.handleDoubt();
  await settle();
  now.rxBytes = 100;
  await pass(2000);
  expect(moves).toEqual([]);

  void desk.handleDoubt();
  await settle();
  await pass(249);
  expect(moves).toEqual([]);
  await pass(1);
  expect(moves).toHaveLength(1);
  expect(now.places).toEqual([place]);
});

test('in a doubt the edge in use is asked several times, since a packet may be lost', async () => {
  const { desk, now, go, pass } = world();
  await go(connected);

  void desk.handleDoubt();
  await pass(5000);

  expect(now.asked).toBe(4);
});

test('doubts that were none are the longer apart, the more they were', async () => {
  const { desk, moves, probed, now, go, pass, settle } = world(['a', 'b']);
  await go(connected);
  await settle();
  const before = probed.length;

  // Somebody sends for half a minute and is never answered, but for our own question.
  for (let i = 0; i < 60; i++) {
    void desk.handleDoubt();
    await settle();
    now.rxBytes += 100;
    await pass(500);
  }

  expect(moves).toEqual([]);
  // One of them is the round's.
  expect(probed.length - before).toBeLessThan(10);
});

test('a network that was gone for a moment: the edge in use is asked anew once the network carries again', async () => {
  const { desk, moves, now, go, pass, settle } = world();
  now.alive.clear();
  now.byTls.add('b');
  now.byTlsAfterMs = 900;
  await go(connected);

  void desk.handleDoubt();
  await settle();
  await pass(1299);
  const askedInTheGap = now.asked;
  await pass(100);
  // It answers as soon as it hears a question.
  expect(now.asked).toBeGreaterThan(askedInTheGap);
  now.rxBytes = 100;
  await pass(5000);

  expect(moves).toEqual([]);
});

test('who stood still has not listened either: the time begins anew, but not for ever', async () => {
  const { desk, moves, now, go, freeze, settle } = world();
  await go(connected);

  void desk.handleDoubt();
  await settle();
  await freeze(1000);
  expect(moves).toEqual([]);
  await freeze(1000);
  expect(moves).toEqual([]);
  await freeze(1000);

  expect(moves).toHaveLength(1);
  expect(now.asked).toBeGreaterThanOrEqual(6);
});

test('an edge that is far away is given more time in a doubt', async () => {
  const { desk, moves, now, go, pass, settle } = world();
  now.handshakeMs = 250;
  await go(connected);

  void desk.handleDoubt();
  await settle();
  await pass(740);
  expect(moves).toEqual([]);
  await pass(20);

  expect(moves).toHaveLength(1);
});

test('in a doubt that nobody answers, nothing is moved', async () => {
  const { desk, moves, now, go, pass } = world();
  now.alive.clear();
  await go(connected);

  void desk.handleDoubt();
  await pass(5000);

  expect(moves).toEqual([]);
});

test('without a handshake for three seconds others are tried, again and again', async () => {
  const { moves, now, go, pass } = world();
  now.alive.clear();
  await go({ kind: 'connecting', phase: 'handshaking', edge: 'a' });

  await pass(2900);
  expect(moves).toEqual([]);
  await pass(200);
  now.alive.add('c');
  await pass(6000);

  expect(moves[0]).toBe('c');
});

test('where UDP leads nowhere, an edge that is reached by TLS takes over, and is looked up', async () => {
  const { desk, moves, now, go, pass } = world();
  now.alive.clear();
  now.byTls.add('c');
  await go(connected);

  void desk.handleDoubt();
  await pass(5000);

  expect(moves).toEqual(['c by TLS', 'c']);
  expect(now.places).toEqual([undefined]);
});

test('an edge that says that it ends is left at once, where there is another, but not right behind its answer', async () => {
  const { desk, moves, go, pass, settle } = world();
  await go(connected);

  expect(await desk.handleStopping('b')).toBe(false);
  const left = desk.handleStopping('a');
  await settle();
  expect(moves).toEqual([]);
  await pass(50);

  expect(await left).toBe(true);
  expect(moves).toHaveLength(1);
});

test.each([
  ['one edge alone', ['a'], true],
  ['an edge that was chosen by name', ['a', 'b'], false],
])('%s is kept, whatever happens, and nothing is probed', async (_what, edges, isAuto) => {
  const { desk, moves, probed, now, go, pass } = world(edges);
  now.isAuto = isAuto;

  await go(connected);
  await go(stalled);
  await desk.handleStopping('a');
  await pass(100_000);

  expect(moves).toEqual([]);
  expect(probed).toEqual([]);
});

test('the others are kept known while all is well, and the one that failed is silent', async () => {
  const { desk, probed, now, go, pass } = world();
  now.alive.delete('c');
  await go(connected);

  await pass(61_000);

  expect(probed.filter((edge) => edge === 'b').length).toBe(3);
  expect(probed).not.toContain('a');
  expect(desk.isSilent('c')).toBe(true);
  expect(desk.isSilent('b')).toBe(false);
});

test('after a move because of silence the next one has to wait', async () => {
  const { moves, go, pass } = world();
  await go(connected);
  await go(stalled);
  await pass(50);
  await go({ kind: 'connecting', phase: 'resolving', edge: 'b' });
  await go({ kind: 'connecting', phase: 'stalled', edge: 'b' });
  await pass(50);

  expect(moves).toHaveLength(1);
});

test('off, or closed: nothing is probed any more', async () => {
  const { desk, probed, go, pass } = world();
  await go(connected);
  await go({ kind: 'off', edge: undefined });
  desk.close();

  await pass(100_000);

  expect(probed).toEqual([]);
});

test('without a network nobody is asked, and the others are soon known again with one', async () => {
  const { probed, go, pass } = world();
  await go(connected);
  await go({ kind: 'waiting', edge: 'a', failures: 0 });
  probed.length = 0;

  await pass(600_000);
  expect(probed).toEqual([]);
  await go(connected);
  await pass(1000);

  expect(probed.length).toBeGreaterThan(0);
});
