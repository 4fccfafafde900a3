// Rehearsals in quiet moments: when they run, give way and end. Timers are played.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Rehearsal, rehearseQuietly } from '../../../../../shared/node/flows/quiet-rehearsal.ts';
import { silentLog } from '../../../../../shared/node/silent-log.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const pauseMs = 500;

function world(rounds = 3) {
  const seen = { opened: 0, rounds: 0, closed: 0, busy: false, fails: false };
  const rehearsal: Rehearsal = {
    round: async () => {
      seen.rounds++;
      if (seen.fails) throw new Error('no such thing here');
    },
    close: () => {
      seen.closed++;
    },
  };
  const open = async (): Promise<Rehearsal> => {
    seen.opened++;
    return rehearsal;
  };
  const end = rehearseQuietly({ open, isBusy: () => seen.busy, log: silentLog, rounds, pauseMs });
  return { seen, end };
}

describe('a quiet rehearsal', () => {
  test('begins after a pause, does its rounds and leaves nothing open', async () => {
    const { seen } = world();
    await vi.advanceTimersByTimeAsync(pauseMs - 1);
    expect(seen.opened).toBe(0);

    await vi.advanceTimersByTimeAsync(1);

    expect(seen).toMatchObject({ opened: 1, rounds: 3, closed: 1 });
  });

  test('gives way while there is something real to do, and goes on after it', async () => {
    const { seen } = world();
    seen.busy = true;
    await vi.advanceTimersByTimeAsync(4 * pauseMs);
    expect(seen).toMatchObject({ rounds: 0, closed: 0 });

    seen.busy = false;
    await vi.advanceTimersByTimeAsync(pauseMs);

    expect(seen).toMatchObject({ rounds: 3, closed: 1 });
  });

  test('is given up where somebody is busy for a minute', async () => {
    const { seen } = world();
    seen.busy = true;

    await vi.advanceTimersByTimeAsync(125 * pauseMs);

    expect(seen).toMatchObject({ rounds: 0, closed: 1 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is given up where it cannot be done, and closes what it had opened', async () => {
    const { seen, end } = world();
    seen.fails = true;

    await vi.advanceTimersByTimeAsync(pauseMs);

    expect(seen).toMatchObject({ rounds: 1, closed: 1 });
    await expect(end()).resolves.toBeUndefined();
  });

  test('ends when it is told to, also before it has begun', async () => {
    const early = world();
    await early.end();
    const late = world(1000);
    late.seen.busy = true;
    await vi.advanceTimersByTimeAsync(2 * pauseMs);

    await late.end();

    expect(early.seen).toMatchObject({ opened: 0, closed: 0 });
    expect(late.seen).toMatchObject({ rounds: 0, closed: 1 });
    expect(vi.getTimerCount()).toBe(0);
  });
});
