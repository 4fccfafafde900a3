/**
 * What of a split tunnel the firewall lets around it in each state: rules and programs in `connected` alone, the local
 * network, where the user opened it, in all of them. Pure.
 */

import { formatPrefix, parsePrefix } from '../../../shared/core/base/ip.ts';
import type { PrefixText } from '../../../shared/core/tunnel/config.ts';
import { excludedBy, includedBy } from '../../split/effective.ts';
import type { LocalNetwork } from '../../split/local-networks.ts';
import { overlaps } from '../../split/prefix-set.ts';
import { isIncludeOnly } from '../../split/rules.ts';
import type { SplitView } from '../../split/view.ts';
import type { FirewallPolicy, ProtectedScope } from './policy.ts';

export interface Openings {
  /** What may not leave outside the tunnel. */
  readonly scope: ProtectedScope;
  /** Goes around the tunnel. */
  readonly around: readonly PrefixText[];
  readonly lan: readonly LocalNetwork[];
  /** Folder of programs that go around the tunnel. */
  readonly group: string | undefined;
}

export function openingsOf(policy: FirewallPolicy, split: SplitView): Openings {
  const isConnected = policy.kind === 'connected';
  return {
    scope: scopeWith(policy.scope, split),
    around: isConnected ? unique(excludedBy(split.rules, split.learned).map(formatPrefix)) : [],
    lan: split.lanOpen ? split.local : [],
    group: isConnected ? split.outsideGroup : undefined,
  };
}

/** Where only some goes through the tunnel, only that is protected; before it is up, too. */
function scopeWith(scope: ProtectedScope, { rules, learned }: SplitView): ProtectedScope {
  if (!isIncludeOnly(rules)) return scope;
  const included = includedBy(rules, learned);
  if (scope === 'everything') return unique(included.map(formatPrefix));
  const protectedPrefixes = scope.map(parsePrefix).filter((prefix) => prefix !== undefined);
  return unique(overlaps(protectedPrefixes, included).map(formatPrefix));
}

function unique(prefixes: readonly PrefixText[]): readonly PrefixText[] {
  return [...new Set(prefixes)];
}
