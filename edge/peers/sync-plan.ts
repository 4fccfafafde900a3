/**
 * From the devices of the store to what the tunnel must be told. Pure: told the time and what has changed,
 * it answers with a plan, and moves on when the plan was carried out.
 *
 * A key that is being replaced: an address belongs to one peer, so the former key keeps the addresses while
 * the new one is a peer without any, until the new one is heard (or the overlap ends) and takes them over. The tunnel
 * moves them itself with the first packet (`claims`); what is planned here afterwards says the same.
 */

import type { UnixMs } from '../../shared/core/base/time.ts';
import type { PeerChange } from '../../shared/core/tunnel/config.ts';
import { keyText } from './peer-changes.ts';
import { type SessionKey, SessionKeys } from './session-keys.ts';
import type { DeviceRecord } from './store.ts';

/** A device whose tunnel must go silent at once: its flows, sockets and connection tracking go too. */
export interface CutDevice {
  readonly id: string;
  readonly addresses: readonly string[];
}

/** What a running edge must do about changed devices. */
export interface DeviceChanges {
  /** For the tunnel, in this order, as one change. */
  readonly peers: readonly PeerChange[];
  readonly cut: readonly CutDevice[];
  /** As they are now, active or not; also those whose limits or path changed. */
  readonly changed: readonly DeviceRecord[];
  readonly removed: readonly string[];
}

export interface SyncPlan extends DeviceChanges {
  readonly isEmpty: boolean;
}

/** Peers of one device as the tunnel has them: key → addresses. */
type Installed = ReadonlyMap<string, PeerState>;

interface PeerState {
  readonly publicKey: Uint8Array;
  readonly addresses: readonly string[];
  /** What it takes over as soon as it is used, without waiting for us: no packet is lost between. */
  readonly claims: readonly string[];
  readonly presharedKey?: Uint8Array;
}

const nothing: Installed = new Map();

export class DevicePeers {
  readonly #devices = new Map<string, DeviceRecord>();
  /** Those for which time alone changes something: few of many. */
  readonly #timed = new Set<string>();
  readonly #installed = new Map<string, Installed>();
  readonly #owners = new Map<string, string>();
  /** New keys that were heard before their overlap ended. */
  readonly #heard = new Set<string>();
  readonly #sessions = new SessionKeys();
  readonly #dirty = new Set<string>();
  readonly #changed = new Set<string>();

  /** As the store has them, active or not. */
  get devices(): ReadonlyMap<string, DeviceRecord> {
    return this.#devices;
  }

  /** The device that has this key now, had it before a rotation that is not over, or has it for a session. */
  deviceOf(publicKey: Uint8Array): DeviceRecord | undefined {
    const id = this.#owners.get(keyText(publicKey)) ?? this.#sessions.ownerOf(publicKey);
    return id === undefined ? undefined : this.#devices.get(id);
  }

  set(device: DeviceRecord): void {
    this.#forgetKeys(device.id);
    this.#devices.set(device.id, device);
    if (device.expiresAt === undefined && device.formerKey === undefined) this.#timed.delete(device.id);
    else this.#timed.add(device.id);
    if (!device.enabled) this.#sessions.forget(device.id);
    for (const key of keysOf(device)) this.#owners.set(keyText(key), device.id);
    this.#dirty.add(device.id);
    this.#changed.add(device.id);
  }

  remove(id: string): void {
    const before = this.#devices.get(id);
    if (before !== undefined) this.#heard.delete(keyText(before.publicKey));
    this.#forgetKeys(id);
    this.#sessions.forget(id);
    this.#devices.delete(id);
    this.#timed.delete(id);
    this.#dirty.add(id);
    this.#changed.add(id);
  }

  /** A key for one session; whoever calls has seen that nobody has it. */
  openSession(id: string, session: SessionKey): void {
    this.#sessions.add(id, session);
    this.#dirty.add(id);
  }

  /** Whether to hear that key changes anything. */
  awaits(publicKey: Uint8Array): boolean {
    const device = this.deviceOf(publicKey);
    return (
      device !== undefined && (device.formerKey !== undefined || this.#sessions.of(device.id) !== undefined)
    );
  }

  /** The tunnel has had a handshake with this key. */
  heard(publicKey: Uint8Array): void {
    const device = this.deviceOf(publicKey);
    if (device === undefined) return;
    const isSessions = this.#sessions.ownerOf(publicKey) === device.id;
    const moved = isSessions ? this.#sessions.heard(publicKey) : this.#sessions.heardOwn(device.id);
    if (moved) this.#dirty.add(device.id);
    if (!isSessions) this.#heardStored(publicKey, device);
  }

  #heardStored(publicKey: Uint8Array, device: DeviceRecord): void {
    if (device.formerKey === undefined || keyText(device.publicKey) !== keyText(publicKey)) return;
    if (this.#heard.has(keyText(publicKey))) return;
    this.#heard.add(keyText(publicKey));
    this.#dirty.add(device.id);
  }

  /** Something becomes due by time alone then: an expiry, the end of an overlap. */
  nextDue(now: UnixMs): UnixMs | undefined {
    let next: UnixMs | undefined;
    for (const device of this.#timedDevices()) {
      for (const due of [device.expiresAt, device.formerKey?.until]) {
        if (due !== undefined && due > now && (next === undefined || due < next)) next = due;
      }
    }
    return next;
  }

  /** Looks at every device that may have become due. */
  passTime(now: UnixMs): void {
    for (const device of this.#timedDevices()) {
      const installed = this.#installed.get(device.id) ?? nothing;
      if (!samePeers(installed, this.#wanted(device, now))) this.#dirty.add(device.id);
    }
  }

  /** What to do now. Nothing is remembered as done until `done`. */
  plan(now: UnixMs): SyncPlan {
    const removals: PeerChange[] = [];
    const additions: PeerChange[] = [];
    const cut: CutDevice[] = [];
    for (const id of this.#dirty) {
      const device = this.#devices.get(id);
      const installed = this.#installed.get(id) ?? nothing;
      const wanted = device === undefined ? nothing : this.#wanted(device, now);
      for (const [key, peer] of installed) {
        if (!wanted.has(key)) removals.push({ publicKey: peer.publicKey, remove: true, allowedIps: [] });
      }
      for (const [key, peer] of wanted) {
        if (!sameAddresses(installed.get(key), peer)) additions.push(installation(peer));
      }
      if (installed.size > 0 && wanted.size === 0) cut.push({ id, addresses: addressesOf(installed) });
    }
    const changed = [...this.#changed];
    const removed = changed.filter((id) => !this.#devices.has(id));
    return {
      peers: [...removals, ...additions],
      cut,
      changed: changed.map((id) => this.#devices.get(id)).filter((device) => device !== undefined),
      removed,
      isEmpty: removals.length + additions.length + changed.length === 0,
    };
  }

  /** The plan of that moment was carried out. Nothing may have been set between. */
  done(now: UnixMs): void {
    for (const id of this.#dirty) {
      const device = this.#devices.get(id);
      const wanted = device === undefined ? nothing : this.#wanted(device, now);
      if (wanted.size === 0) this.#installed.delete(id);
      else this.#installed.set(id, wanted);
    }
    this.#dirty.clear();
    this.#changed.clear();
  }

  #timedDevices(): readonly DeviceRecord[] {
    return [...this.#timed].flatMap((id) => this.#devices.get(id) ?? []);
  }

  #wanted(device: DeviceRecord, now: UnixMs): Installed {
    if (!isActive(device, now)) return nothing;
    const stored = this.#stored(device, now);
    const { current, next } = this.#sessions.of(device.id) ?? {};
    if (current === undefined && next === undefined) return stored;
    const wanted = new Map<string, PeerState>();
    const addresses = prefixesOf(device);
    const waiting = { addresses: [], claims: addresses };
    for (const [key, peer] of stored) wanted.set(key, current === undefined ? peer : { ...peer, ...waiting });
    if (current !== undefined) wanted.set(keyText(current.publicKey), { ...current, addresses, claims: [] });
    if (next !== undefined) wanted.set(keyText(next.publicKey), { ...next, ...waiting });
    return wanted;
  }

  #stored(device: DeviceRecord, now: UnixMs): Installed {
    const { formerKey, publicKey } = device;
    const addresses = prefixesOf(device);
    const current = keyText(publicKey);
    if (formerKey === undefined || formerKey.until <= now || this.#heard.has(current)) {
      return new Map([[current, { publicKey, addresses, claims: [] }]]);
    }
    return new Map<string, PeerState>([
      [keyText(formerKey.publicKey), { publicKey: formerKey.publicKey, addresses, claims: [] }],
      [current, { publicKey, addresses: [], claims: addresses }],
    ]);
  }

  #forgetKeys(id: string): void {
    const before = this.#devices.get(id);
    if (before === undefined) return;
    for (const key of keysOf(before)) {
      if (this.#owners.get(keyText(key)) === id) this.#owners.delete(keyText(key));
    }
    if (before.formerKey === undefined) this.#heard.delete(keyText(before.publicKey));
  }
}

/** May connect now. */
export function isActive(device: DeviceRecord, now: UnixMs): boolean {
  return device.enabled && (device.expiresAt === undefined || device.expiresAt > now);
}

function keysOf(device: DeviceRecord): readonly Uint8Array[] {
  return device.formerKey === undefined ? [device.publicKey] : [device.formerKey.publicKey, device.publicKey];
}

function prefixesOf(device: DeviceRecord): readonly string[] {
  return device.addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`);
}

/** The tunnel keeps the key: the sender may wipe its own. */
function installation({ publicKey, addresses, claims, presharedKey }: PeerState): PeerChange {
  const secret = presharedKey === undefined ? {} : { presharedKey: presharedKey.slice() };
  return { publicKey, ...secret, replaceAllowedIps: true, allowedIps: addresses, claims };
}

function addressesOf(installed: Installed): readonly string[] {
  return [...installed.values()].flatMap((peer) => peer.addresses.map((text) => text.replace(/\/.*$/, '')));
}

function sameAddresses(a: PeerState | undefined, b: PeerState): boolean {
  return a !== undefined && a.addresses.join() === b.addresses.join() && a.claims.join() === b.claims.join();
}

function samePeers(a: Installed, b: Installed): boolean {
  if (a.size !== b.size) return false;
  for (const [key, peer] of b) if (!sameAddresses(a.get(key), peer)) return false;
  return true;
}
