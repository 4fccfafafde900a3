/**
 * FirewallPolicy: what may leave this machine, as a value. ruleset.ts turns it into words for nft.
 */

import type { Endpoint } from '../../../shared/core/base/endpoint.ts';
import type { PrefixText } from '../../../shared/core/tunnel/config.ts';

/** Our own table; nothing of anybody else is touched. */
export const tableFamily = 'inet';
export const tableName = 'culvert';

/** No policy at all is `open`: then the table does not exist. */
export interface FirewallPolicy {
  /**
   * 'blocked': nothing. 'connecting': the edge's endpoints, and the tunnel, so that it can be proven.
   * 'connected': likewise; the name says what the state is.
   */
  readonly kind: 'blocked' | 'connecting' | 'connected';
  readonly interfaceName: string;
  /** Mark of the tunnel's own datagrams. */
  readonly mark: number;
  readonly endpoints: readonly Endpoint[];
  /** Reachable on port 53 while the edge's own name is looked up. */
  readonly nameServers: readonly string[];
  /** Our addresses inside the tunnel: packets for them that come in elsewhere are dropped. */
  readonly addresses: readonly string[];
  readonly scope: ProtectedScope;
}

/** What may not leave outside the tunnel: everything, or only what the file's AllowedIPs name. */
export type ProtectedScope = 'everything' | readonly PrefixText[];

/** A file with a default route in either family protects everything, the other family included. */
export function scopeOf(allowedIps: readonly PrefixText[]): ProtectedScope {
  return allowedIps.some(isDefaultRoute) || hasBothHalves(allowedIps) ? 'everything' : allowedIps;
}

export function isDefaultRoute(prefix: PrefixText): boolean {
  return prefix.endsWith('/0');
}

/** The known way to write a default route as two halves. */
function hasBothHalves(allowedIps: readonly PrefixText[]): boolean {
  const has = (prefix: PrefixText): boolean => allowedIps.includes(prefix);
  return (has('0.0.0.0/1') && has('128.0.0.0/1')) || (has('::/1') && has('8000::/1'));
}
