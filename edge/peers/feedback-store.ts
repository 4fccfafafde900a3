/** Words that devices send to the operator, in the store of the edge: few, bounded, and forgotten by themselves. */

import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { Act } from './store.ts';
import type { SqliteConnection } from './store-sqlite-connection.ts';
import { writeAudit } from './store-sqlite-devices.ts';

export interface FeedbackRecord {
  readonly id: string;
  readonly deviceId: string;
  /** As it was called then. */
  readonly deviceName: string;
  readonly at: UnixMs;
  readonly words: string;
  readonly diagnostics: string | undefined;
}

export interface FeedbackStore {
  /** False where the device has sent as much as it may within a day. The act's id again: nothing more. */
  add(record: FeedbackRecord, act: Act): Promise<boolean>;
  /** Newest first, without diagnostics. */
  list(): Promise<readonly FeedbackRecord[]>;
  find(id: string): Promise<FeedbackRecord | undefined>;
  remove(id: string, act: Act): Promise<boolean>;
}

const dayMs = 24 * 60 * minuteMs;
/** Of one device within a day. */
export const maxFeedbackPerDay = 10;
/** The oldest go for new ones. */
export const maxFeedback = 1000;
export const feedbackKeptMs: number = 90 * dayMs;

interface Row {
  readonly id: string;
  readonly device_id: string;
  readonly device_name: string;
  readonly at: number;
  readonly words: string;
  readonly diagnostics: string | null;
}

const columns = 'id, device_id, device_name, at, words';

export class SqliteFeedback implements FeedbackStore {
  readonly #sql: SqliteConnection;

  constructor(connection: SqliteConnection) {
    this.#sql = connection;
  }

  add(record: FeedbackRecord, act: Act): Promise<boolean> {
    const { id, deviceId, deviceName, at, words, diagnostics } = record;
    return this.#write(() => {
      const count = 'SELECT count(*) AS n FROM feedback WHERE device_id = ? AND at > ? AND id != ?';
      const { n = 0 } = this.#sql.get<{ n: number }>(count, deviceId, at - dayMs, id) ?? {};
      if (n >= maxFeedbackPerDay) return false;
      const added = this.#sql.run(
        `INSERT INTO feedback (${columns}, diagnostics) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        id,
        deviceId,
        deviceName,
        at,
        words,
        diagnostics ?? null,
      );
      this.#sql.run(
        'DELETE FROM feedback WHERE seq IN (SELECT seq FROM feedback ORDER BY seq DESC LIMIT -1 OFFSET ?)',
        maxFeedback,
      );
      if (added > 0) writeAudit(this.#sql, act, { action: 'feedback.add', subject: id, detail: {} });
      return true;
    });
  }

  list(): Promise<readonly FeedbackRecord[]> {
    return this.#answer(() =>
      this.#sql
        .all<Row>(`SELECT ${columns}, NULL AS diagnostics FROM feedback ORDER BY seq DESC`)
        .map(recordOf),
    );
  }

  find(id: string): Promise<FeedbackRecord | undefined> {
    return this.#answer(() => {
      const row = this.#sql.get<Row>(`SELECT ${columns}, diagnostics FROM feedback WHERE id = ?`, id);
      return row === undefined ? undefined : recordOf(row);
    });
  }

  remove(id: string, act: Act): Promise<boolean> {
    return this.#write(() => {
      const removed = this.#sql.run('DELETE FROM feedback WHERE id = ?', id) > 0;
      if (removed) writeAudit(this.#sql, act, { action: 'feedback.remove', subject: id, detail: {} });
      return removed;
    });
  }

  #write<T>(work: () => T): Promise<T> {
    return this.#answer(() => this.#sql.transaction(work));
  }

  #answer<T>(work: () => T): Promise<T> {
    return new Promise((resolve) => resolve(work()));
  }
}

/** Within the caller's transaction. */
export function purgeFeedback(sql: SqliteConnection, now: UnixMs): void {
  sql.run('DELETE FROM feedback WHERE at <= ?', now - feedbackKeptMs);
}

function recordOf(row: Row): FeedbackRecord {
  return {
    id: row.id,
    deviceId: row.device_id,
    deviceName: row.device_name,
    at: row.at as UnixMs,
    words: row.words,
    diagnostics: row.diagnostics ?? undefined,
  };
}
