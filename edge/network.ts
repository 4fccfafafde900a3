/** The address ranges of an edge's tunnel and how prefixes lie to each other. Pure. */

import { formatAddress, formatPrefix, type Prefix, prefixContains } from '../shared/core/base/ip.ts';

/** At least one of the two is there. */
export interface EdgeNetwork {
  readonly v4: Prefix | undefined;
  readonly v6: Prefix | undefined;
}

export function prefixesOf(network: EdgeNetwork): readonly Prefix[] {
  return [network.v4, network.v6].filter((prefix) => prefix !== undefined);
}

/** The edge's own address: the first after the network's. */
export function gatewayOf(prefix: Prefix): Uint8Array {
  const address = Uint8Array.from(prefix.address);
  const last = address.length - 1;
  address[last] = (address[last] ?? 0) | 1;
  return address;
}

/** '10.83.0.2' for a single address, '10.83.0.8/29' for more. */
export function shortText(prefix: Prefix): string {
  const single = prefix.bits === prefix.address.length * 8;
  return single ? formatAddress(prefix.address) : formatPrefix(prefix);
}

/** True where the first prefix lies wholly in the second. */
export function isInside(inner: Prefix, outer: Prefix): boolean {
  return inner.bits >= outer.bits && prefixContains(outer, inner.address);
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return isInside(a, b) || isInside(b, a);
}
