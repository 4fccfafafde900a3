/** Why the proxy refuses, one sentence a state, for the programs that ask it. Data only. */

import type { HeldState } from './state.ts';

/** The port does not exist in `off`, and is open in `connected`. */
export const gateReasons: Readonly<Record<Exclude<HeldState, 'connected'>, string>> = {
  connecting: 'The tunnel is being made; try again in a moment.',
  portal: 'This network wants you to sign in first; see: culvert portal',
  waiting: 'There is no way to the edge at this moment; culvert tries again by itself.',
  blocked: 'The tunnel failed, so nothing is sent until it is back; see: culvert status',
  disconnecting: 'Protection is being turned off.',
};
