/**
 * What the connection decides where a tunnel stands and the edge cannot be heard: stalled, without a network, at another
 * place. Pure; a part of transition.ts. Nothing is opened: firewall or gate go to the row of the state, and what runs
 * inside the tunnel waits.
 */

import { after, type MonoMs } from '../../shared/core/base/time.ts';
import { errorCodes } from '../../shared/core/control/codes.ts';
import type { Effect } from './effect.ts';
import type { ConnectionEvent } from './event.ts';
import { fresh, hold, type Step, stay } from './moves.ts';
import { renewEveryMs } from './reconnect.ts';
import type { Connected, Connecting, KeptTunnel, PeerEndpoint, Waiting } from './state.ts';

type Sought = Extract<ConnectionEvent, { kind: 'sought' }>;

/** From `connected`: the send went unanswered. */
export function stall(state: Connected, now: MonoMs): Step {
  const stalled: Connecting = { ...suspended(state, keptBy(state), now), trouble: 'stalled' };
  return [
    stalled,
    [keep(hold('connecting', state, placesOf(stalled))), ...renewal(stalled, now), seek(stalled, true)],
  ];
}

/** There is no network: nothing is tried until there is one. */
export function goOffline(state: Connected | Connecting): Step {
  const { reach, edge } = state;
  const [text, remedy] = errorCodes['no-network'];
  const waiting: Waiting = {
    kind: 'waiting',
    reach,
    edge,
    failures: 0,
    problem: { code: 'no-network', text, remedy },
    kept: keptBy(state),
  };
  return [waiting, [keep(hold('waiting', state)), { kind: 'clear-timer' }]];
}

/** A network is there again: the same tunnel, asked for a new session. */
export function comeBack(state: Waiting, kept: KeptTunnel, now: MonoMs): Step {
  const stalled = suspended(state, kept, now);
  return [
    stalled,
    [keep(hold('connecting', state, placesOf(stalled))), ...renewal(stalled, now), seek(stalled, false)],
  ];
}

/** A new session, and a packet that the far end answers. */
export function renewal(state: Connecting, now: MonoMs): readonly Effect[] {
  const { reach, edge, endpoints, phaseSince } = state;
  return [
    { kind: 'renew-session', reach, edge, endpoints },
    { kind: 'send-probe', reach },
    { kind: 'set-timer', at: after(now, renewEveryMs(now - phaseSince)) },
  ];
}

/** The session outlives the network: a packet, and a handshake from wherever we are now, tell the edge the place. */
export function greetFromHere(state: Connected): readonly Effect[] {
  const { reach, edge, endpoints } = state;
  return [
    { kind: 'renew-session', reach, edge, endpoints },
    { kind: 'send-probe', reach },
    seek(state, false),
  ];
}

/** Still nothing: at the next place, where there is more than one. */
export function tryElsewhere(state: Connecting, now: MonoMs): Step {
  const next: Connecting = { ...state, endpoints: nextEndpoints(state.endpoints, state.choices ?? []) };
  return [next, [...renewal(next, now), seek(next, true)]];
}

/** Whether the edge is to be found elsewhere. */
export function seek({ edge, endpoints }: Connecting | Connected, silent: boolean): Effect {
  return { kind: 'seek-edge', edge, endpoints, silent };
}

/** While the edge is not heard. */
export function placesFound(state: Connecting, event: Sought, now: MonoMs): Step {
  const found = choose(state, event);
  if (found === undefined) return stay(state);
  const next: Connecting = { ...state, ...found };
  const wider = keep(hold('connecting', next, placesOf(next)));
  return event.lost ? [next, [wider, ...renewal(next, now)]] : [next, [wider]];
}

/** While it is: nothing moves unless the place in use is out of reach. */
export function placesFoundWhileConnected(state: Connected, event: Sought): Step {
  const found = choose(state, event);
  if (found === undefined) return stay(state);
  const next: Connected = { ...state, ...found };
  if (!event.lost) return [next, []];
  const { reach, edge, endpoints } = next;
  return [
    next,
    [
      hold('connected', next, endpoints),
      { kind: 'renew-session', reach, edge, endpoints },
      { kind: 'send-probe', reach },
    ],
  ];
}

/** For every peer the place after the one that is in use, in a circle. */
export function nextEndpoints(
  endpoints: readonly PeerEndpoint[],
  choices: readonly PeerEndpoint[],
): readonly PeerEndpoint[] {
  return endpoints.map((present) => {
    const own = choices.filter(({ peer }) => peer === present.peer);
    const at = own.findIndex((one) => isSamePlace(one, present));
    return own[(at + 1) % Math.max(own.length, 1)] ?? present;
  });
}

/** Everywhere that the tunnel's datagrams may go meanwhile, each place once. */
export function placesOf(state: Pick<KeptTunnel, 'endpoints' | 'choices'>): readonly PeerEndpoint[] {
  const { endpoints, choices = [] } = state;
  const others = choices.filter((one) => !endpoints.some((used) => isSamePlace(used, one)));
  return [...endpoints, ...others];
}

function choose(
  state: Connecting | Connected,
  event: Sought,
): Pick<KeptTunnel, 'endpoints' | 'choices'> | undefined {
  const { choices } = event;
  if (event.edge !== state.edge || choices.length === 0) return undefined;
  return { choices, endpoints: event.lost ? nextEndpoints(state.endpoints, choices) : state.endpoints };
}

function suspended(goal: Connected | Waiting, kept: KeptTunnel, now: MonoMs): Connecting {
  return { ...fresh(goal, now), phase: 'stalled', ...kept };
}

function keptBy(state: Connected | Connecting): KeptTunnel {
  const { endpoints, choices, proof } = state;
  return {
    endpoints,
    ...(choices === undefined ? {} : { choices }),
    ...(proof === undefined ? {} : { proof }),
  };
}

function keep(effect: Effect): Effect {
  if (effect.kind === 'set-gate') return { ...effect, keeps: true };
  return effect.kind === 'set-firewall' && effect.policy === 'blocked'
    ? { ...effect, keepsTunnel: true }
    : effect;
}

function isSamePlace(a: PeerEndpoint, b: PeerEndpoint): boolean {
  return a.peer === b.peer && a.address === b.address && a.port === b.port;
}
