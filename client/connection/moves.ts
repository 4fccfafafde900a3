/**
 * The moves that several states share: leaving `off`, starting over, failing closed, leaving. Pure.
 * Each is a state and the effects that make it true, in the order that keeps the machine closed.
 */

import { after, type MonoMs } from '../../shared/core/base/time.ts';
import type { Effect } from './effect.ts';
import type { ConnectionEvent } from './event.ts';
import { isPermanent, oneMoreFailure, probeEveryMs, retryAt } from './reconnect.ts';
import {
  type Blocked,
  type Connecting,
  type ConnectionState,
  type Disconnecting,
  type Goal,
  type HeldState,
  noEdge,
  type PeerEndpoint,
  type Problem,
  type Reach,
  type Waiting,
} from './state.ts';

export type Step = readonly [state: ConnectionState, effects: readonly Effect[]];
export type EffectFailed = Extract<ConnectionEvent, { kind: 'effect-failed' }>;

/** What a state that is about an edge knows. */
interface Holding {
  readonly reach: Reach;
  readonly edge?: string;
}

/** Of a command, or of a state that is about an edge. */
export function goalOf({ edge, reach }: Goal): Goal {
  return { edge, reach };
}

export function isGoal(state: Goal, goal: Goal): boolean {
  return state.edge === goal.edge && state.reach === goal.reach;
}

export function stay(state: ConnectionState): Step {
  return [state, []];
}

/** The first step from an open machine: close it, then look for the edge. */
export function leaveOff(goal: Goal, now: MonoMs): Step {
  if (goal.reach === 'dns') return startDns();
  return [
    { ...fresh(goal, now), closed: false },
    [
      { kind: 'cancel-pending' },
      { kind: 'remember-wish', on: true, edge: goal.edge },
      ...releaseDns(goal),
      holdWhileResolving(goal),
      ...findEdge(goal),
    ],
  ];
}

/** From a closed machine: a new tunnel, without opening anything. */
export function startOver(goal: Goal, now: MonoMs, failures = 0): Step {
  return [
    { ...fresh(goal, now), failures },
    [
      { kind: 'cancel-pending' },
      { kind: 'clear-timer' },
      { kind: 'remember-wish', on: true, edge: goal.edge },
      ...releaseDns(goal),
      holdWhileResolving(goal),
      { kind: 'stop-tunnel', reach: goal.reach },
      ...findEdge(goal),
    ],
  ];
}

/** To an edge that answered a moment ago: nothing is looked up, and names are answered as before until it carries them. */
export function swap(goal: Goal, endpoints: readonly PeerEndpoint[], now: MonoMs): Step {
  const { edge, reach } = goal;
  const next: Connecting = { ...fresh(goal, now), phase: 'preparing', endpoints };
  return [
    next,
    [
      { kind: 'cancel-pending' },
      { kind: 'clear-timer' },
      { kind: 'remember-wish', on: true, edge },
      hold('connecting', goal, endpoints),
      { kind: 'stop-tunnel', reach, keeps: true },
      ...(reach === 'proxy' ? [{ kind: 'open-port', edge } as const] : []),
      { kind: 'start-tunnel', reach, edge, endpoints },
    ],
  ];
}

/** After a failure, by ourselves: who looks meanwhile still reads why. */
export function tryAgain(goal: Goal, last: Pick<Waiting, 'failures' | 'problem'>, now: MonoMs): Step {
  const [state, effects] = startOver(goalOf(goal), now, last.failures);
  return [state.kind === 'connecting' ? { ...state, problem: last.problem } : state, effects];
}

/** `connect` or `reconnect` in a closed state: over in the same reach, or all the way out and into the other. */
export function moveTo(state: Holding, goal: Goal, now: MonoMs): Step {
  return state.reach === goal.reach ? startOver(goal, now) : leave(state, goal);
}

/** `reconnect` while a tunnel stands or is being made. */
export function reconnect(
  state: Holding,
  event: Extract<ConnectionEvent, { kind: 'reconnect' }>,
  now: MonoMs,
): Step {
  const goal = goalOf(event);
  const { endpoints } = event;
  const isSwap = endpoints !== undefined && state.reach === goal.reach && goal.reach !== 'dns';
  return isSwap ? swap(goal, endpoints, now) : moveTo(state, goal, now);
}

/** Private names: nothing is closed before they are answered, so failing is turning back. */
export function startDns(): Step {
  return [
    { kind: 'dns', reach: 'dns', ready: false },
    [
      { kind: 'cancel-pending' },
      { kind: 'clear-timer' },
      { kind: 'remember-wish', on: true, edge: noEdge },
      { kind: 'set-dns' },
    ],
  ];
}

/** Leaving `off` failed before anything was closed: `off` is the truth, with the reason. */
export function turnBack(reach: Reach, problem: Problem): Step {
  return [
    { kind: 'disconnecting', reach, problem },
    [
      { kind: 'cancel-pending' },
      { kind: 'clear-timer' },
      { kind: 'remember-wish', on: false },
      { kind: 'restore-host' },
    ],
  ];
}

export function fail(goal: Goal, problem: Problem, failures: number, now: MonoMs): Step {
  const { edge, reach } = goal;
  const next = oneMoreFailure(failures);
  const blocked: Blocked = { kind: 'blocked', reach, edge, failures: next, problem, unprotected: false };
  const effects: readonly Effect[] = [
    { kind: 'cancel-pending' },
    { kind: 'clear-timer' },
    hold('blocked', goal),
    { kind: 'stop-tunnel', reach },
  ];
  if (isPermanent(problem.code)) return [blocked, effects];
  const at = retryAt(now, next);
  return [{ ...blocked, retryAt: at }, [...effects, { kind: 'set-timer', at }]];
}

/** What stood after the failed effect was dropped, so the rest of `fail` is asked for again. */
export function blockingFailed(state: Blocked, event: EffectFailed): Step {
  const timer: readonly Effect[] =
    state.retryAt === undefined ? [] : [{ kind: 'set-timer', at: state.retryAt }];
  const stop: Effect = { kind: 'stop-tunnel', reach: state.reach };
  switch (event.effect) {
    case 'set-firewall':
      return [{ ...state, unprotected: true }, [stop, ...timer]];
    case 'set-gate':
      // Nothing can leave by a gate whose tunnel is stopped.
      return [state, [stop, ...timer]];
    case 'stop-tunnel':
      return [state, timer];
    default:
      return stay(state);
  }
}

/** Off, until whoever asked for it sends `connect`: what the user wants is kept. */
export function rest(state: Holding): Step {
  const [next, effects] = leave(state);
  return [next, effects.filter((effect) => effect.kind !== 'remember-wish')];
}

/** The user asked for `off`, or for the other reach: closed until everything is undone. */
export function leave(state: Holding, next?: Goal): Step {
  const { reach } = state;
  return [
    next === undefined ? { kind: 'disconnecting', reach } : { kind: 'disconnecting', reach, next },
    [
      { kind: 'cancel-pending' },
      { kind: 'clear-timer' },
      next === undefined
        ? { kind: 'remember-wish', on: false }
        : { kind: 'remember-wish', on: true, edge: next.edge },
      ...(reach === 'dns' ? [] : letGo(state)),
      { kind: 'restore-host' },
    ],
  ];
}

function letGo(state: Holding): readonly Effect[] {
  return [hold('disconnecting', state), { kind: 'stop-tunnel', reach: state.reach }];
}

/** The user wants out: a failed step must not keep the others from being done. */
export function leavingFailed(state: Disconnecting, event: EffectFailed): Step {
  const { problem } = event;
  const { reach } = state;
  const next: Disconnecting = { ...state, problem };
  switch (event.effect) {
    case 'remember-wish':
    case 'set-firewall':
    case 'set-gate':
      return [next, [{ kind: 'stop-tunnel', reach }, { kind: 'restore-host' }]];
    case 'stop-tunnel':
      return [next, [{ kind: 'restore-host' }]];
    case 'restore-host':
      return [{ kind: 'blocked', reach, failures: 0, problem, unprotected: false }, []];
    default:
      return stay(state);
  }
}

export function fresh(goal: Goal, now: MonoMs): Connecting {
  return {
    kind: 'connecting',
    reach: goal.reach,
    edge: goal.edge,
    phase: 'resolving',
    phaseSince: now,
    endpoints: [],
    closed: true,
    failures: 0,
    handshaked: false,
    confirmed: false,
  };
}

const policies = {
  connecting: 'connecting',
  connected: 'connected',
  portal: 'portal',
  waiting: 'blocked',
  blocked: 'blocked',
  disconnecting: 'blocked',
} as const satisfies Record<HeldState, string>;

/** What keeps traffic in while `state` lasts: the firewall of the device, or the gate of the proxy. */
export function hold(
  state: HeldState,
  { reach, edge }: Holding,
  endpoints: readonly PeerEndpoint[] = [],
): Effect {
  if (reach === 'proxy') return { kind: 'set-gate', state };
  const firewall = { kind: 'set-firewall', policy: policies[state], endpoints, resolving: false } as const;
  return edge === undefined ? firewall : { ...firewall, edge };
}

/** Our stub cannot answer before there is a tunnel, and the firewall lets through the servers that the system names. */
function releaseDns(goal: Goal): readonly Effect[] {
  return goal.reach === 'device' ? [{ kind: 'release-dns' }] : [];
}

function holdWhileResolving(goal: Goal): Effect {
  const effect = hold('connecting', goal);
  return effect.kind === 'set-firewall' ? { ...effect, resolving: true } : effect;
}

function findEdge({ edge, reach }: Goal): readonly Effect[] {
  const resolve: Effect = { kind: 'resolve', edge };
  return reach === 'proxy' ? [{ kind: 'open-port', edge }, resolve] : [resolve];
}

export function probe(reach: Reach, now: MonoMs): readonly Effect[] {
  return [
    { kind: 'send-probe', reach },
    { kind: 'set-timer', at: after(now, probeEveryMs) },
  ];
}
