/**
 * What a list of rules and an edge's AllowedIPs come to, as prefixes: what goes through the tunnel, what may leave
 * around it. Pure.
 */

import { formatPrefix, type Prefix, parsePrefix } from '../../shared/core/base/ip.ts';
import type { PrefixText } from '../../shared/core/tunnel/config.ts';
import { type ProtectedScope, scopeOf } from '../host/firewall/policy.ts';
import { difference, everything, intersection, isInside, overlaps } from './prefix-set.ts';
import { isIncludeOnly, type SplitRule } from './rules.ts';

export interface Effective {
  /** What goes through the tunnel, as the shortest list: for people, and for devices that know no other way. */
  readonly tunnel: readonly PrefixText[];
  /** Routes of the tunnel's table: AllowedIPs as they are written, or what of them is included (plan.ts). */
  readonly routes: readonly PrefixText[];
  /**
   * Taken out again, by routes of kind `throw` in the same table: the kernel then goes on to the next rule. So a
   * default route stays one, and the local network does not slip into the tunnel.
   */
  readonly around: readonly PrefixText[];
  /** What may not leave outside the tunnel, for the firewall. */
  readonly scope: ProtectedScope;
}

/** `learned`: addresses of names that rules are about, as the stub saw them. Undefined where the lists grow too long. */
export function effectivePrefixes(
  allowedIps: readonly PrefixText[],
  rules: readonly SplitRule[],
  learned: { readonly include: readonly Prefix[]; readonly exclude: readonly Prefix[] } = {
    include: [],
    exclude: [],
  },
): Effective | undefined {
  const allowed = allowedIps.map(parsePrefix).filter((prefix) => prefix !== undefined);
  const included = [...prefixesOf(rules, 'include'), ...learned.include];
  const excluded = [...prefixesOf(rules, 'exclude'), ...learned.exclude];
  const includeOnly = rules.some((rule) => rule.mode === 'include');
  const base = scopeOf(allowedIps);
  const wanted = includeOnly ? included : everything;
  const reachable = intersection(allowed, wanted);
  const tunnel = reachable === undefined ? undefined : difference(reachable, excluded);
  // Of what is protected, the other family counts, too: an edge without IPv6 must not mean that IPv6 leaks.
  const guarded = difference(base === 'everything' ? wanted : (reachable ?? []), excluded);
  const around = intersection(excluded, allowed);
  if (tunnel === undefined || guarded === undefined || around === undefined) return undefined;
  const isOut = (prefix: Prefix): boolean => excluded.some((one) => isInside(prefix, one));
  const cut = includeOnly ? overlaps(allowed, included) : allowed;
  const untouched = base === 'everything' && !includeOnly && excluded.length === 0;
  return {
    tunnel: tunnel.map(formatPrefix),
    routes: [...new Set(cut.filter((prefix) => !isOut(prefix)).map(formatPrefix))],
    around: around.map(formatPrefix),
    scope: untouched ? 'everything' : guarded.map(formatPrefix),
  };
}

export interface TunnelRoutes {
  /** Routes of the tunnel's table, as in Effective. */
  readonly routes: readonly PrefixText[];
  /** Routes of kind `throw` in the same table. */
  readonly around: readonly PrefixText[];
}

/** Of `effectivePrefixes` what the routes need: cheap, however many addresses were learned. */
export function tunnelRoutes(
  allowedIps: readonly PrefixText[],
  rules: readonly SplitRule[],
  learned: { readonly include: readonly Prefix[]; readonly exclude: readonly Prefix[] },
): TunnelRoutes {
  const allowed = allowedIps.map(parsePrefix).filter((prefix) => prefix !== undefined);
  const excluded = excludedBy(rules, learned);
  const cut = isIncludeOnly(rules) ? overlaps(allowed, includedBy(rules, learned)) : allowed;
  const isOut = (prefix: Prefix): boolean => excluded.some((one) => isInside(prefix, one));
  return {
    routes: unique(cut.filter((prefix) => !isOut(prefix))),
    around: unique(excluded.filter((prefix) => allowed.some((one) => isInside(prefix, one)))),
  };
}

/** What may leave around the tunnel by rule or by name. */
export function excludedBy(
  rules: readonly SplitRule[],
  learned: { readonly exclude: readonly Prefix[] },
): readonly Prefix[] {
  return [...prefixesOf(rules, 'exclude'), ...learned.exclude];
}

/** What goes through the tunnel where only some does. */
export function includedBy(
  rules: readonly SplitRule[],
  learned: { readonly include: readonly Prefix[] },
): readonly Prefix[] {
  return [...prefixesOf(rules, 'include'), ...learned.include];
}

function unique(prefixes: readonly Prefix[]): readonly PrefixText[] {
  return [...new Set(prefixes.map(formatPrefix))];
}

function prefixesOf(rules: readonly SplitRule[], mode: 'include' | 'exclude'): readonly Prefix[] {
  return rules.flatMap((rule) => (rule.kind === 'ip' && rule.mode === mode ? [rule.prefix] : []));
}
