/**
 * The states of the connection, and for each what the user is promised (house.md 2.8): which
 * firewall policy or gate, routes, DNS and tunnel hold while it lasts. Data, but for a
 * few questions.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import type { ErrorCode } from '../../shared/core/control/codes.ts';
import type { HealthCode } from '../../shared/core/control/health.ts';
import { type Mode, type StateName, wholeDeviceModes } from '../../shared/core/control/status.ts';

/** What went wrong, for people: an error as data. */
export interface Problem {
  readonly code: ErrorCode;
  readonly text: string;
  readonly remedy: string;
}

/**
 * What protection covers: the whole device, by firewall and routes; only the programs that use the
 * local proxy, by its gate; or only names, without a tunnel. Every state between `off` and `off` has
 * one, and keeps it.
 */
export type Reach = 'device' | 'proxy' | 'dns';

export function reachOf(mode: Mode): Reach {
  if (wholeDeviceModes.includes(mode)) return 'device';
  return mode === 'proxy' ? 'proxy' : 'dns';
}

/** Nobody can be asked: the machine sleeps until there is a network. */
export function isOffline(state: ConnectionState): boolean {
  return state.kind === 'waiting' && state.retryAt === undefined;
}

/** Nothing is to do until somebody asks or there is a network: no time of ours runs. */
export function isAsleep(state: ConnectionState): boolean {
  return (
    state.kind === 'off' || isOffline(state) || (state.kind === 'blocked' && state.retryAt === undefined)
  );
}

/** Where a goal is about no edge: private names need none. */
export const noEdge = '';

/** What a proof of the tunnel told beside itself. */
export interface Proof {
  /** One round trip to the edge and back, through the tunnel. */
  readonly rttMs?: number;
  /** Our address as others see it, where the edge told it. */
  readonly visibleAddress?: string;
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
  readonly reach: Reach;
  readonly edge: string;
  /**
   * 'naming': proven, and the system's DNS is being set, so that names work once it says connected. 'stalled': everything
   * stands as in `connected`, and the edge does not answer.
   */
  readonly phase: 'resolving' | 'preparing' | 'handshaking' | 'proving' | 'naming' | 'stalled';
  /** When this phase began. */
  readonly phaseSince: MonoMs;
  /** Empty in phase 'resolving'. */
  readonly endpoints: readonly PeerEndpoint[];
  /** Where else the edge may be reached; absent where nobody looked yet. */
  readonly choices?: readonly PeerEndpoint[];
  /** True once our firewall policy holds: from then on a failure must not open the machine. */
  readonly closed: boolean;
  /** Tries that failed in a row, for the backoff. */
  readonly failures: number;
  /** Facts that may come while the routes are still being made. */
  readonly handshaked: boolean;
  readonly confirmed: boolean;
  readonly proof?: Proof;
  /** Said while it lasts; trying goes on. */
  readonly trouble?: HealthCode;
  /** Why the try before this one failed; said until this one has come further. */
  readonly problem?: Problem;
}

/** A handshake and an authenticated packet back through the tunnel. */
export interface Connected {
  readonly kind: 'connected';
  readonly reach: Reach;
  readonly edge: string;
  readonly endpoints: readonly PeerEndpoint[];
  readonly choices?: readonly PeerEndpoint[];
  /** When it was earned. */
  readonly provenAt: MonoMs;
  readonly proof?: Proof;
  /** The system's DNS could not be set: nothing leaks, and names may fail. */
  readonly problem?: Problem;
}

/** Private names, no tunnel. */
export interface Dns {
  readonly kind: 'dns';
  readonly reach: 'dns';
  /** Names are answered. */
  readonly ready: boolean;
  readonly problem?: Problem;
}

/** Nothing can be done until `retryAt`, or until there is a network. */
export interface Waiting {
  readonly kind: 'waiting';
  readonly reach: Reach;
  readonly edge: string;
  /** Absent where only a network helps. */
  readonly retryAt?: MonoMs;
  /** The tunnel stands, with everything that belongs to it: only the network is gone. */
  readonly kept?: KeptTunnel;
  readonly failures: number;
  readonly problem: Problem;
}

/** What is needed to go on with a tunnel that stands. */
export interface KeptTunnel {
  readonly endpoints: readonly PeerEndpoint[];
  readonly choices?: readonly PeerEndpoint[];
  readonly proof?: Proof;
}

/** Failed closed. */
export interface Blocked {
  readonly kind: 'blocked';
  readonly reach: Reach;
  /** Absent where an earlier run left the machine closed and nobody said what to connect to. */
  readonly edge?: string;
  /** Absent where trying again by itself is useless. */
  readonly retryAt?: MonoMs;
  readonly failures: number;
  readonly problem: Problem;
  /** The firewall itself failed: traffic may leave. Must be said. */
  readonly unprotected: boolean;
}

/** What the user wants to be connected to, and for whom. */
export interface Goal {
  readonly edge: string;
  readonly reach: Reach;
}

export interface Disconnecting {
  readonly kind: 'disconnecting';
  readonly reach: Reach;
  /** Connect to this once everything is undone. */
  readonly next?: Goal;
  /** Why we leave, where the user did not ask for it. */
  readonly problem?: Problem;
}

/** What a sign-in needs of the network; everything else stays closed. */
export interface SignInWay {
  /** The network's own name servers: port 53 of these alone. */
  readonly servers: readonly string[];
  readonly addresses: readonly SignInAddress[];
}

/** One address that may be reached by TCP for the sign-in. */
export interface SignInAddress {
  readonly address: string;
  readonly port: number;
}

/** The network lets nothing through before somebody signs in. Of the whole device alone. */
export interface Portal {
  readonly kind: 'portal';
  readonly reach: Reach;
  readonly edge: string;
  readonly way: SignInWay;
  /** The way is open until then; absent: its time is over, and only the user opens it again. */
  readonly opensUntil?: MonoMs;
}

/** A state that later work brings; here so that every decision is already total. */
export interface Later {
  readonly kind: 'enrolling';
}

export type ConnectionState =
  | Off
  | Connecting
  | Connected
  | Dns
  | Portal
  | Waiting
  | Blocked
  | Disconnecting
  | Later;

/** The states in which firewall or gate hold traffic back or let it into the tunnel. */
export type HeldState = (Connecting | Connected | Portal | Waiting | Blocked | Disconnecting)['kind'];

export const initialState: ConnectionState = { kind: 'off' };

/** The proxy's port: not there, refusing everything, or carrying. */
export type GateKind = 'none' | 'closed' | 'open';

export type FirewallKind = 'open' | 'blocked' | 'connecting' | 'connected' | 'portal';

/** What holds while a state lasts: firewall and routes where the reach is the device, the gate where it is the proxy. */
export interface StatePromise {
  readonly firewall: FirewallKind;
  readonly gate: GateKind;
  readonly routes: 'host' | 'host-or-kept' | 'tunnel' | 'kept' | 'restoring';
  readonly tunnel: 'none' | 'handshake' | 'up' | 'kept' | 'paused' | 'closing';
}

/** The specification that the transitions are tested against. */
export const promises: Readonly<Record<StateName, StatePromise>> = {
  off: { firewall: 'open', gate: 'none', routes: 'host', tunnel: 'none' },
  enrolling: { firewall: 'connecting', gate: 'closed', routes: 'host', tunnel: 'none' },
  connecting: { firewall: 'connecting', gate: 'closed', routes: 'host-or-kept', tunnel: 'handshake' },
  connected: { firewall: 'connected', gate: 'open', routes: 'tunnel', tunnel: 'up' },
  dns: { firewall: 'open', gate: 'none', routes: 'host', tunnel: 'none' },
  portal: { firewall: 'portal', gate: 'closed', routes: 'host', tunnel: 'paused' },
  waiting: { firewall: 'blocked', gate: 'closed', routes: 'kept', tunnel: 'kept' },
  blocked: { firewall: 'blocked', gate: 'closed', routes: 'kept', tunnel: 'none' },
  disconnecting: { firewall: 'blocked', gate: 'closed', routes: 'restoring', tunnel: 'closing' },
};
