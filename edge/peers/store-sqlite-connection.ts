/**
 * One connection to the SQLite file of an edge: opening it so that a second process may have it open too,
 * transactions, prepared statements, and SQLite's errors as sentences. Knows no table.
 */

import { chmodSync, closeSync, openSync } from 'node:fs';
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { CulvertError, type ErrorCode } from '../../shared/core/control/codes.ts';

/** How long a write waits for another process's. */
const busyTimeoutMs = 5000;
/** Statements kept prepared; more are a bug. */
const maxStatements = 200;

const sqliteBusy = 5;
const maxTries = 100;
const betweenTriesMs = 20;

export type SqlValue = SQLInputValue;

export class SqliteConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Its write-ahead log; undefined where there is none. */
  readonly logPath: string | undefined;

  /** Makes the file (0600) where it is missing. ':memory:' is a store of this process alone. */
  constructor(path: string) {
    this.#database = translated(() => {
      if (path !== ':memory:') keepPrivate(path);
      return new DatabaseSync(path, { timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
    });
    try {
      translated(() => {
        patiently(() => this.#database.exec('PRAGMA journal_mode = WAL'));
        // What was acknowledged survives a loss of power too: a device that lost its place could not come back.
        this.#database.exec('PRAGMA synchronous = FULL');
        this.#database.exec('PRAGMA trusted_schema = OFF');
      });
      const mode = this.get<{ journal_mode: string }>('PRAGMA journal_mode')?.journal_mode;
      this.logPath = mode === 'wal' ? `${path}-wal` : undefined;
    } catch (cause) {
      this.#database.close();
      throw cause;
    }
  }

  /** All of `work` or nothing of it. Waits for other writers. */
  transaction<T>(work: () => T): T {
    return translated(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.#database.exec('COMMIT');
        return result;
      } catch (cause) {
        // A full disk has rolled back already.
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw cause;
      }
    });
  }

  /** What `work` commits is in the log, and not yet on the disk. Not inside a transaction. */
  withoutWaiting<T>(work: () => T): T {
    this.#database.exec('PRAGMA synchronous = NORMAL');
    try {
      return work();
    } finally {
      this.#database.exec('PRAGMA synchronous = FULL');
    }
  }

  /** Inside a transaction: all of `work` or nothing of it; the rest of the transaction stays. */
  part<T>(work: () => T): T {
    return translated(() => {
      this.#database.exec('SAVEPOINT part');
      try {
        return work();
      } catch (cause) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK TO part');
        throw cause;
      } finally {
        if (this.#database.isTransaction) this.#database.exec('RELEASE part');
      }
    });
  }

  get isInTransaction(): boolean {
    return this.#database.isTransaction;
  }

  /** The caller knows what its statement gives. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined {
    return translated(() => this.#prepare(sql).get(...values) as Row | undefined);
  }

  all<Row>(sql: string, ...values: SqlValue[]): Row[] {
    return translated(() => this.#prepare(sql).all(...values) as Row[]);
  }

  /** Returns how many rows changed. */
  run(sql: string, ...values: SqlValue[]): number {
    return translated(() => Number(this.#prepare(sql).run(...values).changes));
  }

  /** Several statements without values. */
  script(sql: string): void {
    translated(() => this.#database.exec(sql));
  }

  /** Another number after another connection's commit. */
  writesElsewhere(): number {
    return this.get<{ data_version: number }>('PRAGMA data_version')?.data_version ?? 0;
  }

  async backup(path: string): Promise<void> {
    try {
      closeSync(openSync(path, 'wx', 0o600));
      await backup(this.#database, path);
    } catch (cause) {
      throw translate(cause);
    }
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    if (this.#statements.size >= maxStatements) this.#statements.clear();
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** SQLite gives its side files the permissions of the file itself. */
function keepPrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
}

/** SQLite does not wait by itself where two processes turn a new file to its write-ahead log at once. */
function patiently(work: () => void): void {
  for (let left = maxTries; ; left--) {
    try {
      work();
      return;
    } catch (cause) {
      if (left === 0 || (cause as { errcode?: number }).errcode !== sqliteBusy) throw cause;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, betweenTriesMs);
    }
  }
}

function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw translate(cause);
  }
}

/** SQLite's primary result codes (sqlite.org/rescode.html), and the system's names for the same. */
const codes: Readonly<Record<number | string, ErrorCode>> = {
  5: 'store-busy',
  6: 'store-busy',
  8: 'store-unreadable',
  10: 'store-unreadable',
  11: 'store-damaged',
  13: 'store-full',
  14: 'store-unreadable',
  23: 'store-unreadable',
  26: 'store-damaged',
  // IOERR_SHMSIZE: no room for what processes share beside the store.
  4874: 'store-full',
  ENOSPC: 'store-full',
  EDQUOT: 'store-full',
  EACCES: 'store-unreadable',
  EEXIST: 'store-unreadable',
  EISDIR: 'store-unreadable',
  ENOENT: 'store-unreadable',
  EROFS: 'store-unreadable',
};

function translate(cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof CulvertError) return cause;
  const { errcode, code } = cause as Error & { errcode?: number; code?: string };
  const found = errcode === undefined ? codes[code ?? ''] : (codes[errcode] ?? codes[errcode & 0xff]);
  return found === undefined ? cause : new CulvertError(found, { cause });
}
