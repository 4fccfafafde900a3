// Several addresses and one connection, under fake timers.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { interleave, raceConnect, staggerMs } from '../../../../client/proxy/happy-eyeballs.ts';

const v4a = Uint8Array.of(192, 0, 2, 1);
const v4b = Uint8Array.of(192, 0, 2, 2);
const v6a = new Uint8Array(16).fill(1);
const v6b = new Uint8Array(16).fill(2);

interface Try {
  readonly address: Uint8Array;
  readonly signal: AbortSignal;
  readonly resolve: (connection: string) => void;
  readonly reject: (error: Error) => void;
}

function race(addresses: readonly Uint8Array[], signal = new AbortController().signal) {
  const tries: Try[] = [];
  const discarded: string[] = [];
  const outcome = raceConnect<string>({
    addresses,
    signal,
    connect: (address, own) =>
      new Promise((resolve, reject) => {
        tries.push({ address, signal: own, resolve, reject });
      }),
    discard: (late) => discarded.push(late),
  }).then(
    ({ connection }) => connection,
    (error: Error) => error.message,
  );
  return { tries, discarded, outcome };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a race of addresses', () => {
  test('begins the second try after the stagger, and gives the others up when one stands', async () => {
    const { tries, outcome } = race([v6a, v4a, v4b]);

    await vi.advanceTimersByTimeAsync(staggerMs - 1);
    const early = tries.length;
    await vi.advanceTimersByTimeAsync(1);
    tries[1].resolve('second');

    expect(await outcome).toBe('second');
    expect(early).toBe(1);
    expect(tries.map((one) => one.signal.aborted)).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(10 * staggerMs);
    expect(tries).toHaveLength(2);
  });

  test('begins the next try at once where one failed', async () => {
    const { tries, outcome } = race([v6a, v4a]);

    tries[0].reject(new Error('no'));
    await vi.advanceTimersByTimeAsync(0);
    tries[1].resolve('yes');

    expect(await outcome).toBe('yes');
  });

  test('fails with the last error where all failed, also at the same moment', async () => {
    const { tries, outcome } = race([v6a, v4a]);
    await vi.advanceTimersByTimeAsync(staggerMs);

    tries[0].reject(new Error('first'));
    tries[1].reject(new Error('second'));

    expect(await outcome).toBe('second');
  });

  test('discards a connection that comes too late', async () => {
    const { tries, discarded, outcome } = race([v6a, v4a]);
    await vi.advanceTimersByTimeAsync(staggerMs);

    tries[1].resolve('quick');
    tries[0].resolve('slow');

    expect(await outcome).toBe('quick');
    await vi.advanceTimersByTimeAsync(0);
    expect(discarded).toEqual(['slow']);
  });

  test('ends with the reason of its signal, and every try with it', async () => {
    const abort = new AbortController();
    const { tries, outcome } = race([v6a, v4a], abort.signal);

    abort.abort(new Error('enough'));

    expect(await outcome).toBe('enough');
    expect(tries.map((one) => one.signal.aborted)).toEqual([true]);
  });

  test('tries no more than eight', async () => {
    const { tries, outcome } = race(Array.from({ length: 20 }, () => v4a));
    await vi.advanceTimersByTimeAsync(30 * staggerMs);

    for (const one of tries) one.reject(new Error('no'));

    expect(await outcome).toBe('no');
    expect(tries).toHaveLength(8);
  });

  test.each([
    ['in turn', [v6a, v6b, v4a, v4b], 16, [v6a, v4a, v6b, v4b]],
    ['IPv4 first', [v6a, v6b, v4a], 4, [v4a, v6a, v6b]],
    ['one family', [v4a, v4b], 16, [v4a, v4b]],
    ['none', [], 16, []],
  ] as const)('puts families %s', (_title, addresses, first, expected) => {
    expect(interleave(addresses, first)).toEqual(expected);
  });
});
