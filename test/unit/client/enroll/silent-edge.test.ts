/** What a device does about an enrolled edge that does not answer. */

import { expect, test } from 'vitest';
import { SilentEdge } from '../../../../client/enroll/silent-edge.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

function arrangement() {
  const world = {
    sought: undefined as string | undefined,
    answer: (): Promise<boolean> => Promise.resolve(false),
    asked: [] as string[],
    reconnected: [] as string[],
    waits: [] as { ms: number; run: () => void }[],
  };
  const silent = new SilentEdge({
    refresh: (edge) => {
      world.asked.push(edge);
      return world.answer();
    },
    soughtEdge: () => world.sought,
    reconnect: (edge) => world.reconnected.push(edge),
    log: silentLog,
    after: (ms, run) => {
      const wait = { ms, run };
      world.waits.push(wait);
      return () => {
        world.waits = world.waits.filter((one) => one !== wait);
      };
    },
  });
  const pass = async (): Promise<number> => {
    const [wait] = world.waits.splice(0);
    wait?.run();
    for (let i = 0; i < 10; i++) await Promise.resolve();
    return wait?.ms ?? 0;
  };
  return { world, silent, pass };
}

test('an edge that is sought for seconds is asked, ever more rarely', async () => {
  const { world, silent, pass } = arrangement();
  world.sought = 'home';
  silent.handleChange();
  silent.handleChange();

  expect([await pass(), await pass(), await pass()]).toEqual([8000, 16_000, 32_000]);
  expect(world.asked).toEqual(['home', 'home', 'home']);
  for (let n = 0; n < 10; n++) await pass();
  expect(world.waits.map(({ ms }) => ms)).toEqual([300_000]);
  expect(world.reconnected).toEqual([]);
});

test('where it wants something else, the tunnel is made again', async () => {
  const { world, silent, pass } = arrangement();
  world.sought = 'home';
  world.answer = () => Promise.resolve(true);
  silent.handleChange();
  await pass();

  expect(world.reconnected).toEqual(['home']);
});

test('an edge that cannot be asked either is asked again', async () => {
  const { world, silent, pass } = arrangement();
  world.sought = 'home';
  world.answer = () => Promise.reject(new Error('no way'));
  silent.handleChange();
  await pass();

  expect(world.waits).toHaveLength(1);
});

test('an edge that is reached, or no longer wanted, is left alone', async () => {
  const { world, silent, pass } = arrangement();
  world.sought = 'home';
  silent.handleChange();
  world.sought = undefined;
  silent.handleChange();
  expect(world.waits).toEqual([]);

  world.sought = 'home';
  world.answer = () => {
    world.sought = undefined;
    silent.handleChange();
    return Promise.resolve(true);
  };
  silent.handleChange();
  await pass();
  expect(world.reconnected).toEqual([]);
  silent.close();
  expect(world.waits).toEqual([]);
});
