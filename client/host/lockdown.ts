/**
 * Lockdown: while culvert is off nothing leaves this machine either. Undoing then ends with everything blocked instead of
 * open, without a moment between. Not the kill switch, which holds while culvert is on.
 */

import type { HostPort } from '../driver/ports.ts';
import type { FirewallPolicy } from './firewall/policy.ts';
import { tunnelMark } from './routes/plan.ts';

export interface LockdownOptions {
  readonly isOn: () => boolean;
  readonly interfaceName: () => string;
  readonly firewall: { apply(policy: FirewallPolicy): Promise<void> };
  /** Undoes all; with `keepFirewall` all but the firewall. */
  readonly undo: (keepFirewall: boolean) => Promise<void>;
  /** Removes the firewall alone. */
  readonly open: () => Promise<void>;
}

export function lockedHost({ isOn, interfaceName, firewall, undo, open }: LockdownOptions): HostPort {
  return {
    async open() {
      if (isOn()) await open();
    },
    async restore() {
      const locked = isOn();
      if (locked) await firewall.apply(lockedPolicy(interfaceName()));
      await undo(locked);
    },
  };
}

/** Loopback, DHCP and neighbours, as while an edge is waited for. */
function lockedPolicy(interfaceName: string): FirewallPolicy {
  return {
    kind: 'blocked',
    interfaceName,
    mark: tunnelMark,
    endpoints: [],
    nameServers: [],
    addresses: [],
    scope: 'everything',
  };
}
