// Who keeps firewall and routes as they were made, on a clock that tests move.
import { describe, expect, test } from 'vitest';
import { HostGuard } from '../../../../client/host/guard.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

function makeWorld(verdicts: (boolean | Error)[]) {
  let nowMs = 0;
  let looks = 0;
  const waiting: (() => void)[] = [];
  const guard = new HostGuard({
    guarded: [
      {
        verify: async () => {
          looks += 1;
          const verdict = verdicts.shift() ?? false;
          if (verdict instanceof Error) throw verdict;
          return verdict;
        },
      },
    ],
    clock: { now: () => monoMs(nowMs) },
    log: silentLog,
    schedule: (work) => {
      waiting.push(work);
      return () => void waiting.splice(waiting.indexOf(work), 1);
    },
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return {
    guard,
    waiting,
    looks: () => looks,
    later: (ms: number) => {
      nowMs += ms;
    },
    async news() {
      guard.handleNews();
      await settle();
    },
    async wait() {
      waiting.shift()?.();
      await settle();
    },
  };
}

describe('the guard of firewall and routes', () => {
  test('looks at once after news, and says nothing where all is well', async () => {
    const world = makeWorld([]);

    await world.news();

    expect(world.looks()).toBe(1);
    expect(world.guard.health()).toEqual([]);
  });

  test('looks again where news came while it looked', async () => {
    const world = makeWorld([true, false]);

    world.guard.handleNews();
    world.guard.handleNews();
    await world.news();

    expect(world.looks()).toBe(2);
  });

  test('goes on more slowly, and says so, where another program keeps at it; and forgets it after a minute', async () => {
    const world = makeWorld(Array.from({ length: 20 }, () => true));
    for (let i = 0; i < 6; i++) await world.news();
    const looked = world.looks();

    await world.news();
    const held = world.looks();
    await world.wait();

    expect([looked, held, world.looks()]).toEqual([6, 6, 7]);
    expect(world.guard.health().map((item) => item.code)).toEqual(['host-fight']);
    world.later(61_000);
    expect(world.guard.health()).toEqual([]);
    await world.news();
    expect(world.looks()).toBe(8);
  });

  test('goes on after a repair that failed', async () => {
    const world = makeWorld([new Error('no device'), true]);

    await world.news();
    await world.news();

    expect(world.looks()).toBe(2);
  });

  test('does nothing any more once it is closed', async () => {
    const world = makeWorld([]);
    world.guard.close();

    await world.news();

    expect(world.looks()).toBe(0);
  });
});
