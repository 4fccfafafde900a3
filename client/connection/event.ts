/**
 * What can happen to the connection: commands from people, facts from the world. Data only.
 */

import type { EffectKind } from './effect.ts';
import type { PeerEndpoint, Problem, Proof, Reach, SignInWay } from './state.ts';

export type Command =
  | { readonly kind: 'connect'; readonly edge: string; readonly reach: Reach }
  | { readonly kind: 'disconnect' }
  /** Off for a while, with the wish to be on kept: a pause, a trusted network. */
  | { readonly kind: 'rest' }
  /** In `portal`: the way to the sign-in for some minutes more. */
  | { readonly kind: 'open-portal' }
  /** A new tunnel, closed all the while. `endpoints`: where the edge answered a moment ago; absent: it is looked up. */
  | {
      readonly kind: 'reconnect';
      readonly edge: string;
      readonly reach: Reach;
      readonly endpoints?: readonly PeerEndpoint[];
    };

export type Fact =
  /** At start: an earlier run left the machine closed, and it shall stay so. */
  | { readonly kind: 'found-closed'; readonly problem: Problem }
  /** `choices`: all places that each peer may be tried at; absent: only those. */
  | {
      readonly kind: 'resolved';
      readonly endpoints: readonly PeerEndpoint[];
      readonly choices?: readonly PeerEndpoint[];
    }
  /** Where the edge may be reached from this network. `lost`: not where it is tried now. */
  | {
      readonly kind: 'sought';
      readonly edge: string;
      readonly choices: readonly PeerEndpoint[];
      readonly lost: boolean;
    }
  | { readonly kind: 'tunnel-started' }
  | { readonly kind: 'routes-set' }
  | { readonly kind: 'host-restored' }
  /** Names are answered, and the system asks where it should. */
  | { readonly kind: 'dns-ready' }
  /** A setting of DNS has changed. */
  | { readonly kind: 'dns-changed' }
  /** An effect failed; the effects that were asked for together with it and stood after it are dropped. */
  | { readonly kind: 'effect-failed'; readonly effect: EffectKind; readonly problem: Problem }
  | { readonly kind: 'handshake' }
  /** The tunnel is proven: an authenticated packet came back through it; from our own edge, its answer. */
  | { readonly kind: 'confirmed'; readonly proof?: Proof }
  /** What was sent stays unanswered although it was asked for an answer. */
  | { readonly kind: 'stalled' }
  /** After `stalled`: something authenticated came back through the session that there was. */
  | { readonly kind: 'recovered' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'gave-up' }
  | { readonly kind: 'roamed'; readonly endpoints: readonly PeerEndpoint[] }
  | { readonly kind: 'tunnel-ended'; readonly problem: Problem }
  /** The network is another one or is back, or the machine woke up: what was true before must be asked again. */
  | { readonly kind: 'network-news' }
  /** This machine has no way out at all. */
  | { readonly kind: 'network-gone' }
  /** The network wants a sign-in first; again where its way has grown. */
  | { readonly kind: 'portal-found'; readonly way: SignInWay }
  /** It wants none any more, or never did. */
  | { readonly kind: 'portal-passed' }
  /** The time of `set-timer` has come. */
  | { readonly kind: 'tick' };

export type ConnectionEvent = Command | Fact;

export type EventKind = ConnectionEvent['kind'];
