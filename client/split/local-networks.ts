/**
 * The networks around this machine that `culvert lan allow` may open: directly connected, and private. A network that
 * hands out public addresses as its own would otherwise pull real destinations out of the tunnel. Pure.
 */

import { formatPrefix, type Prefix, parsePrefix } from '../../shared/core/base/ip.ts';
import type { PrefixText } from '../../shared/core/tunnel/config.ts';
import { isInside } from './prefix-set.ts';

export interface LocalNetwork {
  readonly interfaceName: string;
  readonly prefix: PrefixText;
}

/** An interface with its addresses, each with prefix length. */
export interface AddressedInterface {
  readonly name: string;
  readonly addresses: readonly PrefixText[];
}

/** Containers bring many. */
export const maxLocalNetworks = 256;

/** What the firewall can be told of. */
const usableName = /^[A-Za-z0-9_.-]{1,15}$/;

/** RFC 1918, RFC 3927, RFC 4193, RFC 4291 link-local. */
const privateRanges: readonly Prefix[] = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '169.254.0.0/16',
  'fc00::/7',
  'fe80::/10',
]
  .map(parsePrefix)
  .filter((prefix) => prefix !== undefined);

/** `own`: names of our own interfaces. A single address (a point-to-point link) is no network. */
export function localNetworks(
  interfaces: readonly AddressedInterface[],
  own: ReadonlySet<string>,
): readonly LocalNetwork[] {
  const found = new Map<string, LocalNetwork>();
  for (const { name, addresses } of interfaces) {
    if (own.has(name) || name === 'lo' || !usableName.test(name)) continue;
    for (const text of addresses) {
      const prefix = parsePrefix(text);
      if (prefix === undefined || prefix.bits >= prefix.address.length * 8) continue;
      if (!privateRanges.some((range) => isInside(prefix, range))) continue;
      const written = formatPrefix(prefix);
      if (found.size < maxLocalNetworks) {
        found.set(`${name} ${written}`, { interfaceName: name, prefix: written });
      }
    }
  }
  return [...found.values()];
}
