/**
 * Which addresses, routes and rules the tunnel needs. Pure. Everything but the tunnel's own marked datagrams looks into
 * a table of our own, and in no other: a route that the network hands out (DHCP option 121) pulls nothing out of the
 * tunnel. What goes around it is taken out of the table by `throw`.
 */

import { isIPv6 } from 'node:net';
import { parsePrefix } from '../../../shared/core/base/ip.ts';
import type { PrefixText } from '../../../shared/core/tunnel/config.ts';
import type { WgInterface } from '../../../shared/core/uapi/wg-config.ts';
import { tunnelRoutes } from '../../split/effective.ts';
import { isInside } from '../../split/prefix-set.ts';
import { isIncludeOnly } from '../../split/rules.ts';
import { noSplit, type SplitView } from '../../split/view.ts';

/** Mark of the tunnel's datagrams, number of our table, and priority of its rule. */
export const tunnelMark = 0x8383;
export const tunnelTable = 8383;
/** Mark of what programs send that go around the tunnel. */
export const outsideMark = 0x8384;

export const defaultMtu = 1420;

/** What the file says, else the default less the noise that its obfuscation puts before every packet. */
export function usualMtu({ mtu, disguise }: Pick<WgInterface, 'mtu' | 'disguise'>): number {
  return mtu ?? defaultMtu - (disguise?.prefix.transport ?? 0);
}

const outsideRulePriority = 8382;
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
  /** Numeric resolvers inside the tunnel: they go through it also where a list names only other things. */
  readonly resolvers?: readonly string[];
}

/** One rule, as the words after `ip rule add`. */
export interface RulePlan {
  readonly family: Family;
  readonly words: readonly string[];
}

export interface RoutesPlan {
  /** What it was made for, to plan again where the split changes. */
  readonly shape: TunnelShape;
  /** Lines for `ip -batch`: addresses, size and state of the link. */
  readonly link: readonly string[];
  /** Lines for `ip -4 -batch` and `ip -6 -batch`. */
  readonly routes: readonly { readonly family: Family; readonly lines: readonly string[] }[];
  readonly rules: readonly RulePlan[];
  /** Replies to marked datagrams must pass the reverse-path check of IPv4. */
  readonly needsValidMark: boolean;
}

/** `split`: what goes around the tunnel. */
export function planRoutes(tunnel: TunnelShape, split: SplitView = noSplit): RoutesPlan {
  const { interfaceName, mtu } = tunnel;
  const usable = (prefix: PrefixText): boolean => tunnel.ipv6 || familyOf(prefix) === 4;
  const { through, around } = ways(tunnel, split);
  const families: readonly Family[] = [4, 6];
  const routes = families.map((family) => ({
    family,
    lines: [
      ...through
        .filter((prefix) => usable(prefix) && familyOf(prefix) === family)
        .map((prefix) => `route replace ${prefix} dev ${interfaceName} table ${tunnelTable}`),
      ...around
        .filter((prefix) => usable(prefix) && familyOf(prefix) === family)
        .map((prefix) => `route replace throw ${prefix} table ${tunnelTable}`),
    ],
  }));
  const filled = families.filter((_, i) => (routes[i]?.lines.length ?? 0) > 0);
  const rules = filled.flatMap((family) => rulesOf(family, split));
  return {
    shape: tunnel,
    link: [
      ...tunnel.addresses.filter(usable).map((prefix) => `address replace ${prefix} dev ${interfaceName}`),
      `link set dev ${interfaceName} mtu ${mtu} up`,
    ],
    routes: routes.filter(({ lines }) => lines.length > 0),
    rules,
    needsValidMark: rules.some((rule) => rule.family === 4),
  };
}

/** Prefixes of our table: into the tunnel, and around it. Each once, and never in both. */
function ways(
  tunnel: TunnelShape,
  split: SplitView,
): { readonly through: readonly PrefixText[]; readonly around: readonly PrefixText[] } {
  const { routes, around } = tunnelRoutes(tunnel.allowedIps, split.rules, split.learned);
  // Narrow ranges that the edge carries go before the network around us, unless that was opened.
  const carried = routes.map(parsePrefix).filter((prefix) => prefix !== undefined);
  const narrow = carried.filter((prefix) => prefix.bits > 1);
  const local = split.local
    .map((one) => one.prefix)
    .filter((text) => {
      const prefix = parsePrefix(text);
      if (prefix === undefined || !carried.some((one) => isInside(prefix, one))) return false;
      return split.lanOpen || !narrow.some((one) => isInside(prefix, one));
    });
  const out = new Set([...around, ...local]);
  const always = isIncludeOnly(split.rules) ? resolversWithin(tunnel) : [];
  return {
    through: [...new Set([...routes, ...always])].filter((prefix) => !out.has(prefix)),
    around: [...out],
  };
}

function resolversWithin({ resolvers = [], allowedIps }: TunnelShape): readonly PrefixText[] {
  const allowed = allowedIps.map(parsePrefix).filter((prefix) => prefix !== undefined);
  return resolvers.flatMap((address) => {
    const text = `${address}/${isIPv6(address) ? 128 : 32}`;
    const prefix = parsePrefix(text);
    return prefix !== undefined && allowed.some((one) => isInside(prefix, one)) ? [text] : [];
  });
}

export function familyOf(prefix: PrefixText): Family {
  return isIPv6(prefix.split('/')[0] ?? '') ? 6 : 4;
}

function rulesOf(family: Family, { outsideGroup }: SplitView): readonly RulePlan[] {
  const outside: RulePlan = {
    family,
    words: `pref ${outsideRulePriority} fwmark ${hex(outsideMark)} lookup main`.split(' '),
  };
  const whole: RulePlan = {
    family,
    words: `pref ${tunnelRulePriority} not fwmark ${hex(tunnelMark)} lookup ${tunnelTable}`.split(' '),
  };
  return outsideGroup === undefined ? [whole] : [outside, whole];
}

function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}
