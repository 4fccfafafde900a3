/**
 * The part of the registration API that administers an edge, under `/v1/admin`, with an admin key.
 * Roles: an auditor reads; an operator also changes devices and invitations; an owner also admin keys.
 */

import { type TSchema, Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';
import { type Access, type ApiRoute, type DeviceView, deviceShape } from './api.ts';
import {
  type FeedbackList,
  type FeedbackView,
  feedbackListShape,
  feedbackViewShape,
} from './feedback-api.ts';
import { amount, idText, keyText, nameText, pathText, strict, tagsText, timeText } from './shapes.ts';

export type AdminRole = 'auditor' | 'operator' | 'owner';

export const adminRoles: readonly AdminRole[] = ['auditor', 'operator', 'owner'];

export interface DeviceDetail extends DeviceView {
  /** Enrolled by invitation, or a stock WireGuard client that was added. */
  readonly kind: 'enrolled' | 'stock';
  /** Paths it may choose; absent: all. */
  readonly granted?: readonly string[];
  /** Words that rules may speak of; absent: none. */
  readonly tags?: readonly string[];
  /** Bytes in both directions together; 0 = no limit. */
  readonly quotaBytes: number;
  /** Bits a second in each direction; 0 = no limit. */
  readonly rateBps: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly lastSeenAt?: string;
}

export interface DeviceList {
  readonly devices: readonly DeviceDetail[];
  /** Give it back as `after` for the rest; absent: that was all. */
  readonly next?: string;
}

/** Absent fields stay; null takes a limit away. */
export interface DeviceEdit {
  readonly name?: string;
  readonly enabled?: boolean;
  readonly path?: string;
  readonly granted?: readonly string[] | null;
  /** All of them. */
  readonly tags?: readonly string[];
  readonly quotaBytes?: number;
  readonly rateBps?: number;
  readonly expiresAt?: string | null;
}

export interface StockDevice {
  readonly name: string;
  readonly publicKey: string;
  readonly path?: string;
}

export interface InviteRequest {
  /** How the device will be called. */
  readonly name?: string;
  /** Default 900; 30 days at most. */
  readonly ttlSeconds?: number;
  /** Default 1. */
  readonly uses?: number;
  /** The device is pinned to this path. */
  readonly path?: string;
}

export interface InviteView {
  readonly id: string;
  readonly name?: string;
  readonly path?: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly uses: number;
  readonly usesLeft: number;
}

export interface IssuedInvite extends InviteView {
  /** Said once. */
  readonly link: string;
}

export interface AdminKeyRequest {
  readonly name: string;
  readonly role: AdminRole;
  readonly expiresAt?: string;
}

export interface AdminKeyView {
  readonly id: string;
  readonly name: string;
  readonly role: AdminRole;
  readonly createdAt: string;
  readonly expiresAt?: string;
}

export interface IssuedAdminKey extends AdminKeyView {
  /** Said once. */
  readonly key: string;
}

export interface AuditView {
  readonly id: string;
  readonly at: string;
  /** 'operator' (the machine's own command line), 'device:ID', 'admin:ID', 'edge'. */
  readonly actor: string;
  /** 'device.enrol', 'invite.add' … */
  readonly action: string;
  /** Id of what was changed. */
  readonly subject: string;
  /** What changed, without secrets. */
  readonly detail: Readonly<Record<string, string | number | boolean | null>>;
}

export interface AuditList {
  /** Newest first. */
  readonly events: readonly AuditView[];
  readonly next?: string;
}

export interface AdminRoutes {
  readonly listDevices: ApiRoute<undefined, DeviceList>;
  readonly addDevice: ApiRoute<StockDevice, DeviceDetail>;
  readonly showDevice: ApiRoute<undefined, DeviceDetail>;
  readonly editDevice: ApiRoute<DeviceEdit, DeviceDetail>;
  readonly removeDevice: ApiRoute<undefined, undefined>;
  readonly listInvites: ApiRoute<undefined, readonly InviteView[]>;
  readonly addInvite: ApiRoute<InviteRequest, IssuedInvite>;
  readonly removeInvite: ApiRoute<undefined, undefined>;
  readonly listAdminKeys: ApiRoute<undefined, readonly AdminKeyView[]>;
  readonly addAdminKey: ApiRoute<AdminKeyRequest, IssuedAdminKey>;
  readonly removeAdminKey: ApiRoute<undefined, undefined>;
  readonly audit: ApiRoute<undefined, AuditList>;
  readonly listFeedback: ApiRoute<undefined, FeedbackList>;
  readonly showFeedback: ApiRoute<undefined, FeedbackView>;
  readonly removeFeedback: ApiRoute<undefined, undefined>;
}

export type AdminRouteName = keyof AdminRoutes;
export type AdminBody<Name extends AdminRouteName> =
  AdminRoutes[Name] extends ApiRoute<infer Body, infer _> ? Body : never;
export type AdminResult<Name extends AdminRouteName> =
  AdminRoutes[Name] extends ApiRoute<infer _, infer Result> ? Result : never;

export const defaultInviteSeconds: number = 15 * 60;
export const maxInviteSeconds: number = 30 * 24 * 60 * 60;
export const maxInviteUses = 10_000;
/** Most entries of one answer. */
export const maxPage = 1000;
const maxGranted = 64;

const role = Type.Union([Type.Literal('auditor'), Type.Literal('operator'), Type.Literal('owner')]);
const granted = Type.Array(pathText, { maxItems: maxGranted });

const detailShape: Shape<DeviceDetail> = shapeOf(
  Type.Object({
    ...propertiesOf(deviceShape),
    kind: Type.Union([Type.Literal('enrolled'), Type.Literal('stock')]),
    granted: Type.Optional(Type.Array(Type.String())),
    tags: Type.Optional(Type.Array(Type.String())),
    quotaBytes: amount,
    rateBps: amount,
    rxBytes: amount,
    txBytes: amount,
    lastSeenAt: Type.Optional(timeText),
  }) as unknown as TSchema & { static: DeviceDetail },
);
const listShape: Shape<DeviceList> = shapeOf(
  Type.Object({ devices: Type.Array(detailShape), next: Type.Optional(Type.String()) }),
);
const editShape: Shape<DeviceEdit> = shapeOf(
  Type.Object(
    {
      name: Type.Optional(nameText),
      enabled: Type.Optional(Type.Boolean()),
      path: Type.Optional(pathText),
      granted: Type.Optional(Type.Union([granted, Type.Null()])),
      tags: Type.Optional(tagsText),
      quotaBytes: Type.Optional(amount),
      rateBps: Type.Optional(amount),
      expiresAt: Type.Optional(Type.Union([timeText, Type.Null()])),
    },
    { ...strict, minProperties: 1 },
  ),
);
const stockShape: Shape<StockDevice> = shapeOf(
  Type.Object({ name: nameText, publicKey: keyText, path: Type.Optional(pathText) }, strict),
);
const inviteRequestShape: Shape<InviteRequest> = shapeOf(
  Type.Object(
    {
      name: Type.Optional(nameText),
      ttlSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: maxInviteSeconds })),
      uses: Type.Optional(Type.Integer({ minimum: 1, maximum: maxInviteUses })),
      path: Type.Optional(pathText),
    },
    strict,
  ),
);
const inviteProperties = {
  id: idText,
  name: Type.Optional(Type.String()),
  path: Type.Optional(Type.String()),
  createdAt: timeText,
  expiresAt: timeText,
  uses: Type.Integer(),
  usesLeft: Type.Integer(),
};
const invitesShape: Shape<readonly InviteView[]> = shapeOf(Type.Array(Type.Object(inviteProperties)));
const issuedShape: Shape<IssuedInvite> = shapeOf(Type.Object({ ...inviteProperties, link: Type.String() }));
const adminKeyRequestShape: Shape<AdminKeyRequest> = shapeOf(
  Type.Object({ name: nameText, role, expiresAt: Type.Optional(timeText) }, strict),
);
const adminKeyProperties = {
  id: idText,
  name: Type.String(),
  role,
  createdAt: timeText,
  expiresAt: Type.Optional(timeText),
};
const adminKeysShape: Shape<readonly AdminKeyView[]> = shapeOf(Type.Array(Type.Object(adminKeyProperties)));
const issuedKeyShape: Shape<IssuedAdminKey> = shapeOf(
  Type.Object({ ...adminKeyProperties, key: Type.String() }),
);
const auditShape: Shape<AuditList> = shapeOf(
  Type.Object({
    events: Type.Array(
      Type.Object({
        id: Type.String(),
        at: timeText,
        actor: Type.String(),
        action: Type.String(),
        subject: Type.String(),
        detail: Type.Record(
          Type.String(),
          Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()]),
        ),
      }),
    ),
    next: Type.Optional(Type.String()),
  }),
);

export const adminRoutes: AdminRoutes = {
  listDevices: read('/v1/admin/devices', 'Devices in the order of their ids, in pages.', listShape),
  addDevice: write(
    { method: 'POST', path: '/v1/admin/devices', access: 'operator', status: 201 },
    'Adds a stock WireGuard device by its public key.',
    stockShape,
    detailShape,
  ),
  showDevice: read('/v1/admin/devices/:id', 'One device, by id or name.', detailShape),
  editDevice: write(
    { method: 'PATCH', path: '/v1/admin/devices/:id', access: 'operator', status: 200 },
    'Renames, enables, disables, pins, limits.',
    editShape,
    detailShape,
  ),
  removeDevice: remove('/v1/admin/devices/:id', 'operator', 'Removes a device and cuts its tunnel.'),
  listInvites: read('/v1/admin/invites', 'Invitations that are open, used or expired today.', invitesShape),
  addInvite: write(
    { method: 'POST', path: '/v1/admin/invites', access: 'operator', status: 201 },
    'Makes an invitation.',
    inviteRequestShape,
    issuedShape,
  ),
  removeInvite: remove('/v1/admin/invites/:id', 'operator', 'Takes an invitation back.'),
  listAdminKeys: { ...read('/v1/admin/keys', 'Admin keys.', adminKeysShape), access: 'owner' },
  addAdminKey: write(
    { method: 'POST', path: '/v1/admin/keys', access: 'owner', status: 201 },
    'Makes an admin key.',
    adminKeyRequestShape,
    issuedKeyShape,
  ),
  removeAdminKey: remove('/v1/admin/keys/:id', 'owner', 'Takes an admin key back.'),
  audit: read('/v1/admin/audit', 'What was changed by whom, newest first, in pages.', auditShape),
  listFeedback: read('/v1/admin/feedback', 'What devices have sent, newest first.', feedbackListShape),
  showFeedback: read('/v1/admin/feedback/:id', 'One of them, with its diagnostics.', feedbackViewShape),
  removeFeedback: remove('/v1/admin/feedback/:id', 'operator', 'Forgets one of them.'),
};

function read<Result>(path: string, text: string, result: Shape<Result>): ApiRoute<undefined, Result> {
  return { method: 'GET', path, text, access: 'auditor', status: 200, body: undefined, result };
}

function write<Body, Result>(
  where: Pick<ApiRoute<Body, Result>, 'method' | 'path' | 'access' | 'status'>,
  text: string,
  body: Shape<Body>,
  result: Shape<Result>,
): ApiRoute<Body, Result> {
  return { ...where, text, body, result };
}

function remove(path: string, access: Access, text: string): ApiRoute<undefined, undefined> {
  return { method: 'DELETE', path, text, access, status: 204, body: undefined, result: undefined };
}

/** The properties of an object's schema, to build a wider one. */
function propertiesOf(schema: Shape<DeviceView>): Record<keyof DeviceView, TSchema> {
  return (schema as unknown as { properties: Record<keyof DeviceView, TSchema> }).properties;
}
