/**
 * The connection's decisions: (state, event, now) → [state, effects], one function per state
 * (house.md 2.8, product.md §4). Pure: nothing is done here. Rules that no change may break: from
 * leaving `off` until the user asks for `off` no effect opens the firewall or, outside `connected`, the
 * gate; and `connected` needs a handshake and a packet back.
 */

import { unreachable } from '../../shared/core/base/assert.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { ConnectionEvent } from './event.ts';
import { fromDns } from './from-dns.ts';
import {
  blockingFailed,
  type EffectFailed,
  fail,
  fresh,
  goalOf,
  hold,
  leave,
  leaveOff,
  leavingFailed,
  moveTo,
  probe,
  type Step,
  startOver,
  stay,
  turnBack,
} from './moves.ts';
import { handshakeTimeoutMs, oneMoreFailure, replyTimeoutMs, retryAt } from './reconnect.ts';
import type {
  Blocked,
  Connected,
  Connecting,
  ConnectionState,
  Disconnecting,
  Goal,
  Later,
  Off,
  PeerEndpoint,
  Problem,
  Waiting,
} from './state.ts';

/** The next state and what has to be done for it. Total: an event that means nothing changes nothing. */
export function transition(state: ConnectionState, event: ConnectionEvent, now: MonoMs): Step {
  switch (state.kind) {
    case 'off':
      return fromOff(state, event, now);
    case 'connecting':
      return fromConnecting(state, event, now);
    case 'connected':
      return fromConnected(state, event, now);
    case 'waiting':
      return fromWaiting(state, event, now);
    case 'blocked':
      return fromBlocked(state, event, now);
    case 'disconnecting':
      return fromDisconnecting(state, event, now);
    case 'dns':
      return fromDns(state, event);
    case 'enrolling':
    case 'portal':
      return fromLater(state, event);
    default:
      return unreachable(state);
  }
}

function fromOff(state: Off, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
    case 'reconnect':
      return leaveOff(goalOf(event), now);
    case 'disconnect':
      return [{ kind: 'off' }, [{ kind: 'remember-wish', on: false }]];
    case 'found-closed':
      return [
        { kind: 'blocked', reach: 'device', failures: 0, problem: event.problem, unprotected: false },
        [],
      ];
    case 'effect-failed':
      return [{ kind: 'off', problem: event.problem }, []];
    default:
      return stay(state);
  }
}

function fromConnecting(state: Connecting, event: ConnectionEvent, now: MonoMs): Step {
  // There is no tunnel yet: whatever is heard comes from the one before, and proves nothing.
  if (state.phase === 'resolving' && isFromTunnel(event)) return stay(state);
  switch (event.kind) {
    case 'connect':
      return isGoal(state, event) ? stay(state) : moveTo(state, goalOf(event), now);
    case 'reconnect':
      return moveTo(state, goalOf(event), now);
    case 'disconnect':
      return leave(state);
    case 'resolved':
      return state.phase === 'resolving' ? prepare(state, event.endpoints, now) : stay(state);
    case 'tunnel-started':
      return state.phase === 'preparing' ? started(state, now) : stay(state);
    case 'routes-set':
      return state.phase === 'preparing' ? advance(state, now) : stay(state);
    case 'handshake':
      return learn({ ...state, handshaked: true }, now);
    case 'confirmed':
      return learn(confirmedBy(state, event), now);
    case 'gave-up':
      return gaveUp(state, now);
    case 'roamed':
      return [{ ...state, endpoints: event.endpoints }, [hold('connecting', state, event.endpoints)]];
    case 'tunnel-ended':
      return fail(state, event.problem, state.failures, now);
    case 'effect-failed':
      return connectingFailed(state, event, now);
    case 'tick':
      return probeAgain(state, now);
    case 'network-news':
      return state.phase === 'handshaking' || state.phase === 'proving'
        ? [state, probe(state.reach, now)]
        : stay(state);
    case 'expired':
    case 'host-restored':
    case 'found-closed':
      return stay(state);
    case 'dns-ready':
      return state.phase === 'naming' ? earn(state, now) : stay(state);
    case 'dns-changed':
      return state.phase === 'naming' ? [state, [{ kind: 'set-dns', edge: state.edge }]] : stay(state);
    default:
      return unreachable(event);
  }
}

function fromConnected(state: Connected, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
      return isGoal(state, event) ? stay(state) : moveTo(state, goalOf(event), now);
    case 'reconnect':
      return moveTo(state, goalOf(event), now);
    case 'disconnect':
      return leave(state);
    case 'gave-up': {
      const { endpoints } = state;
      const lost: Connecting = {
        ...fresh(state, now),
        phase: 'handshaking',
        endpoints,
        trouble: 'handshake-timeout',
      };
      return [lost, [hold('connecting', state, endpoints), ...probe(state.reach, now)]];
    }
    case 'roamed': {
      const { endpoints } = event;
      return [{ ...state, endpoints }, [hold('connected', state, endpoints)]];
    }
    case 'tunnel-ended':
      return fail(state, event.problem, 0, now);
    case 'network-news':
      // The session outlives the network: one packet tells the edge where we are now.
      return [state, [{ kind: 'send-probe', reach: state.reach }]];
    case 'effect-failed':
      return connectedFailed(state, event, now);
    case 'dns-ready': {
      const { problem: _, ...well } = state;
      return state.problem === undefined ? stay(state) : [well, []];
    }
    case 'dns-changed':
      return state.reach === 'device' ? [state, [{ kind: 'set-dns', edge: state.edge }]] : stay(state);
    default:
      // A session that expired while nobody sent anything is no loss: the next packet makes a new one.
      return stay(state);
  }
}

function fromWaiting(state: Waiting, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
    case 'reconnect':
      return moveTo(state, goalOf(event), now);
    case 'disconnect':
      return leave(state);
    case 'tick':
      return now < state.retryAt ? notYet(state, state.retryAt) : startOver(state, now, state.failures);
    case 'network-news':
      return startOver(state, now);
    case 'effect-failed':
      return fail(state, event.problem, state.failures, now);
    default:
      return stay(state);
  }
}

function fromBlocked(state: Blocked, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
    case 'reconnect':
      return moveTo(state, goalOf(event), now);
    case 'disconnect':
      return leave(state);
    case 'tick':
      if (state.edge === undefined || state.retryAt === undefined) return stay(state);
      if (now < state.retryAt) return notYet(state, state.retryAt);
      return startOver({ edge: state.edge, reach: state.reach }, now, state.failures);
    case 'network-news':
      if (state.edge === undefined || state.retryAt === undefined) return stay(state);
      return startOver({ edge: state.edge, reach: state.reach }, now, state.failures);
    case 'effect-failed':
      return blockingFailed(state, event);
    default:
      return stay(state);
  }
}

function fromDisconnecting(state: Disconnecting, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
    case 'reconnect':
      return [{ ...state, next: goalOf(event) }, []];
    case 'disconnect': {
      const { next: _, ...rest } = state;
      return [rest, []];
    }
    case 'host-restored':
      if (state.next !== undefined) return leaveOff(state.next, now);
      return [state.problem === undefined ? { kind: 'off' } : { kind: 'off', problem: state.problem }, []];
    case 'effect-failed':
      return leavingFailed(state, event);
    default:
      return stay(state);
  }
}

function fromLater(state: Later, event: ConnectionEvent): Step {
  return event.kind === 'disconnect' ? leave({ reach: 'device' }) : stay(state);
}

function prepare(state: Connecting, endpoints: readonly PeerEndpoint[], now: MonoMs): Step {
  const { edge, reach } = state;
  return [
    { ...state, phase: 'preparing', phaseSince: now, endpoints, closed: true },
    [hold('connecting', state, endpoints), { kind: 'start-tunnel', reach, edge, endpoints }],
  ];
}

/** The proxy has no routes: its own stack is the tunnel's other side. */
function started(state: Connecting, now: MonoMs): Step {
  return state.reach === 'proxy' ? advance(state, now) : [state, [{ kind: 'set-routes', edge: state.edge }]];
}

function isGoal(state: Goal, goal: Goal): boolean {
  return state.edge === goal.edge && state.reach === goal.reach;
}

function confirmedBy(state: Connecting, event: Extract<ConnectionEvent, { kind: 'confirmed' }>): Connecting {
  const known: Connecting = { ...state, handshaked: true, confirmed: true };
  return event.proof === undefined ? known : { ...known, proof: event.proof };
}

/** Timers may ring a little early; without another one nobody would ever try again. */
function notYet(state: Waiting | Blocked, at: MonoMs): Step {
  return [state, [{ kind: 'set-timer', at }]];
}

function isFromTunnel(event: ConnectionEvent): boolean {
  switch (event.kind) {
    case 'handshake':
    case 'confirmed':
    case 'expired':
    case 'gave-up':
    case 'roamed':
    case 'tunnel-ended':
      return true;
    default:
      return false;
  }
}

/** A fact from the tunnel. While routes are still being made it is only noted. */
function learn(state: Connecting, now: MonoMs): Step {
  const routesStand = state.phase === 'handshaking' || state.phase === 'proving';
  return routesStand ? advance(state, now) : stay(state);
}

/** Routes stand: go as far as the facts carry. */
function advance(state: Connecting, now: MonoMs): Step {
  if (state.confirmed) return state.reach === 'device' ? name(state, now) : earn(state, now);
  const phase = state.handshaked ? 'proving' : 'handshaking';
  if (phase === state.phase) return stay(state);
  const { trouble: _, ...untroubled } = state;
  return [{ ...untroubled, phase, phaseSince: now }, probe(state.reach, now)];
}

/** The proxy looks its names up by itself; a device asks its system. */
function name(state: Connecting, now: MonoMs): Step {
  if (state.phase === 'naming') return stay(state);
  const { trouble: _, ...untroubled } = state;
  return [
    { ...untroubled, phase: 'naming', phaseSince: now },
    [{ kind: 'clear-timer' }, { kind: 'set-dns', edge: state.edge }],
  ];
}

function earn(state: Connecting, now: MonoMs, problem?: Problem): Step {
  const { reach, edge, endpoints, proof } = state;
  const connected: Connected = {
    kind: 'connected',
    reach,
    edge,
    endpoints,
    provenAt: now,
    ...(proof === undefined ? {} : { proof }),
    ...(problem === undefined ? {} : { problem }),
  };
  return [connected, [hold('connected', state, endpoints), { kind: 'clear-timer' }]];
}

/** Without the system's DNS names may fail, which must be said; nothing leaks, since only the tunnel is open. */
function connectedFailed(state: Connected, event: EffectFailed, now: MonoMs): Step {
  switch (event.effect) {
    case 'set-firewall':
    case 'set-gate':
      return fail(state, event.problem, 0, now);
    case 'set-dns':
      return [{ ...state, problem: event.problem }, []];
    default:
      return stay(state);
  }
}

/** Nothing came yet: say so where it takes long, and ask again. */
function probeAgain(state: Connecting, now: MonoMs): Step {
  const waitedMs = now - state.phaseSince;
  switch (state.phase) {
    case 'resolving':
    case 'preparing':
    case 'naming':
      return stay(state);
    case 'handshaking': {
      const late = waitedMs >= handshakeTimeoutMs;
      const next: Connecting = late ? { ...state, trouble: 'handshake-timeout' } : state;
      return [next, probe(state.reach, now)];
    }
    case 'proving': {
      const next: Connecting = waitedMs >= replyTimeoutMs ? { ...state, trouble: 'no-reply' } : state;
      return [next, probe(state.reach, now)];
    }
    default:
      return unreachable(state.phase);
  }
}

/** The device stopped trying a handshake; a probe makes it begin again. */
function gaveUp(state: Connecting, now: MonoMs): Step {
  if (state.phase === 'resolving' || state.phase === 'preparing') return stay(state);
  return [
    { ...state, phase: 'handshaking', phaseSince: now, handshaked: false, trouble: 'handshake-timeout' },
    probe(state.reach, now),
  ];
}

function connectingFailed(state: Connecting, event: EffectFailed, now: MonoMs): Step {
  const { reach, edge, failures } = state;
  const { effect, problem } = event;
  if (effect === 'send-probe') return stay(state);
  if (effect === 'set-dns' && state.phase === 'naming') return earn(state, now, problem);
  if (effect === 'resolve') {
    const next = oneMoreFailure(failures);
    const at = retryAt(now, next);
    return [
      { kind: 'waiting', reach, edge, retryAt: at, failures: next, problem },
      [hold('waiting', state), { kind: 'set-timer', at }],
    ];
  }
  if (!state.closed) return turnBack(reach, problem);
  return fail(state, problem, failures, now);
}
