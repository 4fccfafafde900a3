import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { WakeQueue } from '../../../../../shared/core/tunnel/wake-queue.ts';

const sleeper = (name: number): { name: number; wakeAt: number } => ({
  name,
  wakeAt: Number.POSITIVE_INFINITY,
});

describe('a wake queue', () => {
  it('returns sleepers in the order of their times, each once', () => {
    const queue = new WakeQueue<ReturnType<typeof sleeper>>();
    const [a, b, c] = [sleeper(1), sleeper(2), sleeper(3)];
    queue.wake(a, 30);
    queue.wake(b, 10);
    queue.wake(c, 20);

    const order = [
      queue.take(monoMs(100)),
      queue.take(monoMs(100)),
      queue.take(monoMs(100)),
      queue.take(monoMs(100)),
    ];

    expect(order).toEqual([b, c, a, undefined]);
  });

  it('moves a sleeper only to an earlier time', () => {
    const queue = new WakeQueue<ReturnType<typeof sleeper>>();
    const a = sleeper(1);
    queue.wake(a, 50);
    queue.wake(a, 80);
    queue.wake(a, 20);

    expect(queue.nextAt()).toBe(20);
    expect(queue.take(monoMs(19))).toBeUndefined();
    expect(queue.take(monoMs(20))).toBe(a);
    expect(queue.nextAt()).toBe(Number.POSITIVE_INFINITY);
  });

  it('never returns a sleeper that was forgotten', () => {
    const queue = new WakeQueue<ReturnType<typeof sleeper>>();
    const a = sleeper(1);
    queue.wake(a, 5);

    queue.forget(a);

    expect(queue.take(monoMs(1000))).toBeUndefined();
  });

  it('agrees with a table of times under arbitrary commands', () => {
    const command = fc.record({
      kind: fc.constantFrom('wake', 'wake', 'wake', 'forget', 'take'),
      who: fc.nat(7),
      at: fc.nat(100),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
        const queue = new WakeQueue<ReturnType<typeof sleeper>>();
        const sleepers = Array.from({ length: 8 }, (_, i) => sleeper(i));
        const table = new Map<number, number>();
        for (const { kind, who, at } of commands) {
          if (kind === 'wake') {
            queue.wake(sleepers[who]!, at);
            table.set(who, Math.min(at, table.get(who) ?? Number.POSITIVE_INFINITY));
          } else if (kind === 'forget') {
            queue.forget(sleepers[who]!);
            table.delete(who);
          } else {
            const taken = queue.take(monoMs(at));
            const earliest = Math.min(Number.POSITIVE_INFINITY, ...table.values());
            if (earliest > at) expect(taken).toBeUndefined();
            else expect(table.get(taken!.name)).toBe(earliest);
            if (taken !== undefined) table.delete(taken.name);
          }
          expect(queue.nextAt()).toBe(Math.min(Number.POSITIVE_INFINITY, ...table.values()));
        }
      }),
      { seed: 3, numRuns: 500 },
    );
  });
});
