/**
 * The states of the connection, and for each what the user is promised (house.md 2.8): which
 * firewall policy, routes, DNS and tunnel hold while it lasts. Data only.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import type { ErrorCode } from '../../shared/core/control/codes.ts';
import type { HealthCode } from '../../shared/core/control/health.ts';
import type { StateName } from '../../shared/core/control/status.ts';

/** What went wrong, for people: an error as data. */
export interface Problem {
  readonly code: ErrorCode;
  readonly text: string;
  readonly remedy: string;
}

/** Where one peer of an edge's file is, numeric. `peer` is its place in the file. */
export interface PeerEndpoint {
  readonly peer: number;
  readonly address: string;
  readonly port: number;
}

export interface Off {
  readonly kind: 'off';
  /** Why it is off, where the user did not ask for it. */
  readonly problem?: Problem;
}

/** On the way to `connected`. Phases follow each other in this order. */
export interface Connecting {
  readonly kind: 'connecting';
  readonly edge: string;
  readonly phase: 'resolving' | 'preparing' | 'handshaking' | 'proving';
  /** When this phase began. */
  readonly phaseSince: MonoMs;
  /** Empty in phase 'resolving'. */
  readonly endpoints: readonly PeerEndpoint[];
  /** True once our firewall policy holds: from then on a failure must not open the machine. */
  readonly closed: boolean;
  /** Tries that failed in a row, for the backoff. */
  readonly failures: number;
  /** Facts that may come while the routes are still being made. */
  readonly handshaked: boolean;
  readonly confirmed: boolean;
  /** Said while it lasts; trying goes on. */
  readonly trouble?: HealthCode;
}

/** A handshake and an authenticated packet back through the tunnel. */
export interface Connected {
  readonly kind: 'connected';
  readonly edge: string;
  readonly endpoints: readonly PeerEndpoint[];
  /** When it was earned. */
  readonly provenAt: MonoMs;
}

/** Nothing can be done until `retryAt`. */
export interface Waiting {
  readonly kind: 'waiting';
  readonly edge: string;
  readonly retryAt: MonoMs;
  readonly failures: number;
  readonly problem: Problem;
}

/** Failed closed. */
export interface Blocked {
  readonly kind: 'blocked';
  /** Absent where an earlier run left the machine closed and nobody said what to connect to. */
  readonly edge?: string;
  /** Absent where trying again by itself is useless. */
  readonly retryAt?: MonoMs;
  readonly failures: number;
  readonly problem: Problem;
  /** The firewall itself failed: traffic may leave. Must be said. */
  readonly unprotected: boolean;
}

export interface Disconnecting {
  readonly kind: 'disconnecting';
  /** Connect to this edge once everything is undone. */
  readonly next?: string;
  /** Why we leave, where the user did not ask for it. */
  readonly problem?: Problem;
}

/** States that later work brings; here so that every decision is already total. */
export interface Later {
  readonly kind: 'enrolling' | 'dns' | 'portal';
}

export type ConnectionState = Off | Connecting | Connected | Waiting | Blocked | Disconnecting | Later;

export const initialState: ConnectionState = { kind: 'off' };

export type FirewallKind = 'open' | 'blocked' | 'connecting' | 'connected' | 'portal';

/** What holds while a state lasts. */
export interface StatePromise {
  readonly firewall: FirewallKind;
  readonly routes: 'host' | 'host-or-kept' | 'tunnel' | 'kept' | 'restoring';
  readonly tunnel: 'none' | 'handshake' | 'up' | 'kept' | 'paused' | 'closing';
}

/** The specification that the transitions are tested against. */
export const promises: Readonly<Record<StateName, StatePromise>> = {
  off: { firewall: 'open', routes: 'host', tunnel: 'none' },
  enrolling: { firewall: 'connecting', routes: 'host', tunnel: 'none' },
  connecting: { firewall: 'connecting', routes: 'host-or-kept', tunnel: 'handshake' },
  connected: { firewall: 'connected', routes: 'tunnel', tunnel: 'up' },
  dns: { firewall: 'open', routes: 'host', tunnel: 'none' },
  portal: { firewall: 'portal', routes: 'host', tunnel: 'paused' },
  waiting: { firewall: 'blocked', routes: 'kept', tunnel: 'kept' },
  blocked: { firewall: 'blocked', routes: 'kept', tunnel: 'none' },
  disconnecting: { firewall: 'blocked', routes: 'restoring', tunnel: 'closing' },
};
