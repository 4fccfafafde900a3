/** When the store of an edge was last written on purpose, for `doctor`; reads beside a running edge and changes nothing. */

import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { type UnixMs, unixMs } from '../../shared/core/base/time.ts';

/** Of the audit log. Undefined where there is none, or the store cannot be read. */
export function newestAct(path: string): UnixMs | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      const row = database.prepare('SELECT max(at) AS at FROM audit').get();
      return typeof row?.['at'] === 'number' ? unixMs(row['at']) : undefined;
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}
