/**
 * What the connection decides in state `portal`: the network wants a sign-in before it lets anything through. What is
 * opened is the way to that sign-in alone, and for some minutes only. Pure; a part of transition.ts.
 */

import { after, type MonoMs, minuteMs } from '../../shared/core/base/time.ts';
import { errorCodes } from '../../shared/core/control/codes.ts';
import type { Effect, EffectKind } from './effect.ts';
import type { ConnectionEvent } from './event.ts';
import { fail, goalOf, hold, leave, moveTo, rest, type Step, startOver, stay } from './moves.ts';
import type { Connecting, Portal, Waiting } from './state.ts';

type Found = Extract<ConnectionEvent, { kind: 'portal-found' }>;

/** How long the way to a sign-in stays open. */
export const portalOpenMs: number = 5 * minuteMs;

/** From a closed machine. The tunnel goes, since its routes would swallow the sign-in; DNS is the network's. */
export function enterPortal(state: Connecting | Waiting, { way }: Found, now: MonoMs): Step {
  // Nothing of the machine was closed for the proxy: there is nothing to open.
  if (state.reach !== 'device') return stay(state);
  const portal: Portal = { kind: 'portal', ...goalOf(state), way, opensUntil: after(now, portalOpenMs) };
  return [
    portal,
    [
      { kind: 'cancel-pending' },
      holdWay(portal),
      { kind: 'stop-tunnel', reach: state.reach },
      { kind: 'release-dns' },
      ...closing(portal),
    ],
  ];
}

export function fromPortal(state: Portal, event: ConnectionEvent, now: MonoMs): Step {
  switch (event.kind) {
    case 'connect':
    case 'reconnect':
      return moveTo(state, goalOf(event), now);
    case 'disconnect':
      return leave(state);
    case 'rest':
      return rest(state);
    case 'portal-found': {
      const wider: Portal = { ...state, way: event.way };
      return [wider, state.opensUntil === undefined ? [] : [holdWay(wider)]];
    }
    case 'open-portal': {
      const open: Portal = { ...state, opensUntil: after(now, portalOpenMs) };
      return [open, [holdWay(open), ...closing(open)]];
    }
    case 'portal-passed':
    case 'network-news':
      return startOver(state, now);
    case 'network-gone':
      return offline(state);
    case 'tick':
      return isOver(state, now) ? timeOver(state) : [state, closing(state)];
    case 'effect-failed':
      // That names fail is said elsewhere; what is open or closed must be true.
      return isVital(event.effect) ? fail(state, event.problem, 0, now) : stay(state);
    default:
      return stay(state);
  }
}

function isVital(effect: EffectKind): boolean {
  return effect === 'set-firewall' || effect === 'set-gate' || effect === 'stop-tunnel';
}

function isOver({ opensUntil }: Portal, now: MonoMs): boolean {
  return opensUntil !== undefined && now >= opensUntil;
}

function timeOver({ reach, edge, way }: Portal): Step {
  const closed: Portal = { kind: 'portal', reach, edge, way };
  return [closed, [holdWay(closed)]];
}

function closing({ opensUntil }: Portal): readonly Effect[] {
  return opensUntil === undefined ? [] : [{ kind: 'set-timer', at: opensUntil }];
}

function offline({ reach, edge }: Portal): Step {
  const [text, remedy] = errorCodes['no-network'];
  const problem = { code: 'no-network', text, remedy } as const;
  return [
    { kind: 'waiting', reach, edge, failures: 0, problem },
    [hold('waiting', { reach, edge }), { kind: 'clear-timer' }],
  ];
}

function holdWay(state: Portal): Effect {
  const effect = hold('portal', state);
  if (effect.kind !== 'set-firewall' || state.opensUntil === undefined) return effect;
  return { ...effect, way: state.way };
}
