/**
 * What can happen to the connection: commands from people, facts from the world. Data only.
 */

import type { EffectKind } from './effect.ts';
import type { PeerEndpoint, Problem } from './state.ts';

export type Command =
  | { readonly kind: 'connect'; readonly edge: string }
  | { readonly kind: 'disconnect' }
  /** A new tunnel, closed all the while. */
  | { readonly kind: 'reconnect'; readonly edge: string };

export type Fact =
  /** At start: an earlier run left the machine closed, and it shall stay so. */
  | { readonly kind: 'found-closed'; readonly problem: Problem }
  | { readonly kind: 'resolved'; readonly endpoints: readonly PeerEndpoint[] }
  | { readonly kind: 'tunnel-started' }
  | { readonly kind: 'routes-set' }
  | { readonly kind: 'host-restored' }
  /** An effect failed; the effects that were asked for together with it and stood after it are dropped. */
  | { readonly kind: 'effect-failed'; readonly effect: EffectKind; readonly problem: Problem }
  | { readonly kind: 'handshake' }
  /** An authenticated packet came back through the tunnel. */
  | { readonly kind: 'confirmed' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'gave-up' }
  | { readonly kind: 'roamed'; readonly endpoints: readonly PeerEndpoint[] }
  | { readonly kind: 'tunnel-ended'; readonly problem: Problem }
  /** The time of `set-timer` has come. */
  | { readonly kind: 'tick' };

export type ConnectionEvent = Command | Fact;

export type EventKind = ConnectionEvent['kind'];
