/**
 * Makes the kernel forward packets: which settings below /proc/sys must change, decided by a pure
 * function that asks through a bag of functions, and the applier that journals each before writing it.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import type { HostChange, HostJournal } from './journal.ts';

export interface KernelSettings {
  /** The value below /proc/sys, trimmed. Undefined where there is no such setting. */
  read(path: string): string | undefined;
  write(path: string, value: string): void;
  /** Names of the interfaces that have IPv6 settings. */
  ipv6Interfaces(): readonly string[];
}

export interface Families {
  readonly v4: boolean;
  readonly v6: boolean;
}

type SysctlChange = HostChange & { readonly kind: 'sysctl' };

const forwardV4 = 'net/ipv4/ip_forward';
const forwardV6 = 'net/ipv6/conf/all/forwarding';

/** What must change, in the order in which it must change. Empty where this host forwards already. */
export function planForwarding(families: Families, settings: KernelSettings): readonly SysctlChange[] {
  const changes: SysctlChange[] = [];
  const want = (path: string, after: string): void => {
    const before = settings.read(path);
    if (before !== undefined && before !== after) changes.push({ kind: 'sysctl', path, before, after });
  };
  if (families.v4) want(forwardV4, '1');
  if (families.v6 && settings.read(forwardV6) === '0') {
    // A host that forwards stops listening to routers where accept_ra is 1, and would lose its own
    // IPv6 default route; 2 means: listen all the same.
    for (const name of settings.ipv6Interfaces()) {
      const path = `net/ipv6/conf/${name}/accept_ra`;
      if (settings.read(path) === '1') want(path, '2');
    }
    want(forwardV6, '1');
  }
  return changes;
}

/** Journals and makes each change. A setting that cannot be written is an error with its remedy. */
export function applyForwarding(
  changes: readonly SysctlChange[],
  journal: HostJournal,
  settings: KernelSettings,
): void {
  for (const change of changes) {
    journal.record(change);
    try {
      settings.write(change.path, change.after);
    } catch (cause) {
      const name = change.path.replaceAll('/', '.');
      throw new CulvertError('not-root', {
        text: `The kernel setting ${name} cannot be changed here.`,
        remedy: `Set it where this host or container is configured: sysctl -w ${name}=${change.after}`,
        cause,
      });
    }
  }
}
