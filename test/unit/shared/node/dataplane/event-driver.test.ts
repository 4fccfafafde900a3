// The event driver over a loop and a watch that the test plays. Timers are played, too.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { monoMs, unixMs } from '../../../../../shared/core/base/time.ts';
import { EventDriver } from '../../../../../shared/node/dataplane/event-driver.ts';
import type { FdWatch } from '../../../../../shared/node/dataplane/fd-watch.ts';
import type { DataplaneLoop, StepResult } from '../../../../../shared/node/dataplane/loop.ts';
import type { TunPort } from '../../../../../shared/node/tun/port.ts';
import type { UdpPort } from '../../../../../shared/node/udp/port.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const mostTurns = 5;

function world(hasWatch = true) {
  const steps: (number | undefined)[] = [];
  const results: StepResult[] = [];
  let nextAt = Number.POSITIVE_INFINITY;
  let ready = 0;
  const state = { now: 0, gone: 0, closed: 0 };
  const loop = {
    step: (bits?: number) => {
      steps.push(bits);
      return results.shift() ?? 'idle';
    },
    nextTimeoutAt: () => nextAt,
  };
  const watch = {
    onReadable: undefined as (() => void) | undefined,
    takeReady: () => {
      const taken = ready;
      ready = 0;
      return taken;
    },
    close: () => state.closed++,
  };
  const udp = { onReadable: undefined as (() => void) | undefined };
  const tun = { onReadable: undefined as (() => void) | undefined };
  const driver = new EventDriver({
    loop: loop as unknown as DataplaneLoop,
    udp: udp as unknown as UdpPort,
    tun: tun as unknown as TunPort,
    clock: { kind: 'process', now: () => monoMs(state.now), unix: () => unixMs(0) },
    watch: hasWatch ? (watch as unknown as FdWatch) : undefined,
    onGone: () => state.gone++,
  });
  return {
    driver,
    loop,
    steps,
    results,
    state,
    udp,
    tun,
    dueAt: (at: number) => (nextAt = at),
    readable: (bits: number) => {
      ready |= bits;
      watch.onReadable?.();
    },
    /** Lets everything happen that is due now. */
    async settle(): Promise<number> {
      const before = steps.length;
      for (let i = 0; i < mostTurns; i++) await nextTurn();
      return steps.length - before;
    },
  };
}

describe('the event driver', () => {
  test('asks only the descriptors that are ready, and the inside always', async () => {
    const { steps, settle, readable } = world();
    await settle();

    readable(2);
    readable(1);
    await settle();

    expect(steps).toEqual([1, 6, 1]);
  });

  test('lets those who wait for what came go first, and then sends what follows from both', async () => {
    const { steps, settle, readable, loop, tun } = world();
    await settle();
    const happened: string[] = [];
    let arrived: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const consumer = async (): Promise<void> => {
      await waiting;
      await Promise.resolve();
      tun.onReadable?.(); // It writes to the stack.
      happened.push('told');
    };
    void consumer();
    const step = loop.step;
    loop.step = (bits) => {
      if (bits === 2) arrived();
      happened.push(`step ${bits}`);
      return step(bits);
    };

    readable(1);
    await settle();

    expect(happened).toEqual(['step 2', 'told', 'step 1']);
    expect(steps).toEqual([1, 2, 1]);
  });

  test('sends at once what somebody waits for, except in the midst of a step', async () => {
    const { driver, steps, settle, readable, loop } = world();
    await settle();
    const step = loop.step;
    loop.step = (bits) => {
      const before = steps.length;
      if (bits === 2) driver.flush();
      expect(steps).toHaveLength(before);
      return step(bits);
    };

    driver.flush();
    expect(steps).toEqual([1, 1]);
    readable(1);
    await settle();

    expect(steps).toEqual([1, 1, 2, 1, 1]);
    driver.stop();
    driver.flush();
    expect(steps).toHaveLength(5);
  });

  test('asks everything where nothing is watched', async () => {
    const { steps, settle, udp, tun } = world(false);
    await settle();

    udp.onReadable?.();
    tun.onReadable?.();
    await settle();

    expect(steps).toEqual([undefined, undefined]);
  });

  test('steps once a turn while there is work, so that others have theirs', async () => {
    const { steps, results, settle } = world();
    for (let i = 0; i < 20; i++) results.push('busy');
    let theirs = 0;
    const other = (): void => {
      theirs++;
      if (theirs < 10) setImmediate(other);
    };
    setImmediate(other);

    await settle();
    await settle();

    expect(theirs).toBe(10);
    expect(steps.length).toBeGreaterThan(5);
    expect(steps.length).toBeLessThanOrEqual(2 * mostTurns + 1);
  });

  test('sleeps until something is due', async () => {
    const { settle, dueAt, state } = world();
    dueAt(500);
    await settle();

    vi.advanceTimersByTime(499);
    expect(await settle()).toBe(0);
    state.now = 500;
    dueAt(900);
    vi.advanceTimersByTime(1);

    expect(await settle()).toBe(1);
  });

  test('wakes earlier where something earlier has come up, and not later where it is put off', async () => {
    const { settle, dueAt, state, driver } = world();
    dueAt(10_000);
    await settle();
    dueAt(20);
    driver.schedule();
    await settle();

    state.now = 20;
    dueAt(30_000);
    vi.advanceTimersByTime(20);
    expect(await settle()).toBe(1);
    dueAt(25);
    driver.schedule();
    await settle();
    state.now = 25;
    dueAt(Number.POSITIVE_INFINITY);
    vi.advanceTimersByTime(5);

    expect(await settle()).toBe(1);
  });

  test('does nothing any more once it is stopped, and closes the watch', async () => {
    const { settle, dueAt, driver, readable, state } = world();
    dueAt(10);
    await settle();

    driver.stop();
    readable(1);
    driver.schedule();
    vi.advanceTimersByTime(1000);

    expect(await settle()).toBe(0);
    expect(state.closed).toBe(1);
  });

  test('ends where the interface is gone, and says so once', async () => {
    const { settle, results, state, driver } = world();
    results.push('gone');

    await settle();
    driver.schedule();

    expect(await settle()).toBe(0);
    expect(state.gone).toBe(1);
  });
});
