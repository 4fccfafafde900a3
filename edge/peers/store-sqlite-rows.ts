/** Rows of the SQLite store ↔ records of the contract. */

import { type UnixMs, unixMs } from '../../shared/core/base/time.ts';
import type { AdminKeyRecord, AuditEvent, DeviceRecord, InviteRecord } from './store.ts';

export interface DeviceRow {
  id: string;
  name: string;
  platform: string | null;
  kind: DeviceRecord['kind'];
  enabled: number;
  created_at: number;
  expires_at: number | null;
  path: string | null;
  granted: string | null;
  tags: string | null;
  families: string | null;
  quota_bytes: number;
  rate_bps: number;
  public_key: Uint8Array;
  former_key: Uint8Array | null;
  former_until: number | null;
  addresses: string | null;
  rx: number | null;
  tx: number | null;
  last_seen_at: number | null;
}

/** Whole devices; a WHERE on `d` may follow. */
export const selectDevices = `
SELECT d.id, d.name, d.platform, d.kind, d.enabled, d.created_at, d.expires_at, d.path, d.granted, d.tags, d.families, d.quota_bytes,
  d.rate_bps, now.public_key, former.public_key AS former_key, former.former_until,
  (SELECT group_concat(a.address, ',' ORDER BY a.position) FROM address a WHERE a.device_id = d.id) AS addresses,
  u.past_rx + u.boot_rx AS rx, u.past_tx + u.boot_tx AS tx, u.last_seen_at
FROM device d
JOIN device_key now ON now.device_id = d.id AND now.former_until IS NULL
LEFT JOIN device_key former ON former.device_id = d.id AND former.former_until IS NOT NULL
LEFT JOIN usage u ON u.device_id = d.id`;

export function deviceOf(row: DeviceRow): DeviceRecord {
  return {
    id: row.id,
    name: row.name,
    publicKey: row.public_key,
    formerKey:
      row.former_key === null || row.former_until === null
        ? undefined
        : { publicKey: row.former_key, until: unixMs(row.former_until) },
    addresses: row.addresses === null ? [] : row.addresses.split(','),
    platform: row.platform ?? undefined,
    kind: row.kind,
    enabled: row.enabled === 1,
    createdAt: unixMs(row.created_at),
    expiresAt: time(row.expires_at),
    path: row.path ?? undefined,
    granted: row.granted === null ? undefined : (JSON.parse(row.granted) as string[]),
    tags: row.tags === null ? [] : (JSON.parse(row.tags) as string[]),
    families: (row.families ?? undefined) as DeviceRecord['families'],
    quotaBytes: row.quota_bytes,
    rateBps: row.rate_bps,
    usage: { rxBytes: row.rx ?? 0, txBytes: row.tx ?? 0, lastSeenAt: time(row.last_seen_at) },
  };
}

export interface InviteRow {
  id: string;
  name: string | null;
  path: string | null;
  created_at: number;
  expires_at: number;
  uses: number;
  uses_left: number;
}

export const selectInvites = 'SELECT id, name, path, created_at, expires_at, uses, uses_left FROM invite';

export function inviteOf(row: InviteRow): InviteRecord {
  return {
    id: row.id,
    name: row.name ?? undefined,
    path: row.path ?? undefined,
    createdAt: unixMs(row.created_at),
    expiresAt: unixMs(row.expires_at),
    uses: row.uses,
    usesLeft: row.uses_left,
  };
}

export interface AdminKeyRow {
  id: string;
  name: string;
  role: AdminKeyRecord['role'];
  created_at: number;
  expires_at: number | null;
}

export const selectAdminKeys = 'SELECT id, name, role, created_at, expires_at FROM admin_key';

export function adminKeyOf(row: AdminKeyRow): AdminKeyRecord {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    createdAt: unixMs(row.created_at),
    expiresAt: time(row.expires_at),
  };
}

export interface AuditRow {
  id: string;
  at: number;
  actor: string;
  action: string;
  subject: string;
  detail: string;
}

export function auditOf(row: AuditRow): AuditEvent {
  return { ...row, at: unixMs(row.at), detail: JSON.parse(row.detail) as AuditEvent['detail'] };
}

function time(value: number | null): UnixMs | undefined {
  return value === null ? undefined : unixMs(value);
}
