/**
 * Transactions whose way to the disk does not hold up the program: SQLite puts them into its write-ahead log without
 * waiting, and another thread then has the system write the log out, once for all that came meanwhile. Whoever wrote is
 * answered after that: what was acknowledged survives a loss of power, as with the setting that waits each time.
 */

import { closeSync, fdatasync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { SqliteConnection } from './store-sqlite-connection.ts';

const writeOut = promisify(fdatasync);

export class LaterSync {
  readonly #sql: SqliteConnection;
  readonly #logPath: string;
  readonly #writeOut: (fd: number) => Promise<void>;
  #fd: number | undefined;
  #isClosed = false;
  /** The write that runs, and the one that waits for it: whoever commits meanwhile shares that. */
  #running: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;

  /** Undefined where the store keeps no such log. `write`: for tests. */
  static of(sql: SqliteConnection, write: (fd: number) => Promise<void> = writeOut): LaterSync | undefined {
    return sql.logPath === undefined ? undefined : new LaterSync(sql, sql.logPath, write);
  }

  private constructor(sql: SqliteConnection, logPath: string, write: (fd: number) => Promise<void>) {
    this.#sql = sql;
    this.#logPath = logPath;
    this.#writeOut = write;
  }

  /** As SqliteConnection's, and not on the disk when it returns: see `toDisk`. */
  transaction<T>(work: () => T): T {
    return this.#sql.withoutWaiting(() => this.#sql.transaction(work));
  }

  part<T>(work: () => T): T {
    return this.#sql.part(work);
  }

  get isInTransaction(): boolean {
    return this.#sql.isInTransaction;
  }

  /** Resolves when everything that is committed now is on the disk. */
  toDisk(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#write().finally(() => this.#ended());
      return this.#running;
    }
    // The one that runs may have begun before the last commit.
    this.#waiting ??= this.#after(this.#running);
    return this.#waiting;
  }

  /** What runs comes to its end. Idempotent. */
  close(): void {
    this.#isClosed = true;
    if (this.#running === undefined) this.#closeFile();
  }

  async #after(running: Promise<void>): Promise<void> {
    try {
      await running;
    } catch {
      // Whoever waits for that one is told.
    }
    this.#waiting = undefined;
    return this.toDisk();
  }

  async #write(): Promise<void> {
    try {
      this.#fd ??= openSync(this.#logPath, 'r+');
      await this.#writeOut(this.#fd);
    } catch (cause) {
      throw new CulvertError('store-unreadable', { cause });
    }
  }

  #ended(): void {
    this.#running = undefined;
    if (this.#isClosed && this.#waiting === undefined) this.#closeFile();
  }

  #closeFile(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
