/** Which device has an address in the tunnel. Peers of the tunnel are held to their addresses by it already. */

import { type Prefix, prefixContains } from '../../shared/core/base/ip.ts';
import { addressKey } from './address-key.ts';

/** A device as the way out knows it. Can be cloned between threads. */
export interface DeviceEntry {
  readonly name: string;
  /** Its public key as text: whoever has another is another, whatever the name. */
  readonly key: string;
  readonly prefixes: readonly Prefix[];
  /** Id of the path that it is pinned to; absent: the edge chooses. */
  readonly path?: string | undefined;
  /** Ids of paths that it may be pinned to; absent: all. */
  readonly granted?: readonly string[] | undefined;
  /** Words that rules may speak of; absent: none. */
  readonly tags?: readonly string[] | undefined;
  /** The filter of names that it chose; absent: the edge's own. */
  readonly families?: 'off' | 'malware' | 'full' | undefined;
}

/** From one list of devices to the next, so that not all of them travel between threads for one. */
export interface DeviceDelta {
  /** New, or known by their key and now otherwise. */
  readonly set: readonly DeviceEntry[];
  /** Keys of those that are gone. */
  readonly gone: readonly string[];
}

export class DeviceMap {
  readonly #byKey: Map<string, DeviceEntry> = new Map();
  readonly #single: Map<string, DeviceEntry> = new Map();
  /** The configuration lets no two of them overlap. */
  #wide: readonly { readonly prefix: Prefix; readonly device: DeviceEntry }[] = [];

  constructor(devices: readonly DeviceEntry[]) {
    const wide = devices.flatMap((device) => this.#add(device));
    this.#wide = wide;
  }

  /** Undefined where nobody has the address. */
  find(address: Uint8Array): DeviceEntry | undefined {
    return (
      this.#single.get(addressKey(address)) ??
      this.#wide.find(({ prefix }) => prefixContains(prefix, address))?.device
    );
  }

  /** Takes a change; costs what has changed, not what is there. Returns the entries that are no more. */
  follow(delta: DeviceDelta): readonly DeviceEntry[] {
    const before = [...delta.gone, ...delta.set.map(({ key }) => key)].flatMap((key) => this.#remove(key));
    const wide = delta.set.flatMap((device) => this.#add(device));
    if (wide.length > 0) this.#wide = [...this.#wide, ...wide];
    return before;
  }

  /** Returns what is not a single address. */
  #add(device: DeviceEntry): { readonly prefix: Prefix; readonly device: DeviceEntry }[] {
    this.#byKey.set(device.key, device);
    return device.prefixes.flatMap((prefix) => {
      if (!isSingle(prefix)) return [{ prefix, device }];
      this.#single.set(addressKey(prefix.address), device);
      return [];
    });
  }

  #remove(key: string): readonly DeviceEntry[] {
    const device = this.#byKey.get(key);
    if (device === undefined) return [];
    this.#byKey.delete(key);
    for (const prefix of device.prefixes) {
      const at = addressKey(prefix.address);
      if (isSingle(prefix) && this.#single.get(at) === device) this.#single.delete(at);
    }
    if (!device.prefixes.every(isSingle)) this.#wide = this.#wide.filter((one) => one.device !== device);
    return [device];
  }
}

function isSingle({ bits, address }: Prefix): boolean {
  return bits === address.length * 8;
}
