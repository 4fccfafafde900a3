/**
 * FirewallPolicy: what may leave this machine, as a value. ruleset.ts turns it into words for nft.
 */

import type { Endpoint } from '../../../shared/core/base/endpoint.ts';
import type { PrefixText } from '../../../shared/core/tunnel/config.ts';
import type { SignInWay } from '../../connection/state.ts';
import type { Examination } from './examination.ts';

/** Our own table; nothing of anybody else is touched. */
export const tableFamily = 'inet';
export const tableName = 'culvert';

/** No policy at all is `open`: then the table does not exist. */
export interface FirewallPolicy {
  /**
   * 'blocked': nothing. 'connecting': the edge's endpoints, and the tunnel, so that it can be proven.
   * 'connected': likewise; the name says what the state is. 'portal': the way to a sign-in, and no tunnel.
   */
  readonly kind: 'blocked' | 'connecting' | 'connected' | 'portal';
  readonly interfaceName: string;
  /** Where `blocked`: what is sent into the tunnel's interface is not refused. It leaves the machine by no way. */
  readonly keepsTunnel?: boolean;
  /** Mark of the tunnel's own datagrams. */
  readonly mark: number;
  readonly endpoints: readonly Endpoint[];
  /** Reachable by TCP with the mark: the edge's HTTPS ports, for the tunnel inside TLS. */
  readonly tlsEndpoints?: readonly Endpoint[];
  /** Reachable on UDP port 53 for datagrams with the mark: questions of ours for the edge's own name. */
  readonly nameServers: readonly string[];
  /** Where `connected`: reachable on port 53 with the mark, for names that a rule of the user gives to the network. */
  readonly ruleServers?: readonly string[];
  /** Our addresses inside the tunnel: packets for them that come in elsewhere are dropped. */
  readonly addresses: readonly string[];
  readonly scope: ProtectedScope;
  /** Where `portal`: what every program may reach; absent where its time is over. */
  readonly way?: SignInWay;
  /** Where `connecting` or `portal`: our own questions whether the network wants a sign-in, all with the mark. */
  readonly lookout?: Lookout;
  /** While somebody runs `netcheck` or `doctor`, in every kind: our own questions, all with the mark. */
  readonly examines?: Examination;
}

/** Questions of the daemon itself: names of those servers, and TCP to these ports. */
export interface Lookout {
  readonly servers: readonly string[];
  readonly ports: readonly number[];
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
