/**
 * The addresses of the machine that an edge runs on, as it has them now: devices may not reach its own
 * services by any of them. Looked at again when a question comes and the last look is old.
 */

import type { NetworkInterfaceInfo } from 'node:os';
import { networkInterfaces } from 'node:os';
import { parseAddress, parsePrefix } from '../../shared/core/base/ip.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { addressKey } from './address-key.ts';

/** An address that comes while the edge runs is closed this late. */
const refreshMs = 2000;
/** Longest IPv4 prefix that has a broadcast address of its own. */
const longestBroadcast = 30;

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

export class OwnAddresses {
  readonly #now: Clock['now'];
  readonly #read: () => Interfaces;
  readonly #fixed: readonly Uint8Array[];
  #keys: ReadonlySet<string> = new Set();
  #readAt = Number.NEGATIVE_INFINITY;

  /** `fixed`: ours as well though no interface has them; `read`: for tests. */
  constructor(
    now: Clock['now'],
    fixed: readonly Uint8Array[] = [],
    read: () => Interfaces = networkInterfaces,
  ) {
    this.#now = now;
    this.#read = read;
    this.#fixed = fixed;
  }

  /** Also true of the broadcast addresses of this machine's networks, and of the networks' own. */
  has(address: Uint8Array): boolean {
    const now = this.#now();
    if (now - this.#readAt >= refreshMs) {
      this.#readAt = now;
      this.#keys = keysOf(this.#read(), this.#fixed);
    }
    return this.#keys.has(addressKey(address));
  }
}

function keysOf(interfaces: Interfaces, fixed: readonly Uint8Array[]): ReadonlySet<string> {
  const keys = new Set(fixed.map(addressKey));
  for (const { address, cidr } of Object.values(interfaces).flatMap((all) => all ?? [])) {
    const own = parseAddress(address);
    if (own !== undefined) keys.add(addressKey(own));
    const prefix = cidr === null ? undefined : parsePrefix(cidr);
    if (prefix === undefined || prefix.address.length !== 4 || prefix.bits > longestBroadcast) continue;
    keys.add(addressKey(prefix.address));
    keys.add(addressKey(broadcastOf(prefix.address, prefix.bits)));
  }
  return keys;
}

function broadcastOf(network: Uint8Array, bits: number): Uint8Array {
  return network.map((byte, i) => byte | (0xff >> Math.min(8, Math.max(0, bits - i * 8))));
}
