// Deadlines in a queue, under a clock that the test sets.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WaitQueue, Waits } from '../../../../../shared/node/flows/wait-queue.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a queue of deadlines', () => {
  test('calls each when its own time is over, in their order', () => {
    const queue = new WaitQueue(1000);
    const called: string[] = [];
    queue.add(() => called.push('first'));
    vi.advanceTimersByTime(400);
    queue.add(() => called.push('second'));

    vi.advanceTimersByTime(599);
    expect(called).toEqual([]);
    vi.advanceTimersByTime(2);
    expect(called).toEqual(['first']);
    vi.advanceTimersByTime(397);
    expect(called).toEqual(['first']);
    vi.advanceTimersByTime(3);
    expect(called).toEqual(['first', 'second']);
  });

  test('does not call what was cancelled, whichever place it had', () => {
    const queue = new WaitQueue(1000);
    const called: number[] = [];
    const waits = [0, 1, 2, 3, 4].map((i) => queue.add(() => called.push(i)));
    for (const i of [0, 2, 4, 2]) waits[i]?.cancel();

    vi.advanceTimersByTime(2000);

    expect(called).toEqual([1, 3]);
    waits[1]?.cancel();
    queue.add(() => called.push(5));
    vi.advanceTimersByTime(2000);
    expect(called).toEqual([1, 3, 5]);
  });

  test('has one timer, and none where nothing waits', () => {
    const queue = new WaitQueue(1000);
    for (let i = 0; i < 100; i++) queue.add(() => undefined);

    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1001);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('takes a new deadline from whoever is called', () => {
    const queue = new WaitQueue(1000);
    let called = 0;
    const again = (): void => {
      if (++called < 3) queue.add(again);
    };
    queue.add(again);

    vi.advanceTimersByTime(1500);
    expect(called).toBe(1);
    vi.advanceTimersByTime(2000);

    expect(called).toBe(3);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('deadlines of different times do not wait for each other', () => {
  const waits = new Waits();
  const called: string[] = [];
  waits.after(5000, () => called.push('late'));
  waits.after(1000, () => called.push('early'));

  vi.advanceTimersByTime(1001);
  expect(called).toEqual(['early']);
  vi.advanceTimersByTime(4000);
  expect(called).toEqual(['early', 'late']);
});
