/**
 * What the connection may ask for; data only. The driver does one at a time, in order. What
 * succeeds quietly yields no fact; what failed yields 'effect-failed'.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import type { HeldState, PeerEndpoint, Reach, SignInWay } from './state.ts';

export type Effect =
  /** Forget what was asked for and not yet done, and stop what is being done; its result is void. */
  | { readonly kind: 'cancel-pending' }
  | { readonly kind: 'set-timer'; readonly at: MonoMs }
  | { readonly kind: 'clear-timer' }
  /** Survives a crash: what the user wants. */
  | { readonly kind: 'remember-wish'; readonly on: boolean; readonly edge?: string }
  | {
      readonly kind: 'set-firewall';
      readonly policy: 'blocked' | 'connecting' | 'connected' | 'portal';
      /** Absent where nobody knows which edge: then everything is closed. */
      readonly edge?: string;
      readonly endpoints: readonly PeerEndpoint[];
      /** What is sent into the tunnel waits there instead of being refused: it goes on where a network is back. */
      readonly keepsTunnel?: true;
      /** Of `portal`: what any program may reach. Absent where its time is over. */
      readonly way?: SignInWay;
      /** The system's name servers are reachable, for the edge's own name. */
      readonly resolving: boolean;
    }
  /** The proxy's firewall: open in `connected` alone, else everything is refused and told why. */
  | {
      readonly kind: 'set-gate';
      readonly state: HeldState;
      /** What is being carried waits for the tunnel instead of being cut; only new requests are refused. */
      readonly keeps?: true;
    }
  /** Binds the proxy's port for this edge, closed. Nothing happens where it stands like that. */
  | { readonly kind: 'open-port'; readonly edge: string }
  /** → resolved */
  | { readonly kind: 'resolve'; readonly edge: string }
  /** → tunnel-started */
  | {
      readonly kind: 'start-tunnel';
      readonly reach: Reach;
      readonly edge: string;
      readonly endpoints: readonly PeerEndpoint[];
    }
  /** Gives the system's DNS back, so that the edge's own name can be looked up. Nothing happens where it is not ours. */
  | { readonly kind: 'release-dns' }
  /** Private DNS as the mode says, for this edge or, where there is none, without a tunnel. → dns-ready */
  | { readonly kind: 'set-dns'; readonly edge?: string }
  /** → routes-set */
  | { readonly kind: 'set-routes'; readonly edge: string }
  /** Sends a packet into the tunnel: starts a handshake where needed and asks for an answer. */
  | { readonly kind: 'send-probe'; readonly reach: Reach }
  /** Asks for a new session at these endpoints now. Tunnel, routes and the session that there is stay. */
  | {
      readonly kind: 'renew-session';
      readonly reach: Reach;
      readonly edge: string;
      readonly endpoints: readonly PeerEndpoint[];
    }
  /** Looks, beside all others, where the edge may be reached from this network. → sought */
  | {
      readonly kind: 'seek-edge';
      readonly edge: string;
      readonly endpoints: readonly PeerEndpoint[];
      /** It does not answer. */
      readonly silent: boolean;
    }
  /** The proxy's port stays: it refuses. `keeps`: what carries the packets stays, without keys, for the next tunnel. */
  | { readonly kind: 'stop-tunnel'; readonly reach: Reach; readonly keeps?: true }
  /** Lets go of the port, gives DNS back and undoes every change to this machine, newest first, the firewall last. → host-restored */
  | { readonly kind: 'restore-host' };

export type EffectKind = Effect['kind'];
