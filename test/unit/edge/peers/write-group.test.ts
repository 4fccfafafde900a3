/** Writes that come together: one transaction, an answer each, and nothing of those that fail. */

import { afterEach, describe, expect, test } from 'vitest';
import { SqliteConnection } from '../../../../edge/peers/store-sqlite-connection.ts';
import { WriteGroup } from '../../../../edge/peers/write-group.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';

class World {
  readonly sql = new SqliteConnection(':memory:');
  readonly turns: (() => void)[] = [];
  transactions = 0;
  /** Before the transaction of that number, from 1. */
  fault: ((number: number) => void) | undefined;
  readonly group: WriteGroup;

  constructor() {
    this.sql.script('CREATE TABLE entry (n INTEGER PRIMARY KEY) STRICT');
    const { sql } = this;
    const counting = {
      transaction: <T>(work: () => T): T => {
        this.transactions++;
        this.fault?.(this.transactions);
        return sql.transaction(work);
      },
      part: <T>(work: () => T): T => sql.part(work),
      get isInTransaction(): boolean {
        return sql.isInTransaction;
      },
    };
    this.group = new WriteGroup(counting, (run) => void this.turns.push(run));
  }

  /** Answers how many entries there were before. */
  insert(n: number): Promise<number> {
    return this.group.add(() => {
      const before = this.entries.length;
      this.sql.run('INSERT INTO entry VALUES (?)', n);
      return before;
    });
  }

  endTurn(): void {
    for (const run of this.turns.splice(0)) run();
  }

  get entries(): readonly number[] {
    return this.sql.all<{ n: number }>('SELECT n FROM entry ORDER BY n').map(({ n }) => n);
  }
}

const worlds: World[] = [];
afterEach(() => {
  for (const { sql } of worlds.splice(0)) sql.close();
});

function open(): World {
  const world = new World();
  worlds.push(world);
  return world;
}

const outcome = (answers: readonly PromiseSettledResult<unknown>[]): readonly unknown[] =>
  answers.map((one) => (one.status === 'fulfilled' ? one.value : 'failed'));

describe('writes of one turn', () => {
  test('are one transaction, in their order, and answer after it', async () => {
    const world = open();
    let answered = 0;
    const answers = [5, 6, 7].map((n) => world.insert(n));
    for (const answer of answers) void answer.then(() => answered++);
    await Promise.resolve();
    expect([answered, world.entries]).toEqual([0, []]);

    world.endTurn();

    expect(await Promise.all(answers)).toEqual([0, 1, 2]);
    expect(world.transactions).toBe(1);
    const next = world.insert(8);
    world.endTurn();
    expect(await next).toBe(3);
    expect(world.transactions).toBe(2);
  });

  test('fail alone, and leave nothing behind', async () => {
    const world = open();
    const broken = world.group.add(() => {
      world.sql.run('INSERT INTO entry VALUES (99)');
      throw new Error('no');
    });
    const answers = Promise.allSettled([world.insert(1), broken, world.insert(1), world.insert(2)]);

    world.endTurn();

    expect(outcome(await answers)).toEqual([0, 'failed', 'failed', 1]);
    expect(world.entries).toEqual([1, 2]);
    expect(world.transactions).toBe(1);
  });

  test('are written one by one where all of them are undone together', async () => {
    const world = open();
    const undone = world.group.add(() => {
      world.sql.run('INSERT INTO entry VALUES (99)');
      world.sql.script('ROLLBACK');
      throw new CulvertError('store-full');
    });
    const answers = Promise.allSettled([world.insert(1), undone, world.insert(2)]);

    world.endTurn();

    expect(outcome(await answers)).toEqual([0, 'failed', 1]);
    expect(world.entries).toEqual([1, 2]);
    expect(world.transactions).toBe(4);
  });

  test('wait for another program once, not once each', async () => {
    const world = open();
    world.fault = () => {
      throw new CulvertError('store-busy');
    };
    const answers = Promise.allSettled([world.insert(1), world.insert(2)]);

    world.endTurn();

    expect(outcome(await answers)).toEqual(['failed', 'failed']);
    expect(world.transactions).toBe(1);
  });

  test('do not wait for the end of the turn where they are many', async () => {
    const world = open();
    const answers = Array.from({ length: 300 }, (_, n) => world.insert(n));

    expect(await Promise.all(answers.slice(0, 256))).toHaveLength(256);
    expect([world.transactions, world.entries.length]).toEqual([2, 256]);
    world.endTurn();
    expect(await Promise.all(answers)).toHaveLength(300);
  });
});
