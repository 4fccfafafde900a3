/**
 * Writes that come together are one transaction: those of one turn of the event loop, which
 * are all that came while the last group was written. Each answers after its own commit, and fails alone.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import type { SqliteConnection } from './store-sqlite-connection.ts';

/** What a group needs of the store. */
export interface GroupStore extends Pick<SqliteConnection, 'transaction' | 'part' | 'isInTransaction'> {
  /** Resolves when what was committed is on the disk; absent: it is when `transaction` returns. */
  toDisk?(): Promise<void>;
}

/** Writes of one transaction; with more it begins at once. */
const maxGroup = 128;

/** Answers with how its write came out; to be called once that is known to last. */
type Settle = () => void;

interface Waiting {
  /** Inside a transaction. Throws where the write fails. */
  readonly write: () => Settle;
  readonly fail: (cause: unknown) => void;
}

export class WriteGroup {
  readonly #sql: GroupStore;
  readonly #later: (run: () => void) => void;
  #waiting: Waiting[] = [];

  /** `later` runs what it is given when this turn has ended. */
  constructor(sql: GroupStore, later: (run: () => void) => void = (run) => void setImmediate(run)) {
    this.#sql = sql;
    this.#later = later;
  }

  /** `work` may be done twice: the first time was undone then. */
  add<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const write = (): Settle => {
        const result = work();
        return () => resolve(result);
      };
      if (this.#waiting.push({ write, fail: reject }) === 1) this.#later(() => this.flush());
      if (this.#waiting.length >= maxGroup) this.flush();
    });
  }

  /** Writes all that waits. */
  flush(): void {
    const group = this.#waiting;
    this.#waiting = [];
    const [only] = group;
    if (only === undefined) return;
    if (group.length === 1) return this.#writeAlone(only);
    let settled: readonly Settle[];
    try {
      settled = this.#sql.transaction(() => group.map((one) => this.#writePart(one)));
    } catch (cause) {
      // Undone with all that succeeded in it, as by a full disk: each has its own answer then. Only the wait for
      // another program's write is not to be had once for each.
      const isBusy = cause instanceof CulvertError && cause.code === 'store-busy';
      for (const one of group)
        if (isBusy) one.fail(cause);
        else this.#writeAlone(one);
      return;
    }
    this.#settle(group, settled);
  }

  #settle(group: readonly Waiting[], settled: readonly Settle[]): void {
    const answer = (): void => {
      for (const settle of settled) settle();
    };
    const onDisk = this.#sql.toDisk?.();
    if (onDisk === undefined) return answer();
    onDisk.then(answer, (cause: unknown) => {
      for (const one of group) one.fail(cause);
    });
  }

  #writePart(one: Waiting): Settle {
    try {
      return this.#sql.part(one.write);
    } catch (cause) {
      // What ended the whole transaction is not this one's fault alone.
      if (!this.#sql.isInTransaction) throw cause;
      return () => one.fail(cause);
    }
  }

  #writeAlone(one: Waiting): void {
    let settle: Settle;
    try {
      settle = this.#sql.transaction(one.write);
    } catch (cause) {
      one.fail(cause);
      return;
    }
    this.#settle([one], [settle]);
  }
}
