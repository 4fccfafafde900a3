/**
 * The moves that several states share: leaving `off`, starting over, failing closed, leaving. Pure.
 * Each is a state and the effects that make it true, in the order that keeps the machine closed.
 */

import { after, type MonoMs } from '../../shared/core/base/time.ts';
import type { Effect } from './effect.ts';
import type { ConnectionEvent } from './event.ts';
import { isPermanent, oneMoreFailure, probeEveryMs, retryAt } from './reconnect.ts';
import type { Blocked, Connecting, ConnectionState, Disconnecting, PeerEndpoint, Problem } from './state.ts';

export type Step = readonly [state: ConnectionState, effects: readonly Effect[]];
export type EffectFailed = Extract<ConnectionEvent, { kind: 'effect-failed' }>;
export type SetFirewall = Extract<Effect, { kind: 'set-firewall' }>;

export function stay(state: ConnectionState): Step {
  return [state, []];
}

/** The first step from an open machine: close it, then look for the edge. */
export function leaveOff(edge: string, now: MonoMs): Step {
  return [
    { ...fresh(edge, now), closed: false },
    [
      { kind: 'cancel-pending' },
      { kind: 'remember-wish', on: true, edge },
      { ...connectingFirewall(edge, []), resolving: true },
      { kind: 'resolve', edge },
    ],
  ];
}

/** From a closed machine: a new tunnel, without opening anything. */
export function startOver(edge: string, now: MonoMs, failures = 0): Step {
  return [
    { ...fresh(edge, now), failures },
    [
      { kind: 'cancel-pending' },
      { kind: 'clear-timer' },
      { kind: 'remember-wish', on: true, edge },
      { ...connectingFirewall(edge, []), resolving: true },
      { kind: 'stop-tunnel' },
      { kind: 'resolve', edge },
    ],
  ];
}

/** Leaving `off` failed before anything was closed: `off` is the truth, with the reason. */
export function turnBack(problem: Problem): Step {
  return [
    { kind: 'disconnecting', problem },
    [
      { kind: 'cancel-pending' },
      { kind: 'clear-timer' },
      { kind: 'remember-wish', on: false },
      { kind: 'restore-host' },
    ],
  ];
}

export function fail(edge: string, problem: Problem, failures: number, now: MonoMs): Step {
  const next = oneMoreFailure(failures);
  const blocked: Blocked = { kind: 'blocked', edge, failures: next, problem, unprotected: false };
  const effects: readonly Effect[] = [
    { kind: 'cancel-pending' },
    { kind: 'clear-timer' },
    { kind: 'set-firewall', policy: 'blocked', edge, endpoints: [], resolving: false },
    { kind: 'stop-tunnel' },
  ];
  if (isPermanent(problem.code)) return [blocked, effects];
  const at = retryAt(now, next);
  return [{ ...blocked, retryAt: at }, [...effects, { kind: 'set-timer', at }]];
}

/** What stood after the failed effect was dropped, so the rest of `fail` is asked for again. */
export function blockingFailed(state: Blocked, event: EffectFailed): Step {
  const timer: readonly Effect[] =
    state.retryAt === undefined ? [] : [{ kind: 'set-timer', at: state.retryAt }];
  switch (event.effect) {
    case 'set-firewall':
      return [{ ...state, unprotected: true }, [{ kind: 'stop-tunnel' }, ...timer]];
    case 'stop-tunnel':
      return [state, timer];
    default:
      return stay(state);
  }
}

/** The user asked for `off`: closed until everything is undone. */
export function leave(edge?: string): Step {
  const closed: Effect = { kind: 'set-firewall', policy: 'blocked', endpoints: [], resolving: false };
  return [
    { kind: 'disconnecting' },
    [
      { kind: 'cancel-pending' },
      { kind: 'clear-timer' },
      { kind: 'remember-wish', on: false },
      edge === undefined ? closed : { ...closed, edge },
      { kind: 'stop-tunnel' },
      { kind: 'restore-host' },
    ],
  ];
}

/** The user wants out: a failed step must not keep the others from being done. */
export function leavingFailed(state: Disconnecting, event: EffectFailed): Step {
  const { problem } = event;
  const next: Disconnecting = { ...state, problem };
  switch (event.effect) {
    case 'remember-wish':
    case 'set-firewall':
      return [next, [{ kind: 'stop-tunnel' }, { kind: 'restore-host' }]];
    case 'stop-tunnel':
      return [next, [{ kind: 'restore-host' }]];
    case 'restore-host':
      return [{ kind: 'blocked', failures: 0, problem, unprotected: false }, []];
    default:
      return stay(state);
  }
}

export function fresh(edge: string, now: MonoMs): Connecting {
  return {
    kind: 'connecting',
    edge,
    phase: 'resolving',
    phaseSince: now,
    endpoints: [],
    closed: true,
    failures: 0,
    handshaked: false,
    confirmed: false,
  };
}

export function connectingFirewall(edge: string, endpoints: readonly PeerEndpoint[]): SetFirewall {
  return { kind: 'set-firewall', policy: 'connecting', edge, endpoints, resolving: false };
}

export function probeTimer(now: MonoMs): Effect {
  return { kind: 'set-timer', at: after(now, probeEveryMs) };
}
