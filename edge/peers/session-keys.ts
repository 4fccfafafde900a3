/**
 * Keys that devices have for one session, beside the key that the store knows, each with a preshared key that only both
 * ends know. Pure, in memory alone: after a restart of the edge devices begin with their own key again.
 *
 * A new one waits until it is heard and only then takes the device's addresses over, as a rotated key does. Where the
 * device's own key is heard again, the device has begun anew, and its session is forgotten: neither end ever gets stuck.
 */

import { keyText } from './peer-changes.ts';

export interface SessionKey {
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array;
}

export interface DeviceSessions {
  /** Was heard: it has the device's addresses. */
  readonly current?: SessionKey;
  /** Not heard yet. */
  readonly next?: SessionKey;
}

/** At most two keys a device. */
export class SessionKeys {
  readonly #byDevice = new Map<string, DeviceSessions>();
  readonly #owners = new Map<string, string>();

  /** Of the device, undefined where it has none. */
  of(id: string): DeviceSessions | undefined {
    return this.#byDevice.get(id);
  }

  /** The id of the device that has this key for a session. */
  ownerOf(publicKey: Uint8Array): string | undefined {
    return this.#owners.get(keyText(publicKey));
  }

  /** One that was not heard is replaced. */
  add(id: string, session: SessionKey): void {
    const { current, next } = this.#byDevice.get(id) ?? {};
    if (next !== undefined) this.#disown(next);
    this.#owners.set(keyText(session.publicKey), id);
    this.#byDevice.set(id, { ...(current === undefined ? {} : { current }), next: session });
  }

  /** A session's key was heard. True where it was not before. */
  heard(publicKey: Uint8Array): boolean {
    const id = this.ownerOf(publicKey);
    const known = id === undefined ? undefined : this.#byDevice.get(id);
    if (id === undefined || known?.next === undefined) return false;
    if (keyText(known.next.publicKey) !== keyText(publicKey)) return false;
    if (known.current !== undefined) this.#disown(known.current);
    this.#byDevice.set(id, { current: known.next });
    return true;
  }

  /** The device's own key was heard. True where it had a session that held. */
  heardOwn(id: string): boolean {
    return this.#byDevice.get(id)?.current !== undefined && this.forget(id);
  }

  /** True where there was one. */
  forget(id: string): boolean {
    const { current, next } = this.#byDevice.get(id) ?? {};
    for (const key of [current, next]) if (key !== undefined) this.#disown(key);
    return this.#byDevice.delete(id);
  }

  #disown({ publicKey, presharedKey }: SessionKey): void {
    this.#owners.delete(keyText(publicKey));
    presharedKey.fill(0);
  }
}
