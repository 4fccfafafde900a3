/**
 * PeerStore: what an edge keeps about devices, invitations, admin keys and what was done, across
 * restarts (product.md §6). The contract; store-sqlite.ts keeps it. Every write is one transaction,
 * leaves its line in the audit log, and is idempotent: repeated, it changes nothing more. Secrets come
 * as hashes only; private keys never come here.
 */

import type { Entropy } from '../../shared/core/base/ports.ts';
import { minuteMs, type UnixMs } from '../../shared/core/base/time.ts';
import type { AdminRole } from '../../shared/core/registration/admin-api.ts';
import type { Families } from '../../shared/core/registration/api.ts';
import type { AddressPool } from './addresses.ts';
import type { FeedbackStore } from './feedback-store.ts';

/** Who does something, and when. `id` names the act: a repeated write with it is recorded once. */
export interface Act {
  readonly id: string;
  /** 'operator', 'device:ID', 'admin:ID', 'edge'. */
  readonly actor: string;
  readonly at: UnixMs;
}

export interface DeviceRecord {
  readonly id: string;
  /** Unique, whatever the case of its letters. */
  readonly name: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The key before a rotation, while it still works. */
  readonly formerKey: { readonly publicKey: Uint8Array; readonly until: UnixMs } | undefined;
  /** Single addresses, IPv4 first. */
  readonly addresses: readonly string[];
  readonly platform: string | undefined;
  readonly kind: 'enrolled' | 'stock';
  readonly enabled: boolean;
  readonly createdAt: UnixMs;
  readonly expiresAt: UnixMs | undefined;
  /** The path it is pinned to; undefined: the edge chooses. */
  readonly path: string | undefined;
  /** Paths it may choose; undefined: all. */
  readonly granted: readonly string[] | undefined;
  /** Words of the operator that rules may speak of. */
  readonly tags: readonly string[];
  /** The filter of names that it has chosen; absent: the edge's own. */
  readonly families?: Families | undefined;
  /** 0 = no limit. */
  readonly quotaBytes: number;
  /** Bits a second; 0 = no limit. */
  readonly rateBps: number;
  readonly usage: DeviceUsage;
}

export interface DeviceUsage {
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly lastSeenAt: UnixMs | undefined;
}

/** A new device: who it is, and from where its addresses come. */
export interface NewDevice {
  readonly id: string;
  /** Another is found where it is taken and `exactName` does not hold. */
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly platform: string | undefined;
  readonly pools: readonly AddressPool[];
  readonly entropy: Entropy;
}

export interface Enrolment extends NewDevice {
  /** SHA-256 of the invitation's token. */
  readonly tokenHash: Uint8Array;
  /** SHA-256 of the device's bearer. */
  readonly bearerHash: Uint8Array;
}

export type EnrolOutcome =
  /** `again`: the same invitation and key as before, and only the bearer is new. */
  | { readonly kind: 'enrolled'; readonly device: DeviceRecord; readonly again: boolean }
  | { readonly kind: 'refused'; readonly why: EnrolRefusal };

export type EnrolRefusal =
  | 'invite-unknown'
  | 'invite-expired'
  | 'invite-used'
  | 'key-taken'
  | 'no-address-left';

export type AddOutcome =
  | { readonly kind: 'added'; readonly device: DeviceRecord }
  | { readonly kind: 'refused'; readonly why: 'key-taken' | 'name-taken' | 'no-address-left' };

export type ChangeOutcome =
  | { readonly kind: 'changed'; readonly device: DeviceRecord }
  | { readonly kind: 'refused'; readonly why: 'not-found' | 'name-taken' | 'key-taken' };

/** Absent fields stay; null takes away. */
export interface DevicePatch {
  readonly name?: string;
  readonly enabled?: boolean;
  readonly path?: string | null;
  readonly granted?: readonly string[] | null;
  readonly tags?: readonly string[];
  readonly families?: Families | null;
  readonly quotaBytes?: number;
  readonly rateBps?: number;
  readonly expiresAt?: UnixMs | null;
}

export interface InviteRecord {
  readonly id: string;
  readonly name: string | undefined;
  readonly path: string | undefined;
  readonly createdAt: UnixMs;
  readonly expiresAt: UnixMs;
  readonly uses: number;
  readonly usesLeft: number;
}

export interface NewInvite {
  readonly id: string;
  readonly tokenHash: Uint8Array;
  readonly name: string | undefined;
  readonly path: string | undefined;
  readonly expiresAt: UnixMs;
  readonly uses: number;
}

export interface AdminKeyRecord {
  readonly id: string;
  readonly name: string;
  readonly role: AdminRole;
  readonly createdAt: UnixMs;
  readonly expiresAt: UnixMs | undefined;
}

export interface NewAdminKey {
  readonly id: string;
  readonly name: string;
  readonly role: AdminRole;
  readonly keyHash: Uint8Array;
  readonly expiresAt: UnixMs | undefined;
}

export interface AuditEvent {
  readonly id: string;
  readonly at: UnixMs;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly detail: Readonly<Record<string, string | number | boolean | null>>;
}

/** What a device has moved since the edge started, and when it was last heard. */
export interface UsageRow {
  readonly deviceId: string;
  /** Since `boot` began; only ever greater. */
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly lastSeenAt: UnixMs | undefined;
}

/** What has happened to devices after a revision. */
export interface DeviceFeedPage {
  /** Ask on with this. */
  readonly revision: number;
  /** As they are now, those that changed and still exist. */
  readonly devices: readonly DeviceRecord[];
  /** Ids of devices that are gone. */
  readonly removed: readonly string[];
  /** The revision asked for is older than the log: `devices` are all there are, every other is gone. */
  readonly whole: boolean;
}

export interface PeerStore {
  readonly feedback: FeedbackStore;

  device(id: string): Promise<DeviceRecord | undefined>;
  deviceByName(name: string): Promise<DeviceRecord | undefined>;
  /** A current or a former key. */
  deviceByKey(publicKey: Uint8Array): Promise<DeviceRecord | undefined>;
  deviceByBearer(bearerHash: Uint8Array): Promise<DeviceRecord | undefined>;
  /** In the order of ids, after that one. */
  devices(page?: { readonly after?: string; readonly limit?: number }): Promise<readonly DeviceRecord[]>;
  deviceCount(): Promise<number>;

  /** Consumes one use of an invitation, takes addresses and makes the device, or none of it. */
  enrol(enrolment: Enrolment, act: Act): Promise<EnrolOutcome>;
  /** Without an invitation: a stock client. The same id again is the same device. */
  addDevice(device: NewDevice, patch: Pick<DevicePatch, 'path'>, act: Act): Promise<AddOutcome>;
  changeDevice(id: string, patch: DevicePatch, act: Act): Promise<ChangeOutcome>;
  /** The former key works until `formerUntil`; one before it ends at once. */
  rotateKey(id: string, publicKey: Uint8Array, formerUntil: UnixMs, act: Act): Promise<ChangeOutcome>;
  /** Addresses go into quarantine until `freeAt`. False where there was no such device. */
  removeDevice(id: string, freeAt: UnixMs, act: Act): Promise<boolean>;

  invites(): Promise<readonly InviteRecord[]>;
  addInvite(invite: NewInvite, act: Act): Promise<InviteRecord>;
  removeInvite(id: string, act: Act): Promise<boolean>;

  adminKeys(): Promise<readonly AdminKeyRecord[]>;
  adminKeyByHash(keyHash: Uint8Array): Promise<AdminKeyRecord | undefined>;
  /** Undefined where the name is taken. */
  addAdminKey(key: NewAdminKey, act: Act): Promise<AdminKeyRecord | undefined>;
  removeAdminKey(id: string, act: Act): Promise<boolean>;

  /** Newest first, those before that id. */
  audit(page: { readonly before?: string; readonly limit: number }): Promise<readonly AuditEvent[]>;

  /** Absolute numbers of one run of the edge (`boot`), so that repeating is harmless. Not audited. */
  recordUsage(boot: string, rows: readonly UsageRow[]): Promise<void>;

  /** Rises by one with every change of a device. */
  revision(): Promise<number>;
  since(revision: number): Promise<DeviceFeedPage>;
  /** A number that is another one when another connection has written. Cheap enough for ten times a second. */
  writesElsewhere(): number;

  /** Forgets what is over: invitations, former keys, quarantines, old audit lines and old changes. */
  purge(now: UnixMs): Promise<void>;
  /** A consistent copy into a new file (0600), while everything goes on. */
  backup(path: string): Promise<void>;
  close(): void;
}

/** How long things are kept after they are over, milliseconds. `privacy` prints these. */
export const retention: {
  readonly quarantineMs: number;
  readonly endedInviteMs: number;
  readonly auditMs: number;
} = {
  quarantineMs: 24 * 60 * minuteMs,
  endedInviteMs: 24 * 60 * minuteMs,
  auditMs: 90 * 24 * 60 * minuteMs,
};

/** Lines beyond these go, oldest first. */
export const maxAuditEvents = 100_000;
export const maxChanges = 100_000;
