/**
 * Everything that makes a whole-device tunnel less than whole, as one value: the list of rules, addresses learned for
 * its names, the network around us, programs that go outside. Firewall and routes are computed from it. Pure.
 */

import type { Prefix } from '../../shared/core/base/ip.ts';
import type { LocalNetwork } from './local-networks.ts';
import type { SplitRule } from './rules.ts';

export interface SplitView {
  readonly rules: readonly SplitRule[];
  /** Addresses of names that rules are about. */
  readonly learned: { readonly include: readonly Prefix[]; readonly exclude: readonly Prefix[] };
  /** Reached directly where `lanOpen`, and by nobody otherwise. */
  readonly local: readonly LocalNetwork[];
  readonly lanOpen: boolean;
  /** Folder in the cgroup v2 tree whose programs go outside; undefined: none do. */
  readonly outsideGroup: string | undefined;
}

/** Nothing goes around the tunnel. */
export const noSplit: SplitView = {
  rules: [],
  learned: { include: [], exclude: [] },
  local: [],
  lanOpen: false,
  outsideGroup: undefined,
};
