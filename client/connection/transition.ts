/**
 * The connection's decisions: (state, event, now) → [state, effects], one function per state
 * (house.md 2.8, product.md §4). Pure: nothing is done here. Rules that no change may break: from
 * leaving `off` until the user asks for `off` no effect opens the firewall, and `connected` needs a
 * handshake and a packet back.
 */

import { unreachable } from '../../shared/core/base/assert.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { Effect } from './effect.ts';
import type { ConnectionEvent } from './event.ts';
import {
  blockingFailed,
  connectingFirewall,
  type EffectFailed,
  fail,
  fresh,
  leave,
  leaveOff,
  leavingFailed,
  probeTimer,
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
  Later,
  Off,
  PeerEndpoint,
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
    case 'enrolling':
    case 'dns':
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
      return leaveOff(event.edge, now);
    case 'disconnect':
      return [{ kind: 'off' }, [{ kind: 'remember-wish', on: false }]];
    case 'found-closed':
      return [{ kind: 'blocked', failures: 0, problem: event.problem, unprotected: false }, []];
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
      return event.edge === state.edge ? stay(state) : startOver(event.edge, now);
    case 'reconnect':
      return startOver(event.edge, now);
    case 'disconnect':
      return leave(state.edge);
    case 'resolved':
      return state.phase === 'resolving' ? prepare(state, event.endpoints, now) : stay(state);
    case 'tunnel-started':
      return state.phase === 'preparing' ? [state, [{ kind: 'set-routes', edge: state.edge }]] : stay(state);
    case 'routes-set':
      return state.phase === 'preparing' ? advance(state, now) : stay(state);
    case 'handshake':
      return learn({ ...state, handshaked: true }, now);
    case 'confirmed':
      return learn({ ...state, handshaked: true, confirmed: true }, now);
    case 'gave-up':
      return gaveUp(state, now);
    case 'roamed':
      return [{ ...state, endpoints: event.endpoints }, [connectingFirewall(state.edge, event.endpoints)]];
    case 'tunnel-ended':
      return fail(state.edge, event.problem, state.failures, now);
    case 'effect-failed':
      return connectingFailed(state, event, now);
    case 'tick':
      return probeAgain(state, now);
    case 'expired':
    case 'host-restored':
    case 'found-closed':
      return stay(state);
    default:
      return unreachable(event);
  }
}

function fromConnected(state: Connected, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
      return event.edge === state.edge ? stay(state) : startOver(event.edge, now);
    case 'reconnect':
      return startOver(event.edge, now);
    case 'disconnect':
      return leave(state.edge);
    case 'gave-up': {
      const { edge, endpoints } = state;
      const lost: Connecting = {
        ...fresh(edge, now),
        phase: 'handshaking',
        endpoints,
        trouble: 'handshake-timeout',
      };
      return [lost, [connectingFirewall(edge, endpoints), { kind: 'send-probe' }, probeTimer(now)]];
    }
    case 'roamed': {
      const { endpoints } = event;
      return [
        { ...state, endpoints },
        [{ ...connectingFirewall(state.edge, endpoints), policy: 'connected' }],
      ];
    }
    case 'tunnel-ended':
      return fail(state.edge, event.problem, 0, now);
    case 'effect-failed':
      return event.effect === 'set-firewall' ? fail(state.edge, event.problem, 0, now) : stay(state);
    default:
      // A session that expired while nobody sent anything is no loss: the next packet makes a new one.
      return stay(state);
  }
}

function fromWaiting(state: Waiting, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
    case 'reconnect':
      return startOver(event.edge, now);
    case 'disconnect':
      return leave(state.edge);
    case 'tick':
      return now < state.retryAt ? notYet(state, state.retryAt) : startOver(state.edge, now, state.failures);
    case 'effect-failed':
      return fail(state.edge, event.problem, state.failures, now);
    default:
      return stay(state);
  }
}

function fromBlocked(state: Blocked, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
    case 'reconnect':
      return startOver(event.edge, now);
    case 'disconnect':
      return leave(state.edge);
    case 'tick':
      if (state.edge === undefined || state.retryAt === undefined) return stay(state);
      if (now < state.retryAt) return notYet(state, state.retryAt);
      return startOver(state.edge, now, state.failures);
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
      return [{ ...state, next: event.edge }, []];
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
  return event.kind === 'disconnect' ? leave() : stay(state);
}

function prepare(state: Connecting, endpoints: readonly PeerEndpoint[], now: MonoMs): Step {
  const { edge } = state;
  return [
    { ...state, phase: 'preparing', phaseSince: now, endpoints, closed: true },
    [connectingFirewall(edge, endpoints), { kind: 'start-tunnel', edge, endpoints }],
  ];
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
  const { edge, endpoints } = state;
  if (state.confirmed) {
    const firewall: Effect = { ...connectingFirewall(edge, endpoints), policy: 'connected' };
    return [{ kind: 'connected', edge, endpoints, provenAt: now }, [firewall, { kind: 'clear-timer' }]];
  }
  const phase = state.handshaked ? 'proving' : 'handshaking';
  if (phase === state.phase) return stay(state);
  const { trouble: _, ...untroubled } = state;
  return [{ ...untroubled, phase, phaseSince: now }, [{ kind: 'send-probe' }, probeTimer(now)]];
}

/** Nothing came yet: say so where it takes long, and ask again. */
function probeAgain(state: Connecting, now: MonoMs): Step {
  const waitedMs = now - state.phaseSince;
  switch (state.phase) {
    case 'resolving':
    case 'preparing':
      return stay(state);
    case 'handshaking': {
      const late = waitedMs >= handshakeTimeoutMs;
      const next: Connecting = late ? { ...state, trouble: 'handshake-timeout' } : state;
      return [next, [{ kind: 'send-probe' }, probeTimer(now)]];
    }
    case 'proving': {
      const next: Connecting = waitedMs >= replyTimeoutMs ? { ...state, trouble: 'no-reply' } : state;
      return [next, [{ kind: 'send-probe' }, probeTimer(now)]];
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
    [{ kind: 'send-probe' }, probeTimer(now)],
  ];
}

function connectingFailed(state: Connecting, event: EffectFailed, now: MonoMs): Step {
  const { edge, failures } = state;
  const { effect, problem } = event;
  if (effect === 'send-probe') return stay(state);
  if (effect === 'resolve') {
    const next = oneMoreFailure(failures);
    const at = retryAt(now, next);
    return [
      { kind: 'waiting', edge, retryAt: at, failures: next, problem },
      [
        { kind: 'set-firewall', policy: 'blocked', edge, endpoints: [], resolving: false },
        { kind: 'set-timer', at },
      ],
    ];
  }
  if (!state.closed) return turnBack(problem);
  return fail(edge, problem, failures, now);
}
