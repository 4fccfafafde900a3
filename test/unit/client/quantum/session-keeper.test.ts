import { expect, test } from 'vitest';
import { NoSessions, SessionKeeper, type SessionKeys } from '../../../../client/quantum/session-keeper.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

interface Waiting {
  readonly delayMs: number;
  readonly run: () => void;
}

function world() {
  const told: string[] = [];
  const waiting: Waiting[] = [];
  const now = {
    edge: undefined as string | undefined,
    isWanted: true,
    handshakeMs: 1,
    answers: true,
    fails: undefined as Error | undefined,
  };
  let made = 0;
  const keeper = new SessionKeeper({
    connectedTo: () => now.edge,
    isWanted: () => now.isWanted,
    agree: async (edge) => {
      told.push(`agree ${edge}`);
      if (now.fails !== undefined) throw now.fails;
      return { privateKey: new Uint8Array(32).fill(++made), presharedKey: new Uint8Array(32) };
    },
    rekey: async (keys: SessionKeys | undefined, present) => {
      const key = keys === undefined ? 'own key' : `key ${keys.privateKey[0]}`;
      told.push(present === 'ends' ? `${key} at once` : key);
      if (now.answers) now.handshakeMs++;
    },
    status: async () => ({ peers: [{ lastHandshakeMs: now.handshakeMs } as never] }),
    onChange: () => undefined,
    log: silentLog,
    after: (delayMs, run) => {
      const one = { delayMs, run };
      waiting.push(one);
      return () => {
        if (waiting.includes(one)) waiting.splice(waiting.indexOf(one), 1);
      };
    },
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  /** Lets the first that waits go on. */
  const pass = async (): Promise<number> => {
    const next = waiting.shift();
    next?.run();
    await settle();
    return next?.delayMs ?? -1;
  };
  const connect = async (edge: string | undefined): Promise<void> => {
    now.edge = edge;
    keeper.handleChange();
    await settle();
  };
  return { keeper, told, waiting, now, settle, pass, connect };
}

test('a connect is followed by keys for the session, which hold once the edge has answered with them', async () => {
  const { keeper, told, connect } = world();

  await connect('home');

  expect(told).toEqual(['agree home', 'key 1']);
  expect(keeper.isHeld).toBe(true);
});

test('is not said to be safe before the edge has answered; where it never does, the own key comes back', async () => {
  const { keeper, told, now, pass, connect, waiting } = world();
  now.answers = false;

  await connect('home');
  expect(keeper.isHeld).toBe(false);
  for (let i = 0; i < 60; i++) await pass();

  expect(told).toEqual(['agree home', 'key 1', 'own key']);
  expect(keeper.isHeld).toBe(false);
  expect(waiting.map(({ delayMs }) => delayMs)).toEqual([30_000]);
});

test('the edge falls silent: the own key comes back at once, and the next connect agrees anew', async () => {
  const { keeper, told, connect } = world();
  await connect('home');

  await connect(undefined);
  expect(keeper.isHeld).toBe(false);
  await connect('home');

  expect(told).toEqual(['agree home', 'key 1', 'own key at once', 'agree home', 'key 2']);
});

test('keys are renewed after an hour, and the tunnel stays safe meanwhile', async () => {
  const { keeper, told, pass, connect } = world();
  await connect('home');

  expect(await pass()).toBe(3_600_000);

  expect(told).toEqual(['agree home', 'key 1', 'agree home', 'key 2']);
  expect(keeper.isHeld).toBe(true);
});

test('an edge that has no such sessions is asked once; another failure a few times', async () => {
  const { told, now, waiting, pass, connect } = world();
  now.fails = new NoSessions('old');
  await connect('home');
  expect(waiting).toEqual([]);

  await connect(undefined);
  now.fails = new Error('not there');
  told.length = 0;
  await connect('home');
  for (let i = 0; i < 10; i++) await pass();

  expect(told).toEqual(Array.from({ length: 4 }, () => 'agree home'));
});

test('turned off in settings: the own key is back and nothing is asked', async () => {
  const { keeper, told, now, settle, connect } = world();
  await connect('home');

  now.isWanted = false;
  keeper.handleChange();
  await settle();
  await connect(undefined);
  await connect('home');

  expect(told).toEqual(['agree home', 'key 1', 'own key']);
});

test('what was agreed for an edge that was left meanwhile is not used', async () => {
  const { keeper, told, now, settle } = world();
  now.edge = 'home';
  keeper.handleChange();

  now.edge = undefined;
  keeper.handleChange();
  await settle();

  expect(told).toEqual(['agree home']);
  expect(keeper.isHeld).toBe(false);
});
