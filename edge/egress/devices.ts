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
}

/** From one list of devices to the next, so that not all of them travel between threads for one. */
export interface DeviceDelta {
  /** New, or known by their key and now otherwise. */
  readonly set: readonly DeviceEntry[];
  /** Keys of those that are gone. */
  readonly gone: readonly string[];
}

export function changed(devices: readonly DeviceEntry[], delta: DeviceDelta): readonly DeviceEntry[] {
  const others = new Set([...delta.gone, ...delta.set.map((device) => device.key)]);
  return [...devices.filter((device) => !others.has(device.key)), ...delta.set];
}

export class DeviceMap {
  readonly #single: ReadonlyMap<string, DeviceEntry>;
  readonly #wide: readonly { readonly prefix: Prefix; readonly device: DeviceEntry }[];

  constructor(devices: readonly DeviceEntry[]) {
    const all = devices.flatMap((device) => device.prefixes.map((prefix) => ({ prefix, device })));
    const isSingle = ({ bits, address }: Prefix): boolean => bits === address.length * 8;
    this.#single = new Map(
      all
        .filter(({ prefix }) => isSingle(prefix))
        .map(({ prefix, device }) => [addressKey(prefix.address), device]),
    );
    // The configuration lets no two of them overlap.
    this.#wide = all.filter(({ prefix }) => !isSingle(prefix));
  }

  /** Undefined where nobody has the address. */
  find(address: Uint8Array): DeviceEntry | undefined {
    return (
      this.#single.get(addressKey(address)) ??
      this.#wide.find(({ prefix }) => prefixContains(prefix, address))?.device
    );
  }
}
