/**
 * Writes about devices, each to be called inside a transaction of the SQLite store. Every one that changes
 * something moves the revision, notes the device in the list of changes, and leaves a line in the audit log.
 */

import type { UnixMs } from '../../shared/core/base/time.ts';
import { findAddress } from './addresses.ts';
import type {
  Act,
  AddOutcome,
  AuditEvent,
  ChangeOutcome,
  DevicePatch,
  DeviceRecord,
  Enrolment,
  EnrolOutcome,
  NewDevice,
} from './store.ts';
import type { SqliteConnection, SqlValue } from './store-sqlite-connection.ts';
import { type DeviceRow, deviceOf, type InviteRow, selectDevices } from './store-sqlite-rows.ts';

/** 'laptop', then 'laptop-2' to this; then with letters of the device's id. */
const maxNumberedNames = 9;
const idLettersInName = 6;
const longestName = 63;

export function readDevice(sql: SqliteConnection, id: string): DeviceRecord | undefined {
  const row = sql.get<DeviceRow>(`${selectDevices} WHERE d.id = ?`, id);
  return row === undefined ? undefined : deviceOf(row);
}

export function enrol(sql: SqliteConnection, enrolment: Enrolment, act: Act): EnrolOutcome {
  const invite = sql.get<InviteRow>(
    'SELECT id, name, path, created_at, expires_at, uses, uses_left FROM invite WHERE token_hash = ?',
    enrolment.tokenHash,
  );
  if (invite === undefined) return { kind: 'refused', why: 'invite-unknown' };
  const before = enrolledBefore(sql, invite.id, enrolment.publicKey);
  if (before === 'gone') return { kind: 'refused', why: 'invite-used' };
  if (before !== undefined) {
    sql.run('UPDATE device SET bearer_hash = ? WHERE id = ?', enrolment.bearerHash, before.id);
    writeAudit(sql, act, { action: 'device.enrol-again', subject: before.id, detail: {} });
    return { kind: 'enrolled', device: before, again: true };
  }
  if (invite.expires_at <= act.at) return { kind: 'refused', why: 'invite-expired' };
  if (invite.uses_left === 0) return { kind: 'refused', why: 'invite-used' };
  const name = freeName(sql, invite.name ?? enrolment.name, enrolment.id);
  const why = insertDevice(sql, { ...enrolment, name, kind: 'enrolled', path: invite.path }, act.at);
  if (why !== undefined) return { kind: 'refused', why };
  sql.run('UPDATE device SET bearer_hash = ? WHERE id = ?', enrolment.bearerHash, enrolment.id);
  sql.run('UPDATE invite SET uses_left = uses_left - 1 WHERE id = ?', invite.id);
  sql.run(
    'INSERT INTO invite_use (invite_id, public_key, device_id) VALUES (?, ?, ?)',
    invite.id,
    enrolment.publicKey,
    enrolment.id,
  );
  const detail = { invite: invite.id, name };
  writeAudit(sql, act, { action: 'device.enrol', subject: enrolment.id, detail });
  return { kind: 'enrolled', device: written(sql, enrolment.id), again: false };
}

export function addDevice(
  sql: SqliteConnection,
  device: NewDevice,
  path: string | null | undefined,
  act: Act,
): AddOutcome {
  const before = readDevice(sql, device.id);
  if (before !== undefined) return { kind: 'added', device: before };
  if (isNameTaken(sql, device.name, device.id)) return { kind: 'refused', why: 'name-taken' };
  const why = insertDevice(sql, { ...device, kind: 'stock', path: path ?? null }, act.at);
  if (why !== undefined) return { kind: 'refused', why };
  writeAudit(sql, act, { action: 'device.add', subject: device.id, detail: { name: device.name } });
  return { kind: 'added', device: written(sql, device.id) };
}

export function changeDevice(sql: SqliteConnection, id: string, patch: DevicePatch, act: Act): ChangeOutcome {
  const before = readDevice(sql, id);
  if (before === undefined) return { kind: 'refused', why: 'not-found' };
  if (patch.name !== undefined && isNameTaken(sql, patch.name, id))
    return { kind: 'refused', why: 'name-taken' };
  const columns = changedColumns(before, patch);
  if (columns.length === 0) return { kind: 'changed', device: before };
  const assignments = columns.map(([column]) => `${column} = ?`).join(', ');
  sql.run(`UPDATE device SET ${assignments} WHERE id = ?`, ...columns.map(([, value]) => value), id);
  touch(sql, id);
  const detail = Object.fromEntries(columns) as AuditEvent['detail'];
  writeAudit(sql, act, { action: 'device.change', subject: id, detail });
  return { kind: 'changed', device: written(sql, id) };
}

export interface Rotation {
  readonly id: string;
  readonly publicKey: Uint8Array;
  readonly formerUntil: UnixMs;
}

export function rotateKey(sql: SqliteConnection, rotation: Rotation, act: Act): ChangeOutcome {
  const { id, publicKey, formerUntil } = rotation;
  const before = readDevice(sql, id);
  if (before === undefined) return { kind: 'refused', why: 'not-found' };
  if (Buffer.compare(before.publicKey, publicKey) === 0) return { kind: 'changed', device: before };
  const owner = ownerOfKey(sql, publicKey);
  if (owner !== undefined && owner !== id) return { kind: 'refused', why: 'key-taken' };
  sql.run('DELETE FROM device_key WHERE device_id = ? AND former_until IS NOT NULL', id);
  sql.run('UPDATE device_key SET former_until = ? WHERE device_id = ?', formerUntil, id);
  sql.run('INSERT INTO device_key (public_key, device_id) VALUES (?, ?)', publicKey, id);
  touch(sql, id);
  writeAudit(sql, act, { action: 'device.rotate-key', subject: id, detail: {} });
  return { kind: 'changed', device: written(sql, id) };
}

export function removeDevice(sql: SqliteConnection, id: string, freeAt: UnixMs, act: Act): boolean {
  const before = readDevice(sql, id);
  if (before === undefined) return false;
  sql.run('UPDATE address SET device_id = NULL, free_at = ? WHERE device_id = ?', freeAt, id);
  sql.run('DELETE FROM device WHERE id = ?', id);
  touch(sql, id);
  writeAudit(sql, act, { action: 'device.remove', subject: id, detail: { name: before.name } });
  return true;
}

export function writeAudit(
  sql: SqliteConnection,
  act: Act,
  what: Pick<AuditEvent, 'action' | 'subject' | 'detail'>,
): void {
  sql.run(
    'INSERT INTO audit (id, at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    act.id,
    act.at,
    act.actor,
    what.action,
    what.subject,
    JSON.stringify(what.detail),
  );
}

/** The device that this invitation and key became; 'gone' where it is no more, or has another key. */
function enrolledBefore(
  sql: SqliteConnection,
  inviteId: string,
  publicKey: Uint8Array,
): DeviceRecord | 'gone' | undefined {
  const use = sql.get<{ device_id: string | null }>(
    'SELECT device_id FROM invite_use WHERE invite_id = ? AND public_key = ?',
    inviteId,
    publicKey,
  );
  if (use === undefined) return undefined;
  const device = use.device_id === null ? undefined : readDevice(sql, use.device_id);
  return device !== undefined && Buffer.compare(device.publicKey, publicKey) === 0 ? device : 'gone';
}

interface DeviceInsert extends NewDevice {
  readonly kind: DeviceRecord['kind'];
  readonly path: string | null;
}

function insertDevice(
  sql: SqliteConnection,
  device: DeviceInsert,
  now: UnixMs,
): 'key-taken' | 'no-address-left' | undefined {
  if (ownerOfKey(sql, device.publicKey) !== undefined) return 'key-taken';
  const addresses = device.pools.map((pool) =>
    findAddress(pool, device.entropy, (address) => isAddressTaken(sql, address, now)),
  );
  if (!addresses.every((address) => address !== undefined)) return 'no-address-left';
  sql.run(
    'INSERT INTO device (id, name, platform, kind, created_at, path) VALUES (?, ?, ?, ?, ?, ?)',
    device.id,
    device.name,
    device.platform ?? null,
    device.kind,
    now,
    device.path,
  );
  sql.run('INSERT INTO device_key (public_key, device_id) VALUES (?, ?)', device.publicKey, device.id);
  for (const [position, address] of addresses.entries()) {
    sql.run(
      `INSERT INTO address (address, device_id, position) VALUES (?, ?, ?)
       ON CONFLICT (address) DO UPDATE
       SET device_id = excluded.device_id, position = excluded.position, free_at = NULL`,
      address,
      device.id,
      position,
    );
  }
  touch(sql, device.id);
  return undefined;
}

function isAddressTaken(sql: SqliteConnection, address: string, now: UnixMs): boolean {
  const row = sql.get<{ device_id: string | null; free_at: number | null }>(
    'SELECT device_id, free_at FROM address WHERE address = ?',
    address,
  );
  return row !== undefined && (row.device_id !== null || (row.free_at ?? 0) > now);
}

function ownerOfKey(sql: SqliteConnection, publicKey: Uint8Array): string | undefined {
  return sql.get<{ device_id: string }>('SELECT device_id FROM device_key WHERE public_key = ?', publicKey)
    ?.device_id;
}

function isNameTaken(sql: SqliteConnection, name: string, except: string): boolean {
  return sql.get('SELECT 1 FROM device WHERE name = ? AND id <> ?', name, except) !== undefined;
}

function freeName(sql: SqliteConnection, wanted: string, id: string): string {
  if (!isNameTaken(sql, wanted, id)) return wanted;
  for (let number = 2; number <= maxNumberedNames; number++) {
    const name = withEnding(wanted, String(number));
    if (!isNameTaken(sql, name, id)) return name;
  }
  const name = withEnding(wanted, id.slice(-idLettersInName));
  return isNameTaken(sql, name, id) ? id : name;
}

/** By whole characters, so that no half of one stays. */
function withEnding(name: string, ending: string): string {
  let kept = '';
  for (const character of name) {
    if (kept.length + character.length + ending.length + 1 > longestName) break;
    kept += character;
  }
  return `${kept}-${ending}`;
}

function changedColumns(before: DeviceRecord, patch: DevicePatch): readonly (readonly [string, SqlValue])[] {
  const granted = patch.granted === undefined ? undefined : patch.granted && JSON.stringify(patch.granted);
  const tags = patch.tags === undefined ? undefined : tagsText(patch.tags);
  const wanted: readonly (readonly [string, SqlValue | undefined, SqlValue | undefined])[] = [
    ['name', before.name, patch.name],
    ['enabled', Number(before.enabled), patch.enabled === undefined ? undefined : Number(patch.enabled)],
    ['path', before.path ?? null, patch.path],
    ['granted', before.granted === undefined ? null : JSON.stringify(before.granted), granted],
    ['tags', tagsText(before.tags), tags],
    ['families', before.families ?? null, patch.families],
    ['quota_bytes', before.quotaBytes, patch.quotaBytes],
    ['rate_bps', before.rateBps, patch.rateBps],
    ['expires_at', before.expiresAt ?? null, patch.expiresAt],
  ];
  return wanted.flatMap(([column, old, value]) =>
    value === undefined || value === old ? [] : [[column, value] as const],
  );
}

/** None are null, as of a device that never had one. */
function tagsText(tags: readonly string[]): string | null {
  return tags.length === 0 ? null : JSON.stringify(tags);
}

function touch(sql: SqliteConnection, id: string): void {
  sql.run('UPDATE revision SET revision = revision + 1');
  sql.run('INSERT INTO change (revision, device_id) SELECT revision, ? FROM revision', id);
}

function written(sql: SqliteConnection, id: string): DeviceRecord {
  const device = readDevice(sql, id);
  if (device === undefined) throw new Error(`device ${id} was written and is not there`);
  return device;
}
