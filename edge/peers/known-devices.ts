/**
 * Devices of the store that may connect, as the way out, the firewall and the gateway need them: who has which address, and
 * under which name. Follows the changes that the store's sync finds.
 */

import { type Prefix, parsePrefix } from '../../shared/core/base/ip.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import type { DeviceDelta, DeviceEntry } from '../egress/devices.ts';
import type { DeviceRecord } from './store.ts';
import { type DeviceChanges, isActive } from './sync-plan.ts';

interface Known {
  readonly entry: DeviceEntry;
  readonly addresses: readonly string[];
}

export class KnownDevices {
  readonly #byId = new Map<string, Known>();
  readonly #idByAddress = new Map<string, string>();

  /** In no particular order. */
  get entries(): readonly DeviceEntry[] {
    return [...this.#byId.values()].map(({ entry }) => entry);
  }

  get count(): number {
    return this.#byId.size;
  }

  /** The id of the device that has this address in the tunnel. */
  idAt(address: string): string | undefined {
    return this.#idByAddress.get(address);
  }

  /** Who came, went, or has another name, path or tag: rules may speak of them. */
  follow(changes: Pick<DeviceChanges, 'changed' | 'removed' | 'cut'>, now: UnixMs): DeviceDelta {
    const gone = [...changes.removed, ...changes.cut.map((one) => one.id)].filter((id) => this.#forget(id));
    const set: DeviceEntry[] = [];
    for (const device of changes.changed) {
      if (!isActive(device, now)) {
        if (this.#forget(device.id)) gone.push(device.id);
      } else if (this.#set(device)) {
        const known = this.#byId.get(device.id);
        if (known !== undefined) set.push(known.entry);
      }
    }
    return { set, gone };
  }

  #set(device: DeviceRecord): boolean {
    const before = this.#byId.get(device.id);
    // By its id: a device with a new key is the same one.
    const { name, path, granted, tags, families } = device;
    const entry = { name, key: device.id, prefixes: prefixesOf(device), path, granted, tags, families };
    const isSame =
      before?.entry.name === device.name &&
      before.entry.path === path &&
      before.entry.families === families &&
      before.entry.granted?.join() === granted?.join() &&
      before.entry.tags?.join() === tags.join() &&
      before.addresses.join() === device.addresses.join();
    if (isSame) return false;
    this.#forget(device.id);
    this.#byId.set(device.id, { entry, addresses: device.addresses });
    for (const address of device.addresses) this.#idByAddress.set(address, device.id);
    return true;
  }

  #forget(id: string): boolean {
    const known = this.#byId.get(id);
    if (known === undefined) return false;
    this.#byId.delete(id);
    for (const address of known.addresses) {
      if (this.#idByAddress.get(address) === id) this.#idByAddress.delete(address);
    }
    return true;
  }
}

function prefixesOf(device: DeviceRecord): readonly Prefix[] {
  return device.addresses.map((address) => parsePrefix(address)).filter((prefix) => prefix !== undefined);
}
