// Statuses as a daemon would state them, for tests of what is made of them.
import type { StateName, Status } from '../../shared/core/control/status.ts';

export function statusOf(state: StateName, more: Partial<Status> = {}): Status {
  return {
    state,
    mode: 'tunnel+doh',
    since: '2026-11-20T12:00:00Z',
    addresses: [],
    traffic: { rxBytes: 0, txBytes: 0 },
    health: [],
    version: '0.1.0',
    ...more,
  };
}
