import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MaxFilter } from '../../../../../shared/core/netstack/congestion/max-filter.ts';
import { type FlowNode, FlowTable, flowKeyOf } from '../../../../../shared/core/netstack/flow-table.ts';
import { type Sleeper, WakeHeap } from '../../../../../shared/core/netstack/wake-heap.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

interface Node extends FlowNode<Node> {
  readonly name: string;
}

function nodeOf(key: Uint8Array): Node {
  return { key, hash: 0, chained: undefined, name: [...key].join() };
}

describe('a flow table', () => {
  test('finds what a map of keys would find', () => {
    const small = fc.integer({ min: 0, max: 3 });
    const keys = fc
      .tuple(fc.constantFrom(4, 16), small, small, small, small)
      .map(([size, a, b, p, q]) =>
        flowKeyOf(new Uint8Array(size).fill(a), 1000 + p, new Uint8Array(size).fill(b), 2000 + q),
      );
    const commands = fc.array(fc.tuple(fc.constantFrom('insert', 'remove', 'find'), keys), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(commands, (list) => {
        const table = new FlowTable<Node>(seededEntropy(3));
        const model = new Map<string, Node>();
        for (const [kind, key] of list) {
          const name = [...key].join();
          const known = model.get(name);
          if (kind === 'insert' && known === undefined) {
            const node = nodeOf(key);
            table.insert(node);
            model.set(name, node);
          } else if (kind === 'remove' && known !== undefined) {
            table.remove(known);
            model.delete(name);
            // A second time changes nothing.
            table.remove(known);
          }
          expect(table.find(key, 0, 4, key.length - 4)).toBe(model.get(name));
          expect(table.size).toBe(model.size);
        }
        expect(new Set(table.all())).toEqual(new Set(model.values()));
      }),
      { seed: 5, numRuns: 100 },
    );
  });

  test('reads ports and addresses from different places', () => {
    const table = new FlowTable<Node>(seededEntropy(1));
    const node = nodeOf(flowKeyOf(Uint8Array.of(1, 2, 3, 4), 0x0506, Uint8Array.of(7, 8, 9, 10), 0x0b0c));
    table.insert(node);

    const bytes = Uint8Array.of(0, 1, 2, 3, 4, 7, 8, 9, 10, 0, 0, 5, 6, 0x0b, 0x0c);

    expect(table.find(bytes, 11, 1, 8)).toBe(node);
    expect(table.find(bytes, 10, 1, 8)).toBeUndefined();
  });
});

describe('a wake heap', () => {
  test('gives sleepers in the order of their times, each once, at its earliest', () => {
    const commands = fc.array(fc.tuple(fc.constantFrom('wake', 'forget', 'take'), fc.nat(20), fc.nat(100)), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(commands, (list) => {
        const heap = new WakeHeap<Sleeper & { id: number }>();
        const sleepers = Array.from({ length: 21 }, (_, id) => ({
          id,
          wakeAt: Number.POSITIVE_INFINITY,
          heapIndex: -1,
        }));
        const model = new Map<number, number>();
        for (const [kind, id, at] of list) {
          if (kind === 'wake') {
            heap.wake(sleepers[id]!, at);
            model.set(id, Math.min(at, model.get(id) ?? at));
          } else if (kind === 'forget') {
            heap.forget(sleepers[id]!);
            model.delete(id);
          } else {
            const taken = heap.take(at);
            const earliest = Math.min(...model.values(), Number.POSITIVE_INFINITY);
            if (earliest <= at) {
              expect(model.get(taken!.id)).toBe(earliest);
              model.delete(taken!.id);
            } else {
              expect(taken).toBeUndefined();
            }
          }
          expect(heap.nextAt()).toBe(Math.min(...model.values(), Number.POSITIVE_INFINITY));
          expect(heap.size).toBe(model.size);
        }
      }),
      { seed: 6, numRuns: 200 },
    );
  });
});

test('a max filter remembers the largest of the last rounds', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(15), fc.nat(1000)), { minLength: 1, maxLength: 60 }), (list) => {
      const filter = new MaxFilter(10);
      const seen: [number, number][] = [];
      let round = 0;
      for (const [step, value] of list) {
        round += step;
        filter.update(round, value);
        seen.push([round, value]);
        const recent = seen.filter(([at]) => at > round - 10).map(([, one]) => one);
        expect(filter.max).toBe(Math.max(...recent));
      }
    }),
    { seed: 8, numRuns: 200 },
  );
});
