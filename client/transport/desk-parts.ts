/** What the desk of transports is given: the state, the tunnel, what is known of edge and network. */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { ConnectionEvent } from '../connection/event.ts';
import type { ConnectionState, PeerEndpoint, Reach } from '../connection/state.ts';
import type { EdgeWays, TransportChoice } from './edge-ways.ts';
import type { NetworkMemory } from './network-memory.ts';
import type { RaceStep } from './race.ts';
import type { RelayPlan, TlsRelay } from './tls-relay.ts';

/** The tunnel, as far as it can be told where to ask. */
export interface RacedTunnel {
  status(): Promise<{ readonly listenPort: number } | undefined>;
  renew(endpoints: readonly PeerEndpoint[]): Promise<void>;
  alsoTo(places: readonly Endpoint[], ask: boolean): Promise<void>;
}

export interface TransportDeskOptions {
  readonly state: () => ConnectionState;
  readonly send: (event: ConnectionEvent) => void;
  readonly tunnelOf: (reach: Reach) => RacedTunnel;
  /** Undefined where the edge has but the one place in its file. */
  readonly waysOf: (edge: string) => EdgeWays | undefined;
  readonly choice: () => TransportChoice;
  readonly memory: Pick<NetworkMemory, 'recall' | 'remember'>;
  /** Where we are; see NetworkWatch. */
  readonly network: () => string;
  /** Firewall mark of our own connections. */
  readonly markOf: (reach: Reach) => number;
  readonly openRelay: (plan: RelayPlan, signal: AbortSignal, onEnd: () => void) => Promise<TlsRelay>;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** Default: setTimeout. Returns what ends it. */
  readonly schedule?: (work: () => void, delayMs: number) => () => void;
}

/** The ways to an edge, while they are tried. */
export interface Race {
  readonly edge: string;
  readonly reach: Reach;
  readonly ways: EdgeWays;
  readonly steps: readonly RaceStep[];
  readonly since: MonoMs;
  next: number;
  cancel: () => void;
}

/** Why UDP was left although it answers. */
export type UdpFault = 'large-lost' | 'slow';

/** The usual `schedule`. */
export function afterDelay(work: () => void, delayMs: number): () => void {
  const timer = setTimeout(work, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}

/** The tunnel ended meanwhile: the state says so. */
export function ignored(log: Log): (error: unknown) => void {
  return (error) => log.debug('the tunnel was not told', { why: String(error) });
}
