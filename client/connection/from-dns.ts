/** What the connection decides in state `dns`: private names, no tunnel. Pure; a part of transition.ts. */

import type { ConnectionEvent } from './event.ts';
import { goalOf, leave, rest, type Step, startDns, stay, turnBack } from './moves.ts';
import type { Dns } from './state.ts';

/** Nothing is closed here: without private names the machine is as it was, and that is what is said. */
export function fromDns(state: Dns, event: ConnectionEvent): Step {
  switch (event.kind) {
    case 'connect':
      return event.reach === 'dns' ? stay(state) : leave(state, goalOf(event));
    case 'reconnect':
      return event.reach === 'dns' ? startDns() : leave(state, goalOf(event));
    case 'disconnect':
      return leave(state);
    case 'rest':
      return rest(state);
    case 'dns-changed':
    case 'network-news':
      return [state, [{ kind: 'set-dns' }]];
    case 'dns-ready':
      return [{ kind: 'dns', reach: 'dns', ready: true }, []];
    case 'effect-failed':
      return state.ready ? [{ ...state, problem: event.problem }, []] : turnBack('dns', event.problem);
    default:
      return stay(state);
  }
}
