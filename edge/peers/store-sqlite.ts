/**
 * The PeerStore on SQLite (node:sqlite), embedded: one file, write-ahead log, safe with a command line
 * open beside the daemon. Reads answer at once; writes that come together are written together.
 */

import type { UnixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type FeedbackStore, purgeFeedback, SqliteFeedback } from './feedback-store.ts';
import { LaterSync } from './later-sync.ts';
import {
  type Act,
  type AddOutcome,
  type AdminKeyRecord,
  type AuditEvent,
  type ChangeOutcome,
  type DeviceFeedPage,
  type DevicePatch,
  type DeviceRecord,
  type Enrolment,
  type EnrolOutcome,
  type InviteRecord,
  maxAuditEvents,
  maxChanges,
  type NewAdminKey,
  type NewDevice,
  type NewInvite,
  type PeerStore,
  retention,
  type UsageRow,
} from './store.ts';
import { migrate } from './store-migrations.ts';
import { SqliteConnection } from './store-sqlite-connection.ts';
import {
  addDevice,
  changeDevice,
  enrol,
  readDevice,
  removeDevice,
  rotateKey,
  writeAudit,
} from './store-sqlite-devices.ts';
import {
  type AdminKeyRow,
  type AuditRow,
  adminKeyOf,
  auditOf,
  type DeviceRow,
  deviceOf,
  type InviteRow,
  inviteOf,
  selectAdminKeys,
  selectDevices,
  selectInvites,
} from './store-sqlite-rows.ts';
import { WriteGroup } from './write-group.ts';

const allRows = -1;

/** Opens, and makes or brings forward what is there. Throws CulvertError 'store-…'. */
export function openSqliteStore(path: string): PeerStore {
  const connection = new SqliteConnection(path);
  try {
    migrate(connection);
  } catch (cause) {
    connection.close();
    throw cause;
  }
  return new SqliteStore(connection);
}

/** For tests of faults; openSqliteStore is the way. The connection has its schema. */
export class SqliteStore implements PeerStore {
  readonly feedback: FeedbackStore;
  readonly #sql: SqliteConnection;
  readonly #writes: WriteGroup;
  readonly #later: LaterSync | undefined;

  constructor(connection: SqliteConnection) {
    this.#sql = connection;
    this.#later = LaterSync.of(connection);
    this.#writes = new WriteGroup(this.#later ?? connection);
    this.feedback = new SqliteFeedback(connection);
  }

  device(id: string): Promise<DeviceRecord | undefined> {
    return answer(() => readDevice(this.#sql, id));
  }

  deviceByName(name: string): Promise<DeviceRecord | undefined> {
    return answer(() => this.#oneDevice('d.name = ?', name));
  }

  deviceByKey(publicKey: Uint8Array): Promise<DeviceRecord | undefined> {
    return answer(() =>
      this.#oneDevice('d.id = (SELECT device_id FROM device_key WHERE public_key = ?)', publicKey),
    );
  }

  deviceByBearer(bearerHash: Uint8Array): Promise<DeviceRecord | undefined> {
    return answer(() => this.#oneDevice('d.bearer_hash = ?', bearerHash));
  }

  devices(page: { readonly after?: string; readonly limit?: number } = {}): Promise<readonly DeviceRecord[]> {
    return answer(() =>
      this.#sql
        .all<DeviceRow>(
          `${selectDevices} WHERE d.id > ? ORDER BY d.id LIMIT ?`,
          page.after ?? '',
          page.limit ?? allRows,
        )
        .map(deviceOf),
    );
  }

  deviceCount(): Promise<number> {
    return answer(() => this.#sql.get<{ n: number }>('SELECT count(*) AS n FROM device')?.n ?? 0);
  }

  enrol(enrolment: Enrolment, act: Act): Promise<EnrolOutcome> {
    return this.#write(() => enrol(this.#sql, enrolment, act));
  }

  addDevice(device: NewDevice, patch: Pick<DevicePatch, 'path'>, act: Act): Promise<AddOutcome> {
    return this.#write(() => addDevice(this.#sql, device, patch.path, act));
  }

  changeDevice(id: string, patch: DevicePatch, act: Act): Promise<ChangeOutcome> {
    return this.#write(() => changeDevice(this.#sql, id, patch, act));
  }

  rotateKey(id: string, publicKey: Uint8Array, formerUntil: UnixMs, act: Act): Promise<ChangeOutcome> {
    return this.#write(() => rotateKey(this.#sql, { id, publicKey, formerUntil }, act));
  }

  removeDevice(id: string, freeAt: UnixMs, act: Act): Promise<boolean> {
    return this.#write(() => removeDevice(this.#sql, id, freeAt, act));
  }

  invites(): Promise<readonly InviteRecord[]> {
    return answer(() => this.#sql.all<InviteRow>(`${selectInvites} ORDER BY created_at, id`).map(inviteOf));
  }

  addInvite(invite: NewInvite, act: Act): Promise<InviteRecord> {
    return this.#write(() => {
      const added = this.#sql.run(
        `INSERT INTO invite (id, token_hash, name, path, created_at, expires_at, uses, uses_left)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        invite.id,
        invite.tokenHash,
        invite.name ?? null,
        invite.path ?? null,
        act.at,
        invite.expiresAt,
        invite.uses,
        invite.uses,
      );
      const detail = { uses: invite.uses, expiresAt: invite.expiresAt, name: invite.name ?? null };
      if (added > 0) writeAudit(this.#sql, act, { action: 'invite.add', subject: invite.id, detail });
      const row = this.#sql.get<InviteRow>(`${selectInvites} WHERE id = ?`, invite.id);
      if (row === undefined) throw new CulvertError('internal', { text: 'An invitation came twice.' });
      return inviteOf(row);
    });
  }

  removeInvite(id: string, act: Act): Promise<boolean> {
    return this.#write(() => this.#remove('invite', id, act));
  }

  adminKeys(): Promise<readonly AdminKeyRecord[]> {
    return answer(() =>
      this.#sql.all<AdminKeyRow>(`${selectAdminKeys} ORDER BY created_at, id`).map(adminKeyOf),
    );
  }

  adminKeyByHash(keyHash: Uint8Array): Promise<AdminKeyRecord | undefined> {
    return answer(() => {
      const row = this.#sql.get<AdminKeyRow>(`${selectAdminKeys} WHERE key_hash = ?`, keyHash);
      return row === undefined ? undefined : adminKeyOf(row);
    });
  }

  addAdminKey(key: NewAdminKey, act: Act): Promise<AdminKeyRecord | undefined> {
    return this.#write(() => {
      const added = this.#sql.run(
        `INSERT INTO admin_key (id, name, role, key_hash, created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        key.id,
        key.name,
        key.role,
        key.keyHash,
        act.at,
        key.expiresAt ?? null,
      );
      const detail = { name: key.name, role: key.role };
      if (added > 0) writeAudit(this.#sql, act, { action: 'admin-key.add', subject: key.id, detail });
      const row = this.#sql.get<AdminKeyRow>(`${selectAdminKeys} WHERE id = ?`, key.id);
      return row === undefined ? undefined : adminKeyOf(row);
    });
  }

  removeAdminKey(id: string, act: Act): Promise<boolean> {
    return this.#write(() => this.#remove('admin_key', id, act));
  }

  audit(page: { readonly before?: string; readonly limit: number }): Promise<readonly AuditEvent[]> {
    const { before, limit } = page;
    const columns = 'id, at, actor, action, subject, detail';
    const older = 'WHERE seq < (SELECT seq FROM audit WHERE id = ?)';
    return answer(() =>
      this.#sql
        .all<AuditRow>(
          `SELECT ${columns} FROM audit ${before === undefined ? '' : older} ORDER BY seq DESC LIMIT ?`,
          ...(before === undefined ? [limit] : [before, limit]),
        )
        .map(auditOf),
    );
  }

  recordUsage(boot: string, rows: readonly UsageRow[]): Promise<void> {
    return this.#write(() => {
      for (const row of rows) {
        this.#sql.run(
          recordUsageSql,
          row.deviceId,
          boot,
          row.rxBytes,
          row.txBytes,
          row.lastSeenAt ?? null,
          row.deviceId,
        );
      }
    });
  }

  revision(): Promise<number> {
    return answer(() => this.#revision().revision);
  }

  since(revision: number): Promise<DeviceFeedPage> {
    // One transaction, so that the revision and the devices are of one moment.
    return this.#readTogether(() => {
      const { revision: latest, oldest } = this.#revision();
      if (revision < oldest || revision > latest) {
        const devices = this.#sql.all<DeviceRow>(`${selectDevices} ORDER BY d.id`).map(deviceOf);
        return { revision: latest, devices, removed: [], whole: true };
      }
      const ids = this.#sql
        .all<{ device_id: string }>('SELECT DISTINCT device_id FROM change WHERE revision > ?', revision)
        .map((row) => row.device_id);
      const found = ids.map((id) => ({ id, device: readDevice(this.#sql, id) }));
      return {
        revision: latest,
        devices: found.flatMap(({ device }) => (device === undefined ? [] : [device])),
        removed: found.filter(({ device }) => device === undefined).map(({ id }) => id),
        whole: false,
      };
    });
  }

  writesElsewhere(): number {
    return this.#sql.writesElsewhere();
  }

  purge(now: UnixMs): Promise<void> {
    const sql = this.#sql;
    return this.#write(() => {
      sql.run('DELETE FROM device_key WHERE former_until <= ?', now);
      sql.run('DELETE FROM address WHERE device_id IS NULL AND free_at <= ?', now);
      sql.run('DELETE FROM invite WHERE expires_at <= ?', now - retention.endedInviteMs);
      sql.run('DELETE FROM admin_key WHERE expires_at <= ?', now - retention.endedInviteMs);
      sql.run('DELETE FROM audit WHERE at <= ?', now - retention.auditMs);
      sql.run('DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?', maxAuditEvents);
      purgeFeedback(sql, now);
      sql.run('UPDATE revision SET oldest = max(oldest, revision - ?)', maxChanges);
      sql.run('DELETE FROM change WHERE revision <= (SELECT oldest FROM revision)');
    });
  }

  backup(path: string): Promise<void> {
    this.#writes.flush();
    return this.#sql.backup(path);
  }

  close(): void {
    this.#writes.flush();
    this.#later?.close();
    this.#sql.close();
  }

  #oneDevice(where: string, value: string | Uint8Array): DeviceRecord | undefined {
    const row = this.#sql.get<DeviceRow>(`${selectDevices} WHERE ${where}`, value);
    return row === undefined ? undefined : deviceOf(row);
  }

  #remove(table: 'invite' | 'admin_key', id: string, act: Act): boolean {
    const removed = this.#sql.run(`DELETE FROM ${table} WHERE id = ?`, id) > 0;
    const action = table === 'invite' ? 'invite.remove' : 'admin-key.remove';
    if (removed) writeAudit(this.#sql, act, { action, subject: id, detail: {} });
    return removed;
  }

  #revision(): { readonly revision: number; readonly oldest: number } {
    const row = this.#sql.get<{ revision: number; oldest: number }>('SELECT revision, oldest FROM revision');
    if (row === undefined) throw new CulvertError('store-damaged');
    return row;
  }

  #write<T>(work: () => T): Promise<T> {
    return this.#writes.add(work);
  }

  #readTogether<T>(work: () => T): Promise<T> {
    return answer(() => this.#sql.transaction(work));
  }
}

const recordUsageSql = `
INSERT INTO usage (device_id, boot, boot_rx, boot_tx, last_seen_at)
SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM device WHERE id = ?)
ON CONFLICT (device_id) DO UPDATE SET
  past_rx = past_rx + iif(boot = excluded.boot, 0, boot_rx),
  past_tx = past_tx + iif(boot = excluded.boot, 0, boot_tx),
  boot_rx = iif(boot = excluded.boot, max(boot_rx, excluded.boot_rx), excluded.boot_rx),
  boot_tx = iif(boot = excluded.boot, max(boot_tx, excluded.boot_tx), excluded.boot_tx),
  boot = excluded.boot,
  last_seen_at = nullif(max(coalesce(last_seen_at, 0), coalesce(excluded.last_seen_at, 0)), 0)`;

/** The contract's promise, for work that is done already. */
function answer<T>(work: () => T): Promise<T> {
  try {
    return Promise.resolve(work());
  } catch (cause) {
    return Promise.reject(cause instanceof Error ? cause : new Error(String(cause)));
  }
}
