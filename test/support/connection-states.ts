// A connection at two of its places, for whoever follows it. Tests spread what they want otherwise.

import type { ConnectionState } from '../../client/connection/state.ts';
import { monoMs } from '../../shared/core/base/time.ts';

type StateOf<Kind extends ConnectionState['kind']> = Extract<ConnectionState, { readonly kind: Kind }>;

/** It has just begun, from `off`. */
export const beginningState: StateOf<'connecting'> = {
  kind: 'connecting',
  reach: 'device',
  edge: 'home',
  phase: 'resolving',
  phaseSince: monoMs(0),
  endpoints: [],
  closed: false,
  failures: 0,
  handshaked: false,
  confirmed: false,
};

export const connectedState: StateOf<'connected'> = {
  kind: 'connected',
  reach: 'device',
  edge: 'home',
  endpoints: [],
  provenAt: monoMs(0),
};
