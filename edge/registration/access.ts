/**
 * Who calls: a device by its bearer or by its tunnel, an administrator by an admin key, or anybody. Secrets
 * are looked up by their hash, so that the time it takes tells nothing about them.
 */

import type { UnixMs } from '../../shared/core/base/time.ts';
import type { AdminRole } from '../../shared/core/registration/admin-api.ts';
import type { Access } from '../../shared/core/registration/api.ts';
import { tokenKindOf } from '../../shared/core/registration/tokens.ts';
import type { AdminKeyRecord, DeviceRecord, PeerStore } from '../peers/store.ts';
import { ApiProblem } from './api-problem.ts';
import { hashToken } from './secrets.ts';

export type Caller =
  | { readonly kind: 'open' }
  | { readonly kind: 'device'; readonly device: DeviceRecord }
  | { readonly kind: 'admin'; readonly key: AdminKeyRecord };

export interface Credentials {
  /** The Authorization header. */
  readonly authorization: string | undefined;
  /** The device whose tunnel the connection came through. */
  readonly tunnelDevice: string | undefined;
}

const ranks: Readonly<Record<AdminRole, number>> = { auditor: 1, operator: 2, owner: 3 };

/** Throws 'unauthorized', 'forbidden', 'device-disabled' or 'device-expired' where the call is not for them. */
export async function findCaller(
  store: PeerStore,
  access: Access,
  credentials: Credentials,
  now: UnixMs,
): Promise<Caller> {
  if (access === 'open') return { kind: 'open' };
  if (access === 'device') return { kind: 'device', device: await findDevice(store, credentials, now) };
  const key = await findAdminKey(store, credentials, now);
  if (ranks[key.role] < ranks[access]) throw new ApiProblem('forbidden');
  return { kind: 'admin', key };
}

async function findDevice(store: PeerStore, credentials: Credentials, now: UnixMs): Promise<DeviceRecord> {
  const { authorization, tunnelDevice } = credentials;
  const bearer = bearerIn(authorization);
  let device: DeviceRecord | undefined;
  if (bearer !== undefined && tokenKindOf(bearer) === 'device') {
    device = await store.deviceByBearer(hashToken(bearer));
  } else if (authorization === undefined && tunnelDevice !== undefined) {
    device = await store.device(tunnelDevice);
  }
  if (device === undefined) throw new ApiProblem('unauthorized');
  if (!device.enabled) throw new ApiProblem('device-disabled');
  if (device.expiresAt !== undefined && device.expiresAt <= now) throw new ApiProblem('device-expired');
  return device;
}

/** Never by a tunnel: whoever administers shows a key. */
async function findAdminKey(
  store: PeerStore,
  credentials: Credentials,
  now: UnixMs,
): Promise<AdminKeyRecord> {
  const bearer = bearerIn(credentials.authorization);
  const isKey = bearer !== undefined && tokenKindOf(bearer) === 'admin';
  const key = isKey ? await store.adminKeyByHash(hashToken(bearer)) : undefined;
  if (key === undefined || (key.expiresAt !== undefined && key.expiresAt <= now)) {
    throw new ApiProblem('unauthorized');
  }
  return key;
}

function bearerIn(header: string | undefined): string | undefined {
  return /^bearer ([A-Za-z0-9_-]{1,100})$/i.exec(header ?? '')?.[1];
}
