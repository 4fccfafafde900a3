/**
 * Keeps the finger on the tunnel while the state says that there is one: starts and ends the pulse, lets it doubt where
 * there is reason to, and keeps the watch on the way to the edge at the edge that is used. Decides nothing.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { ConnectionEvent } from '../connection/event.ts';
import type { Connected, ConnectionState, PeerEndpoint, Reach } from '../connection/state.ts';
import type { TunnelPort } from '../driver/ports.ts';
import { noNetwork } from './network/fingerprint.ts';
import { type MtuKeeper, type MtuPlan } from './path-mtu.ts';
import { Pulse } from './pulse.ts';

/** The watch on the network; it is opened after the vitals. */
export interface NetworkView {
  readonly current: string;
  rebase(): string;
}

export interface VitalsOptions {
  readonly state: () => ConnectionState;
  readonly send: (event: ConnectionEvent) => void;
  readonly tunnelOf: (reach: Reach) => TunnelPort;
  /** How the tunnel of this edge behaves. */
  readonly habitsOf: (edge: string) => Habits;
  /** The edge answers. */
  readonly onHeard: () => void;
  /** Keeps the packets of a whole device as large as they may be. */
  readonly mtu: Pick<MtuKeeper, 'start' | 'stop' | 'pause' | 'resume' | 'handleMove' | 'handleSuspicion'>;
  /** Undefined where that cannot be asked of this edge. */
  readonly mtuPlanFor: (edge: string) => MtuPlan | undefined;
  /** Where the edge is behind places on our own loopback; default: the places themselves. */
  readonly outside?: (places: readonly PeerEndpoint[]) => readonly PeerEndpoint[];
  readonly clock: Clock;
  readonly log: Log;
}

export interface Habits {
  /** An edge of ours, which answers probes at once. */
  readonly answersProbes: boolean;
  readonly peers: number;
  /** The device itself announces sends that stay unanswered. */
  readonly announced: boolean;
}

/** An ICMP error or a DNS answer's question, sealed and padded; the proxy's nudge adds a SYN. */
const probeBytes = 256;

export class Vitals {
  readonly #options: VitalsOptions;
  readonly #pulse: Pulse;
  #network: NetworkView | undefined;
  #watched: readonly PeerEndpoint[] = [];
  #isOn = false;
  #isOffline = false;
  /** The tunnel that rests because there is no network. */
  #resting: TunnelPort | undefined;

  constructor(options: VitalsOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#pulse = new Pulse({
      status: async () => this.#tunnel()?.status(),
      probe: async () => this.#tunnel()?.probe(),
      clock,
      log,
      onFact: (fact) => {
        log.info('the pulse of the tunnel', { verdict: fact.kind });
        options.send(fact);
      },
    });
  }

  /** Endpoints of the edge in use, or of the tunnel that waits for a network. */
  get endpoints(): readonly PeerEndpoint[] {
    const { state, outside } = this.#options;
    const places = endpointsIn(state());
    return outside?.(places) ?? places;
  }

  watch(network: NetworkView): void {
    this.#network = network;
    this.handleChange();
  }

  /** Call after every change of the connection. */
  handleChange(): void {
    const state = this.#options.state();
    const endpoints = endpointsIn(state);
    if (endpoints !== this.#watched) {
      this.#watched = endpoints;
      this.#network?.rebase();
    }
    this.#followRest(state);
    this.#followPulse(state);
    this.#noticeOffline(state);
  }

  /** A send went unanswered. */
  doubt(): void {
    // Where nothing large was sent, none was lost.
    this.#pulse.doubt(() => this.#options.mtu.handleSuspicion());
  }

  /** The network is another one, or the machine woke. */
  handleMove(): void {
    this.#pulse.doubt();
    this.#options.mtu.handleMove();
  }

  close(): void {
    this.#options.mtu.stop();
    this.#pulse.stop();
  }

  #followPulse(state: ConnectionState): void {
    const { onHeard, habitsOf } = this.#options;
    const holds = state.kind === 'connected' || isStalled(state);
    if (!holds) {
      if (this.#isOn) {
        this.#pulse.stop();
        this.#options.mtu.stop();
      }
      this.#isOn = false;
      return;
    }
    if (state.kind !== 'connected') {
      this.#options.mtu.pause();
      return;
    }
    onHeard();
    this.#options.mtu.resume();
    if (this.#isOn) return;
    this.#isOn = true;
    this.#pulse.start({ ...habitsOf(state.edge), probeBytes, ...roundTrip(state) });
    const plan = state.reach === 'device' ? this.#options.mtuPlanFor(state.edge) : undefined;
    if (plan !== undefined) this.#options.mtu.start(plan);
  }

  /** A tunnel that stands without a network tries nothing until there is one. */
  #followRest(state: ConnectionState): void {
    const rests = state.kind === 'waiting' && state.kept !== undefined;
    const tunnel = rests ? this.#tunnel() : undefined;
    if (tunnel === this.#resting) return;
    const before = this.#resting;
    this.#resting = tunnel;
    for (const [one, isResting] of [
      [before, false],
      [tunnel, true],
    ] as const) {
      // It ended meanwhile, or ends now.
      one?.rest?.(isResting).catch((error: unknown) => {
        this.#options.log.debug('the tunnel was not told to rest', { text: String(error), isResting });
      });
    }
  }

  /** Where there was no network from the start, nobody would ever say that it is gone. */
  #noticeOffline(state: ConnectionState): void {
    const tries = state.kind === 'connecting' && (state.phase === 'handshaking' || state.phase === 'stalled');
    const isOffline = tries && this.#network?.current === noNetwork;
    if (isOffline && !this.#isOffline) queueMicrotask(() => this.#options.send({ kind: 'network-gone' }));
    this.#isOffline = isOffline;
  }

  #tunnel(): TunnelPort | undefined {
    const state = this.#options.state();
    return 'reach' in state && state.reach !== 'dns' ? this.#options.tunnelOf(state.reach) : undefined;
  }
}

function isStalled(state: ConnectionState): boolean {
  return state.kind === 'connecting' && state.phase === 'stalled';
}

const none: readonly PeerEndpoint[] = [];

function endpointsIn(state: ConnectionState): readonly PeerEndpoint[] {
  if ('endpoints' in state) return state.endpoints;
  return state.kind === 'waiting' ? (state.kept?.endpoints ?? none) : none;
}

function roundTrip({ proof }: Connected): { readonly rttMs?: number } {
  return proof?.rttMs === undefined ? {} : { rttMs: proof.rttMs };
}
