/** Records of the store → what the API and the command line show. */

import { encodeBase64 } from '../../shared/core/base/bytes.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import type {
  AdminKeyView,
  AuditView,
  DeviceDetail,
  InviteView,
} from '../../shared/core/registration/admin-api.ts';
import type { DeviceView } from '../../shared/core/registration/api.ts';
import { autoPath } from '../../shared/core/registration/shapes.ts';
import type { AdminKeyRecord, AuditEvent, DeviceRecord, InviteRecord } from '../peers/store.ts';

export function deviceView(device: DeviceRecord): DeviceView {
  return {
    id: device.id,
    name: device.name,
    publicKey: encodeBase64(device.publicKey),
    addresses: device.addresses,
    ...(device.platform === undefined ? {} : { platform: device.platform }),
    enabled: device.enabled,
    createdAt: timeText(device.createdAt),
    ...(device.expiresAt === undefined ? {} : { expiresAt: timeText(device.expiresAt) }),
    path: device.path ?? autoPath,
    ...(device.families === undefined ? {} : { families: device.families }),
  };
}

export function deviceDetail(device: DeviceRecord): DeviceDetail {
  const { rxBytes, txBytes, lastSeenAt } = device.usage;
  return {
    ...deviceView(device),
    kind: device.kind,
    ...(device.granted === undefined ? {} : { granted: device.granted }),
    ...(device.tags.length === 0 ? {} : { tags: device.tags }),
    quotaBytes: device.quotaBytes,
    rateBps: device.rateBps,
    rxBytes,
    txBytes,
    ...(lastSeenAt === undefined ? {} : { lastSeenAt: timeText(lastSeenAt) }),
  };
}

export function inviteView(invite: InviteRecord): InviteView {
  return {
    id: invite.id,
    ...(invite.name === undefined ? {} : { name: invite.name }),
    ...(invite.path === undefined ? {} : { path: invite.path }),
    createdAt: timeText(invite.createdAt),
    expiresAt: timeText(invite.expiresAt),
    uses: invite.uses,
    usesLeft: invite.usesLeft,
  };
}

export function adminKeyView(key: AdminKeyRecord): AdminKeyView {
  return {
    id: key.id,
    name: key.name,
    role: key.role,
    createdAt: timeText(key.createdAt),
    ...(key.expiresAt === undefined ? {} : { expiresAt: timeText(key.expiresAt) }),
  };
}

export function auditView(event: AuditEvent): AuditView {
  return { ...event, at: timeText(event.at) };
}

export function timeText(at: UnixMs): string {
  return new Date(at).toISOString();
}
