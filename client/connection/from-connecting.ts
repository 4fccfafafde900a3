/**
 * What the connection decides in state `connecting`: from looking for the edge to a proven tunnel, and back to it where
 * a tunnel stalled. Pure; a part of transition.ts.
 */

import { unreachable } from '../../shared/core/base/assert.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { Effect } from './effect.ts';
import type { ConnectionEvent } from './event.ts';
import { enterPortal } from './from-portal.ts';
import {
  type EffectFailed,
  fail,
  goalOf,
  hold,
  isGoal,
  leave,
  moveTo,
  probe,
  reconnect,
  rest,
  type Step,
  stay,
  turnBack,
} from './moves.ts';
import { handshakeTimeoutMs, oneMoreFailure, replyTimeoutMs, retryAt } from './reconnect.ts';
import { goOffline, placesFound, placesOf, renewal, seek, tryElsewhere } from './stalled.ts';
import type { Connected, Connecting, Problem } from './state.ts';

export function fromConnecting(state: Connecting, event: ConnectionEvent, now: MonoMs): Step {
  // There is no tunnel yet: whatever is heard comes from the one before, and proves nothing.
  if (state.phase === 'resolving' && isFromTunnel(event)) return stay(state);
  switch (event.kind) {
    case 'connect':
      return isGoal(state, event) ? stay(state) : moveTo(state, goalOf(event), now);
    case 'reconnect':
      return state.closed ? reconnect(state, event, now) : moveTo(state, goalOf(event), now);
    case 'disconnect':
      return leave(state);
    case 'rest':
      return rest(state);
    case 'resolved':
      return state.phase === 'resolving' ? prepare(state, event, now) : stay(state);
    case 'tunnel-started':
      return state.phase === 'preparing' ? started(state, now) : stay(state);
    case 'routes-set':
      return state.phase === 'preparing' ? advance(state, now) : stay(state);
    case 'handshake':
      return learn({ ...state, handshaked: true }, now);
    case 'confirmed':
      return learn(confirmedBy(state, event), now);
    case 'recovered':
      // A new session proves itself by its own first packet.
      return state.phase === 'stalled' && !state.handshaked ? earn(state, now) : stay(state);
    case 'gave-up':
      return gaveUp(state, now);
    case 'roamed': {
      const roamed: Connecting = { ...state, endpoints: event.endpoints };
      return [roamed, [holdKept(roamed)]];
    }
    case 'tunnel-ended':
      return fail(state, event.problem, state.failures, now);
    case 'effect-failed':
      return connectingFailed(state, event, now);
    case 'tick':
      return probeAgain(state, now);
    case 'network-news':
      return isTrying(state) ? askAgain(state, now) : stay(state);
    case 'network-gone':
      return isTrying(state) ? goOffline(state) : stay(state);
    case 'sought':
      return isTrying(state) ? placesFound(state, event, now) : stay(state);
    case 'portal-found':
      return state.closed ? enterPortal(state, event, now) : stay(state);
    case 'portal-passed':
    case 'open-portal':
    case 'expired':
    case 'stalled':
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

function prepare(
  state: Connecting,
  { endpoints, choices }: Extract<ConnectionEvent, { kind: 'resolved' }>,
  now: MonoMs,
): Step {
  const { edge, reach } = state;
  const { problem: _, ...untroubled } = state;
  const found: Connecting = { ...untroubled, phase: 'preparing', phaseSince: now, endpoints, closed: true };
  const next: Connecting = choices === undefined ? found : { ...found, choices };
  return [next, [hold('connecting', next, placesOf(next)), { kind: 'start-tunnel', reach, edge, endpoints }]];
}

/** The proxy has no routes: its own stack is the tunnel's other side. */
function started(state: Connecting, now: MonoMs): Step {
  return state.reach === 'proxy' ? advance(state, now) : [state, [{ kind: 'set-routes', edge: state.edge }]];
}

/** A tunnel stands and the edge is asked. */
function isTrying({ phase }: Connecting): boolean {
  return phase === 'handshaking' || phase === 'proving' || phase === 'stalled';
}

/** Another network, or awake again. */
function askAgain(state: Connecting, now: MonoMs): Step {
  return [state, [...renewal(state, now), seek(state, false)]];
}

function holdKept(state: Connecting): Effect {
  const effect = hold('connecting', state, placesOf(state));
  return effect.kind === 'set-gate' && state.phase === 'stalled' ? { ...effect, keeps: true } : effect;
}

function confirmedBy(state: Connecting, event: Extract<ConnectionEvent, { kind: 'confirmed' }>): Connecting {
  const known: Connecting = { ...state, handshaked: true, confirmed: true };
  return event.proof === undefined ? known : { ...known, proof: event.proof };
}

function isFromTunnel(event: ConnectionEvent): boolean {
  switch (event.kind) {
    case 'handshake':
    case 'confirmed':
    case 'stalled':
    case 'recovered':
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
  if (state.phase === 'stalled') return state.confirmed ? earn(state, now) : [state, probe(state.reach, now)];
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
  const { reach, edge, endpoints, choices, proof } = state;
  const connected: Connected = {
    kind: 'connected',
    reach,
    edge,
    endpoints,
    ...(choices === undefined ? {} : { choices }),
    provenAt: now,
    ...(proof === undefined ? {} : { proof }),
    ...(problem === undefined ? {} : { problem }),
  };
  return [connected, [hold('connected', state, endpoints), { kind: 'clear-timer' }]];
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
      return tryElsewhere(late ? { ...state, trouble: 'handshake-timeout' } : state, now);
    }
    case 'stalled':
      // Once the edge answered a handshake, it is here that it is to be asked.
      if (state.handshaked) return [{ ...state, handshaked: false }, probe(state.reach, now)];
      return tryElsewhere({ ...state, trouble: 'stalled' }, now);
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
  if (state.phase === 'stalled') return tryElsewhere({ ...state, handshaked: false }, now);
  return [
    { ...state, phase: 'handshaking', phaseSince: now, handshaked: false, trouble: 'handshake-timeout' },
    probe(state.reach, now),
  ];
}

function connectingFailed(state: Connecting, event: EffectFailed, now: MonoMs): Step {
  const { reach, edge, failures } = state;
  const { effect, problem } = event;
  if (effect === 'send-probe' || effect === 'renew-session') return stay(state);
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
