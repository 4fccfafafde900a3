/**
 * Which addresses, routes and rules the tunnel needs. Pure. The idea is wg-quick's: everything but
 * the tunnel's own marked datagrams looks into a table of our own, while narrower routes of the main
 * table (the local network) keep working where the firewall lets them.
 */

import { isIPv6 } from 'node:net';
import type { PrefixText } from '../../../shared/core/tunnel/config.ts';
import { isDefaultRoute } from '../firewall/policy.ts';

/** Mark of the tunnel's datagrams, number of our table, and priority of our last rule. */
export const tunnelMark = 0x8383;
export const tunnelTable = 8383;

export const defaultMtu = 1420;

const narrowRulePriority = 8381;
const mainRulePriority = 8382;
const tunnelRulePriority = 8383;

export type Family = 4 | 6;

export interface TunnelShape {
  readonly interfaceName: string;
  /** With prefix length. */
  readonly addresses: readonly PrefixText[];
  readonly allowedIps: readonly PrefixText[];
  readonly mtu: number;
  /** False where this machine has no IPv6 at all. */
  readonly ipv6: boolean;
}

/** One rule, as the words after `ip rule add`. */
export interface RulePlan {
  readonly family: Family;
  readonly words: readonly string[];
}

export interface RoutesPlan {
  /** Lines for `ip -batch`: addresses, size and state of the link. */
  readonly link: readonly string[];
  /** Lines for `ip -4 -batch` and `ip -6 -batch`. */
  readonly routes: readonly { readonly family: Family; readonly lines: readonly string[] }[];
  readonly rules: readonly RulePlan[];
  /** Replies to marked datagrams must pass the reverse-path check of IPv4. */
  readonly needsValidMark: boolean;
}

export function planRoutes(tunnel: TunnelShape): RoutesPlan {
  const { interfaceName, mtu } = tunnel;
  const usable = (prefix: PrefixText): boolean => tunnel.ipv6 || familyOf(prefix) === 4;
  const allowedIps = [...new Set(tunnel.allowedIps.filter(usable))];
  const families: readonly Family[] = [4, 6];
  const routes = families.map((family) => ({
    family,
    lines: allowedIps
      .filter((prefix) => familyOf(prefix) === family)
      .map((prefix) => `route replace ${prefix} dev ${interfaceName} table ${tunnelTable}`),
  }));
  const rules = families.flatMap((family) => rulesOf(family, allowedIps));
  return {
    link: [
      ...tunnel.addresses.filter(usable).map((prefix) => `address replace ${prefix} dev ${interfaceName}`),
      `link set dev ${interfaceName} mtu ${mtu} up`,
    ],
    routes: routes.filter(({ lines }) => lines.length > 0),
    rules,
    needsValidMark: rules.some((rule) => rule.family === 4),
  };
}

export function familyOf(prefix: PrefixText): Family {
  return isIPv6(prefix.split('/')[0] ?? '') ? 6 : 4;
}

function rulesOf(family: Family, allowedIps: readonly PrefixText[]): readonly RulePlan[] {
  const mine = allowedIps.filter((prefix) => familyOf(prefix) === family);
  if (mine.length === 0) return [];
  const unmarked = ['not', 'fwmark', `0x${tunnelMark.toString(16)}`];
  const table = ['lookup', String(tunnelTable)];
  const wide = mine.some((prefix) => isDefaultRoute(prefix) || prefix.endsWith('/1'));
  const whole: RulePlan = { family, words: ['pref', String(tunnelRulePriority), ...unmarked, ...table] };
  if (!wide) return [whole];
  // The tunnel's narrow routes, then the main table's without its default, then the tunnel's default.
  return [
    {
      family,
      words: ['pref', String(narrowRulePriority), ...unmarked, ...table, 'suppress_prefixlength', '1'],
    },
    { family, words: ['pref', String(mainRulePriority), 'lookup', 'main', 'suppress_prefixlength', '0'] },
    whole,
  ];
}
