/** Numbers of network interfaces, for link-local IPv6 addresses (RFC 4007 §11). Reads /sys, changes nothing. */

import { readFileSync } from 'node:fs';

/** The number of a network interface, undefined where there is none of that name. */
export function scopeOf(interfaceName: string): number | undefined {
  if (!/^[\w.-]{1,15}$/.test(interfaceName)) return undefined;
  try {
    const scope = Number(readFileSync(`/sys/class/net/${interfaceName}/ifindex`, 'utf8'));
    return Number.isInteger(scope) && scope > 0 ? scope : undefined;
  } catch {
    return undefined; // It is gone, or this system has no /sys.
  }
}
