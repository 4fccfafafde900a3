/**
 * What whoever runs the edge may do to devices, invitations and admin keys. The HTTP routes under
 * /v1/admin, the control socket and the command line (also beside a daemon, on the same store) all call this.
 * Throws CulvertError for people.
 */

import { decodeBase64Key } from '../../shared/core/base/bytes.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { secondMs, type UnixMs, unixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import {
  type AdminKeyRequest,
  type AdminKeyView,
  type AuditList,
  type DeviceDetail,
  type DeviceEdit,
  type DeviceList,
  defaultInviteSeconds,
  type InviteRequest,
  type InviteView,
  type IssuedAdminKey,
  type IssuedInvite,
  maxInviteSeconds,
  maxInviteUses,
  maxPage,
  type StockDevice,
} from '../../shared/core/registration/admin-api.ts';
import { formatInvite } from '../../shared/core/registration/invite.ts';
import { isCanonicalKey } from '../../shared/core/registration/possession.ts';
import { autoPath, isDeviceName, isTag, maxTags } from '../../shared/core/registration/shapes.ts';
import { makeToken } from '../../shared/core/registration/tokens.ts';
import { type Act, type DevicePatch, type DeviceRecord, type PeerStore, retention } from '../peers/store.ts';
import { stockConfig } from './device-config.ts';
import type { EdgeFacts } from './edge-facts.ts';
import { hashToken, newId } from './secrets.ts';
import { adminKeyView, auditView, deviceDetail, inviteView } from './views.ts';

export interface AdministrationParts {
  readonly store: PeerStore;
  /** Of the edge. */
  readonly publicKey: Uint8Array;
  readonly facts: () => EdgeFacts;
  readonly entropy: Entropy;
  readonly unixNow: () => UnixMs;
  /** Called after every write of devices; beside a daemon: nothing, it looks by itself. */
  readonly onWrite: () => Promise<void>;
}

/** A part of a list: what comes after that entry. */
export interface PageRequest {
  readonly after?: string;
  readonly limit?: number;
}

/** Who is at the machine itself. */
export const operatorActor = 'operator';

export class Administration {
  readonly #parts: AdministrationParts;

  constructor(parts: AdministrationParts) {
    this.#parts = parts;
  }

  async devices(page: PageRequest = {}): Promise<DeviceList> {
    const limit = limitOf(page);
    const after = page.after === undefined ? {} : { after: page.after };
    const found = await this.#parts.store.devices({ ...after, limit: limit + 1 });
    const devices = found.slice(0, limit).map(deviceDetail);
    const last = devices.at(-1);
    return { devices, ...(found.length > limit && last !== undefined ? { next: last.id } : {}) };
  }

  /** By id or name. */
  async device(idOrName: string): Promise<DeviceDetail> {
    return deviceDetail(await this.#find(idOrName));
  }

  async addStock(request: StockDevice, actor: string): Promise<DeviceDetail> {
    const { store, entropy, facts } = this.#parts;
    const publicKey = decodeBase64Key(request.publicKey);
    if (publicKey === undefined || !isCanonicalKey(publicKey) || publicKey.every((byte) => byte === 0)) {
      throw new CulvertError('bad-usage', {
        text: 'That is no WireGuard public key.',
        remedy: 'See: wg pubkey',
      });
    }
    const name = named(request.name);
    const path = this.#pathOf(request.path);
    const device = {
      id: newId(entropy),
      name,
      publicKey,
      platform: undefined,
      pools: facts().pools,
      entropy,
    };
    const outcome = await store.addDevice(device, { path }, this.#act(actor));
    if (outcome.kind === 'refused') throw new CulvertError(outcome.why);
    await this.#parts.onWrite();
    return deviceDetail(outcome.device);
  }

  async edit(idOrName: string, edit: DeviceEdit, actor: string): Promise<DeviceDetail> {
    const device = await this.#find(idOrName);
    const { name, enabled, path, granted, tags, quotaBytes, rateBps, expiresAt } = edit;
    const patch: DevicePatch = {
      ...(name === undefined ? {} : { name: named(name) }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(path === undefined ? {} : { path: this.#pathOf(path) }),
      ...(granted === undefined ? {} : { granted }),
      ...(tags === undefined ? {} : { tags: taggedAs(tags) }),
      ...(quotaBytes === undefined ? {} : { quotaBytes }),
      ...(rateBps === undefined ? {} : { rateBps }),
      ...(expiresAt === undefined ? {} : { expiresAt: expiresAt === null ? null : timeOf(expiresAt) }),
    };
    const outcome = await this.#parts.store.changeDevice(device.id, patch, this.#act(actor));
    if (outcome.kind === 'refused') {
      throw new CulvertError(outcome.why === 'not-found' ? 'unknown-device' : outcome.why);
    }
    await this.#parts.onWrite();
    return deviceDetail(outcome.device);
  }

  /** Its tunnel is cut when this resolves, where the edge runs in this process. */
  async remove(idOrName: string, actor: string): Promise<DeviceDetail> {
    const device = await this.#find(idOrName);
    const act = this.#act(actor);
    await this.#parts.store.removeDevice(device.id, unixMs(act.at + retention.quarantineMs), act);
    await this.#parts.onWrite();
    return deviceDetail(device);
  }

  /** A file for the official apps. With the private key where it was made here; that is kept nowhere. */
  async stockConfig(idOrName: string, privateKey: Uint8Array | undefined): Promise<string> {
    const { facts, publicKey } = this.#parts;
    return stockConfig(facts(), publicKey, await this.#find(idOrName), privateKey);
  }

  async invites(): Promise<readonly InviteView[]> {
    return (await this.#parts.store.invites()).map(inviteView);
  }

  async invite(request: InviteRequest, actor: string): Promise<IssuedInvite> {
    const { store, entropy, facts, publicKey } = this.#parts;
    const { host, httpsPorts, pin } = facts();
    const port = httpsPorts[0];
    if (host === undefined || port === undefined) {
      throw new CulvertError('bad-config', {
        text: 'The edge does not know by which name it is reached.',
        remedy: 'Set endpoint and listen.https in edge.yaml.',
      });
    }
    const seconds = within(request.ttlSeconds ?? defaultInviteSeconds, maxInviteSeconds, 'seconds');
    const uses = within(request.uses ?? 1, maxInviteUses, 'uses');
    const token = makeToken('invite', entropy);
    const act = this.#act(actor);
    const record = await store.addInvite(
      {
        id: newId(entropy),
        tokenHash: hashToken(token),
        name: request.name === undefined ? undefined : named(request.name),
        path: this.#pathOf(request.path) ?? undefined,
        expiresAt: unixMs(act.at + seconds * secondMs),
        uses,
      },
      act,
    );
    const link = formatInvite({ host, port, token, pin, edgeKey: publicKey });
    return { ...inviteView(record), link };
  }

  async removeInvite(id: string, actor: string): Promise<void> {
    if (!(await this.#parts.store.removeInvite(id, this.#act(actor))))
      throw new CulvertError('unknown-invite');
  }

  async adminKeys(): Promise<readonly AdminKeyView[]> {
    return (await this.#parts.store.adminKeys()).map(adminKeyView);
  }

  async addAdminKey(request: AdminKeyRequest, actor: string): Promise<IssuedAdminKey> {
    const { store, entropy } = this.#parts;
    const key = makeToken('admin', entropy);
    const expiresAt = request.expiresAt === undefined ? undefined : timeOf(request.expiresAt);
    const wanted = { id: newId(entropy), name: named(request.name), role: request.role, expiresAt };
    const record = await store.addAdminKey({ ...wanted, keyHash: hashToken(key) }, this.#act(actor));
    if (record === undefined) throw new CulvertError('name-taken');
    return { ...adminKeyView(record), key };
  }

  async removeAdminKey(id: string, actor: string): Promise<void> {
    const removed = await this.#parts.store.removeAdminKey(id, this.#act(actor));
    if (!removed) throw new CulvertError('unknown-admin-key');
  }

  /** Newest first; `after` is the last one seen. */
  async audit(page: PageRequest = {}): Promise<AuditList> {
    const limit = limitOf(page);
    const before = page.after === undefined ? {} : { before: page.after };
    const found = await this.#parts.store.audit({ ...before, limit: limit + 1 });
    const events = found.slice(0, limit).map(auditView);
    const last = events.at(-1);
    return { events, ...(found.length > limit && last !== undefined ? { next: last.id } : {}) };
  }

  async #find(idOrName: string): Promise<DeviceRecord> {
    const { store } = this.#parts;
    const device = (await store.device(idOrName)) ?? (await store.deviceByName(idOrName));
    if (device === undefined) throw new CulvertError('unknown-device');
    return device;
  }

  /** Null for 'auto' and for none. */
  #pathOf(path: string | undefined): string | null {
    if (path === undefined || path === autoPath) return null;
    if (this.#parts.facts().paths.some((one) => one.id === path)) return path;
    throw new CulvertError('bad-usage', {
      text: `There is no path '${path}'.`,
      remedy: 'See: culvert-edge path list',
    });
  }

  #act(actor: string): Act {
    return { id: newId(this.#parts.entropy), actor, at: this.#parts.unixNow() };
  }
}

function limitOf(page: PageRequest): number {
  return Math.min(maxPage, Math.max(1, page.limit ?? maxPage));
}

function within(value: number, most: number, what: string): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new CulvertError('bad-usage', { text: `An invitation has 1 to ${most} ${what}.` });
}

function named(name: string): string {
  if (isDeviceName(name)) return name;
  throw new CulvertError('bad-usage', {
    text: 'That is no usable name.',
    remedy: 'Use 1 to 63 letters, digits, spaces, dots, dashes or underscores.',
  });
}

function taggedAs(tags: readonly string[]): readonly string[] {
  const each = [...new Set(tags)];
  if (each.length <= maxTags && each.every(isTag)) return each;
  throw new CulvertError('bad-usage', {
    text: 'Those are no usable tags.',
    remedy: `Use ${maxTags} at most, each of 1 to 32 small letters, digits, dots, dashes or underscores.`,
  });
}

function timeOf(text: string): UnixMs {
  const at = Date.parse(text);
  if (Number.isFinite(at)) return unixMs(at);
  throw new CulvertError('bad-usage', {
    text: `'${text}' is no time.`,
    remedy: 'Write it as 2027-01-31T12:00:00Z.',
  });
}
