// Which names the edge hears of, and when a program gets its answer.
import { describe, expect, test } from 'vitest';
import { bothWatches, NameTeller } from '../../../../client/control/name-teller.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { readMessage } from '../../../../shared/core/dns/reader.ts';
import { recordType } from '../../../../shared/core/dns/types.ts';
import { writeAddressAnswer, writeQuery } from '../../../../shared/core/dns/writer.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const rules = [
  { host: '*.bank.example', use: 'fra' },
  { host: 'ads.example', use: 'none' },
];

function answerFor(name: string, ...addresses: Uint8Array[]): Uint8Array {
  const query = readMessage(writeQuery({ id: 1, name, type: recordType.a })!)!;
  return writeAddressAnswer(query, addresses, 300);
}

function world() {
  const told: unknown[] = [];
  const timers: (() => void)[] = [];
  const state = { edge: 'home' as string | undefined, now: 0, isSilent: false, changes: 0 };
  const call = async (...words: unknown[]): Promise<undefined> => {
    told.push(words[2]);
    if (state.isSilent) await new Promise(() => undefined);
  };
  const teller = new NameTeller({
    enrollment: { call: call as never },
    connectedTo: () => state.edge,
    onChange: () => state.changes++,
    now: () => monoMs(state.now),
    after: (_ms, run) => {
      timers.push(run);
      return () => undefined;
    },
  });
  teller.setRules('home', rules);
  return { teller, told, state, timers };
}

const address = Uint8Array.of(203, 0, 113, 9);

describe('the edge is told', () => {
  test('names that its rules mean, with their addresses, and no other', async () => {
    const { teller, told } = world();

    expect(
      ['www.bank.example', 'WWW.Bank.example.', 'ads.example', 'bank.example', 'x.example'].map(
        teller.watch.wants,
      ),
    ).toEqual([true, true, true, false, false]);
    await teller.watch.learn('WWW.bank.example.', answerFor('www.bank.example', address));

    expect(told).toEqual([
      { names: [{ name: 'www.bank.example', addresses: ['203.0.113.9'], ttlSeconds: 300 }] },
    ]);
  });

  test('the same only once in a while, and again after another connect', async () => {
    const { teller, told, state } = world();
    const learn = (): Promise<void> => teller.watch.learn('ads.example', answerFor('ads.example', address));

    await learn();
    await learn();
    expect(told.length).toBe(1);
    state.now = 61_000;
    await learn();
    teller.handleChange();
    await learn();

    expect(told.length).toBe(3);
  });

  test('nothing while not all traffic goes to it', () => {
    const { teller, state } = world();
    state.edge = undefined;

    expect(teller.watch.wants('ads.example')).toBe(false);
  });
});

test('an answer waits for a silent edge a little while only, and names that come meanwhile go together', async () => {
  const { teller, told, state, timers } = world();
  state.isSilent = true;
  let answered = 0;
  for (const name of ['ads.example', 'a.bank.example', 'b.bank.example']) {
    void teller.watch.learn(name, answerFor(name, address)).then(() => answered++);
  }
  await turn();
  expect([answered, told.length]).toEqual([0, 1]);

  for (const run of timers) run();
  await turn();

  expect(answered).toBe(3);
});

test('rules that stay the same change nothing, others do', () => {
  const { teller, state } = world();
  expect(state.changes).toBe(1);

  teller.setRules('home', [...rules]);
  expect(state.changes).toBe(1);
  teller.setRules('home', []);

  expect([state.changes, teller.watch.wants('ads.example')]).toEqual([2, false]);
});

test('two who want to know are both told, each what it wants', async () => {
  const heard: string[] = [];
  const watch = (name: string) => ({
    wants: (asked: string) => asked === name || asked === 'both',
    learn: async (asked: string) => void heard.push(`${name} hears ${asked}`),
  });
  const both = bothWatches(watch('a'), () => watch('b'));

  expect(['a', 'b', 'c'].map(both.wants)).toEqual([true, true, false]);
  await both.learn('both', new Uint8Array());
  await both.learn('b', new Uint8Array());

  expect(heard).toEqual(['a hears both', 'b hears both', 'b hears b']);
});
