/**
 * Brings a store to the schema that this program knows: forward only, each step in one transaction, its
 * text remembered by checksum. A store that is newer than the program is refused, never touched.
 */

import { createHash } from 'node:crypto';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { first } from './migrations/0001-first.ts';
import { tags } from './migrations/0002-tags.ts';
import { feedback } from './migrations/0003-feedback.ts';
import { families } from './migrations/0004-families.ts';
import type { SqliteConnection } from './store-sqlite-connection.ts';

/** In order; the version of a step is its place, counted from 1. Append only. */
export const migrations: readonly string[] = [first, tags, feedback, families];

export function migrate(connection: SqliteConnection, steps: readonly string[] = migrations): void {
  connection.transaction(() => {
    connection.run(
      'CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT',
    );
    const done = connection.all<{ version: number; checksum: string }>(
      'SELECT version, checksum FROM migration ORDER BY version',
    );
    if (done.length > steps.length) throw new CulvertError('store-newer');
    for (const [i, { version, checksum }] of done.entries()) {
      const expected = steps[i];
      if (version !== i + 1 || expected === undefined || checksum !== checksumOf(expected)) {
        throw new CulvertError('store-damaged', {
          text: `The store was made by another version of culvert-edge: its step ${version} is not ours.`,
          remedy: 'Use the version of culvert-edge that made it.',
        });
      }
    }
    for (const [i, sql] of steps.entries()) {
      if (i < done.length) continue;
      connection.script(sql);
      connection.run('INSERT INTO migration (version, checksum) VALUES (?, ?)', i + 1, checksumOf(sql));
    }
  });
}

function checksumOf(sql: string): string {
  return createHash('sha256').update(sql).digest('hex');
}
