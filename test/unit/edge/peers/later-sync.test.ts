/** Commits that wait for the disk without holding up the program, with a disk that the test plays. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { LaterSync } from '../../../../edge/peers/later-sync.ts';
import { SqliteConnection } from '../../../../edge/peers/store-sqlite-connection.ts';
import { WriteGroup } from '../../../../edge/peers/write-group.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).toReversed()) close();
});

interface Write {
  readonly fd: number;
  done(): void;
  fail(cause: Error): void;
}

function open() {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-sync-'));
  closers.push(() => rmSync(folder, { recursive: true }));
  const sql = new SqliteConnection(join(folder, 'store.db'));
  closers.push(() => sql.close());
  sql.script('CREATE TABLE entry (n INTEGER PRIMARY KEY) STRICT');
  const writes: Write[] = [];
  const later = LaterSync.of(sql, (fd) => {
    return new Promise<void>((done, fail) => void writes.push({ fd, done, fail }));
  });
  if (later === undefined) throw new Error('the store has a log');
  closers.push(() => later.close());
  const turns: (() => void)[] = [];
  const group = new WriteGroup(later, (run) => void turns.push(run));
  const insert = (n: number): Promise<number> => group.add(() => sql.run('INSERT INTO entry VALUES (?)', n));
  const endTurn = (): void => {
    for (const run of turns.splice(0)) run();
  };
  const count = (): number => sql.get<{ n: number }>('SELECT count(*) AS n FROM entry')?.n ?? -1;
  return { sql, later, writes, insert, endTurn, count };
}

/** What is under way comes to where it waits. */
async function rest(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

const isWaiting = async (promise: Promise<unknown>): Promise<boolean> => {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await rest();
  return !isSettled;
};

describe('writes that wait for the disk elsewhere', () => {
  test('are committed at once and answered when they are on the disk', async () => {
    const { insert, endTurn, writes, count } = open();
    const answer = insert(1);

    endTurn();

    expect(count()).toBe(1);
    expect(await isWaiting(answer)).toBe(true);
    writes[0]?.done();
    expect(await answer).toBe(1);
  });

  test('share one write where they come while another runs, which cannot have had them', async () => {
    const { insert, endTurn, writes } = open();
    const first = insert(1);
    endTurn();
    const others = [2, 3, 4].map((n) => {
      const answer = insert(n);
      endTurn();
      return answer;
    });

    writes[0]?.done();
    await first;
    expect(await isWaiting(Promise.race(others))).toBe(true);
    writes[1]?.done();

    expect(await Promise.all(others)).toEqual([1, 1, 1]);
    expect(writes).toHaveLength(2);
  });

  test('fail where the disk does, and the next ones are tried anew', async () => {
    const { insert, endTurn, writes } = open();
    const broken = insert(1);
    endTurn();
    const next = insert(2);
    endTurn();

    writes[0]?.fail(new Error('EIO'));
    await expect(broken).rejects.toMatchObject({ code: 'store-unreadable' });
    await rest();
    writes[1]?.done();

    expect(await next).toBe(1);
  });

  test('leave the setting that waits to everybody else', () => {
    const { sql, later } = open();
    const setting = (): number | undefined =>
      sql.get<{ synchronous: number }>('PRAGMA synchronous')?.synchronous;
    let during: number | undefined;

    later.transaction(() => {
      during = setting();
    });

    expect([during, setting()]).toEqual([1, 2]);
    expect(() =>
      later.transaction(() => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(setting()).toBe(2);
  });

  test('come to their end where the store is closed meanwhile', async () => {
    const { insert, endTurn, writes, later } = open();
    const answers = [insert(1)];
    endTurn();
    answers.push(insert(2));
    endTurn();

    later.close();
    writes[0]?.done();
    await rest();
    writes[1]?.done();

    expect(await Promise.all(answers)).toEqual([1, 1]);
  });

  test('are not for a store without a log', () => {
    const sql = new SqliteConnection(':memory:');
    closers.push(() => sql.close());

    expect(LaterSync.of(sql)).toBeUndefined();
  });
});
