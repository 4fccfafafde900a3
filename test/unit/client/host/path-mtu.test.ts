// What the keeper makes of answers, losses and silence: which sizes it asks for, and what it sets the interface to.
import { expect, test } from 'vitest';
import { MtuKeeper } from '../../../../client/host/path-mtu.ts';
import { type MonoMs, monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const plan = { address: '10.83.0.1', port: 53, from: '10.83.0.2', interfaceName: 'cv0', most: 1420 };

function world() {
  let ms = 1000;
  /** The largest packet that comes back; 0: nobody answers. */
  let passes = plan.most;
  const waiting: { readonly at: number; readonly run: () => void }[] = [];
  const set: number[] = [];
  let asked = 0;
  const now = (): MonoMs => monoMs(ms);
  const later = (run: () => void, delayMs: number) => {
    const one = { at: ms + delayMs, run };
    waiting.push(one);
    return () => void (waiting.includes(one) && waiting.splice(waiting.indexOf(one), 1));
  };
  const keeper = new MtuKeeper({
    setMtu: async (_name, mtu) => void set.push(mtu),
    onChange: () => undefined,
    clock: { kind: 'process', now, unix: () => unixMs(0) },
    log: silentLog,
    open: (_plan, onAnswer) => ({
      send: ({ id, size }) => {
        asked++;
        if (size <= passes) later(() => onAnswer(id), 20);
      },
      close: () => undefined,
    }),
    schedule: later,
  });
  const pass = async (seconds: number): Promise<void> => {
    const end = ms + seconds * 1000;
    for (;;) {
      const next = waiting.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      waiting.splice(waiting.indexOf(next), 1);
      ms = Math.max(ms, next.at);
      next.run();
    }
    ms = end;
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return {
    keeper,
    set,
    pass,
    carry: (most: number) => {
      passes = most;
    },
    asked: () => asked,
  };
}

test('a path that carries less makes the interface narrower, to within 8 bytes', async () => {
  const { keeper, set, pass, carry } = world();
  carry(1350);

  keeper.start(plan);
  await pass(60);

  expect(set).toHaveLength(1);
  expect(keeper.reduced).toBeGreaterThan(1342);
  expect(keeper.reduced).toBeLessThanOrEqual(1350);
  expect(keeper.isBroken).toBe(false);
});

test('an edge that is silent narrows nothing: asking ends with the pause, and starts again with the size in use', async () => {
  const { keeper, set, pass, carry, asked } = world();
  keeper.start(plan);
  await pass(5);
  carry(0);
  keeper.handleSuspicion();
  await pass(3);

  keeper.pause();
  const before = asked();
  keeper.handleSuspicion();
  keeper.handleMove();
  await pass(300);
  const during = asked() - before;
  carry(plan.most);
  keeper.resume();
  await pass(1);

  expect(during).toBe(0);
  expect(set).toEqual([]);
  expect(keeper.reduced).toBeUndefined();
  expect(keeper.isBroken).toBe(false);
});

test('what was narrowed stays so across a silence, and is asked first', async () => {
  const { keeper, set, pass, carry } = world();
  carry(1350);
  keeper.start(plan);
  await pass(60);
  const [narrowed] = set;

  keeper.pause();
  await pass(60);
  keeper.resume();
  await pass(60);

  expect(set).toEqual([narrowed]);
});

test('a path that swallows the size in use is noticed without a change of network', async () => {
  const { keeper, pass, carry } = world();
  keeper.start(plan);
  await pass(5);
  carry(1300);

  keeper.handleSuspicion();
  await pass(60);

  expect(keeper.reduced).toBeLessThanOrEqual(1300);
  expect(keeper.reduced).toBeGreaterThanOrEqual(1280);
});

test('a path below 1280 is broken until a packet of that size passes', async () => {
  const { keeper, pass, carry } = world();
  carry(1000);
  keeper.start(plan);
  await pass(10);
  const isBroken = keeper.isBroken;

  carry(plan.most);
  await pass(70);

  expect(isBroken).toBe(true);
  expect(keeper.isBroken).toBe(false);
  expect(keeper.reduced).toBeUndefined();
});
