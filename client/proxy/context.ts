/** What every part of the proxy is given by its server. Interfaces only. */

import type { Log } from '../../shared/core/base/ports.ts';
import type { Waits } from '../../shared/node/flows/wait-queue.ts';
import type { Credentials } from './access.ts';
import type { ProxyCounters } from './counters.ts';
import type { Dialer } from './dialer.ts';
import type { ProxyLimits } from './limits.ts';

/**
 * Closed: every request is refused at once, with `reason` where the protocol has room for a sentence. What is being
 * carried is cut; with `keeps` it waits for the tunnel.
 */
export type Gate =
  | { readonly kind: 'open' }
  | { readonly kind: 'closed'; readonly reason: string; readonly keeps?: true };

export interface ProxyContext {
  readonly dialer: Dialer;
  readonly limits: ProxyLimits;
  readonly credentials: Credentials | undefined;
  readonly counters: ProxyCounters;
  readonly log: Log;
  /** Deadlines of connections. */
  readonly waits: Waits;
  readonly gate: () => Gate;
  /** The port that we listen on; 0 before. */
  readonly ownPort: () => number;
  /** Counts the sweeps for idle connections: a clock that costs nothing to read. */
  readonly sweeps: () => number;
}
