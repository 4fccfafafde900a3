/**
 * The connection's decisions: (state, event, now) → [state, effects], one function per state
 * (house.md 2.8, product.md §4). Pure: nothing is done here. Rules that no change may break: from
 * leaving `off` until the user asks for `off` no effect opens the firewall or, outside `connected`, the
 * gate; and `connected` needs a handshake and a packet back.
 */

import { unreachable } from '../../shared/core/base/assert.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { ConnectionEvent } from './event.ts';
import { fromConnecting } from './from-connecting.ts';
import { fromDns } from './from-dns.ts';
import { enterPortal, fromPortal } from './from-portal.ts';
import {
  blockingFailed,
  type EffectFailed,
  fail,
  fresh,
  goalOf,
  hold,
  isGoal,
  leave,
  leaveOff,
  leavingFailed,
  moveTo,
  probe,
  reconnect,
  rest,
  type Step,
  startOver,
  stay,
  tryAgain,
} from './moves.ts';
import { comeBack, goOffline, greetFromHere, placesFoundWhileConnected, stall } from './stalled.ts';
import type {
  Blocked,
  Connected,
  Connecting,
  ConnectionState,
  Disconnecting,
  Later,
  Off,
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
    case 'portal':
      return fromPortal(state, event, now);
    case 'enrolling':
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

function fromConnected(state: Connected, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
      return isGoal(state, event) ? stay(state) : moveTo(state, goalOf(event), now);
    case 'reconnect':
      return reconnect(state, event, now);
    case 'disconnect':
      return leave(state);
    case 'rest':
      return rest(state);
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
      return [state, greetFromHere(state)];
    case 'network-gone':
      return goOffline(state);
    case 'stalled':
      return stall(state, now);
    case 'sought':
      return placesFoundWhileConnected(state, event);
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
    case 'rest':
      return rest(state);
    case 'tick':
      if (state.retryAt === undefined) return stay(state);
      return now < state.retryAt ? notYet(state, state.retryAt) : tryAgain(state, state, now);
    case 'portal-found':
      // Without any network there is none that could ask for a sign-in.
      return state.retryAt === undefined ? stay(state) : enterPortal(state, event, now);
    case 'network-news':
      return state.kept === undefined ? startOver(state, now) : comeBack(state, state.kept, now);
    case 'tunnel-ended':
      return state.kept === undefined ? stay(state) : fail(state, event.problem, 0, now);
    case 'effect-failed':
      // What was asked of the tunnel before the network went.
      if (event.effect === 'send-probe' || event.effect === 'renew-session') return stay(state);
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
    case 'rest':
      return rest(state);
    case 'tick':
      if (state.edge === undefined || state.retryAt === undefined) return stay(state);
      if (now < state.retryAt) return notYet(state, state.retryAt);
      return tryAgain({ edge: state.edge, reach: state.reach }, state, now);
    case 'network-news':
      if (state.edge === undefined || state.retryAt === undefined) return stay(state);
      return tryAgain({ edge: state.edge, reach: state.reach }, state, now);
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
    case 'disconnect':
    case 'rest': {
      const { next: _, ...alone } = state;
      return [alone, event.kind === 'rest' ? [] : [{ kind: 'remember-wish', on: false }]];
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
  switch (event.kind) {
    case 'disconnect':
      return leave({ reach: 'device' });
    case 'rest':
      return rest({ reach: 'device' });
    default:
      return stay(state);
  }
}

/** Timers may ring a little early; without another one nobody would ever try again. */
function notYet(state: Waiting | Blocked, at: MonoMs): Step {
  return [state, [{ kind: 'set-timer', at }]];
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
