/**
 * What carries the tunnel of the edge in use: while the state tries to reach it, its ways are raced (race.ts); while TLS
 * carries it, UDP is asked now and again and taken back where it answers. Follows the state and never leads it: who
 * answers where is what the tunnel itself announces.
 */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { formatEndpoint } from '../../shared/core/base/ip.ts';
import { secondMs } from '../../shared/core/base/time.ts';
import type { Connected, Connecting, PeerEndpoint, Reach } from '../connection/state.ts';
import { afterDelay, ignored, type Race, type TransportDeskOptions, type UdpFault } from './desk-parts.ts';
import { networkAlone } from './network-memory.ts';
import {
  askSlowAfterMs,
  askUdpAfterMs,
  isSame,
  noUdpPlace,
  planRace,
  type Transport,
  tcpPlaces,
  tlsAgainMs,
  udpPlaces,
} from './race.ts';
import type { RelayPlan, TlsRelay } from './tls-relay.ts';

/** The edge answers handshakes over UDP, and nothing else comes: so long until TLS is taken. */
const provingMs: number = 4 * secondMs;
/** How long an answer over UDP may take, and how long what is under way in TLS is still taken. */
const askMs: number = 3 * secondMs;
const graceMs: number = 3 * secondMs;

export class TransportDesk {
  readonly #options: TransportDeskOptions;
  #race: Race | undefined;
  #relay: TlsRelay | undefined;
  /** Where a relay was that is gone, while the state still names it. */
  #stale: Endpoint | undefined;
  #opening: AbortController | undefined;
  #addresses: readonly string[] = [];
  #edge: string | undefined;
  #asked = 0;
  /** How often TLS was tried in this network because UDP was slow. */
  #slowTimes = 0;
  #fault: UdpFault | undefined;
  #cancelAsking: (() => void) | undefined;
  #cancelProving: (() => void) | undefined;
  #cancelLeaving: (() => void) | undefined;

  constructor(options: TransportDeskOptions) {
    this.#options = options;
  }

  /** What carries the tunnel now. */
  get transport(): Transport {
    return this.#isOverTls() ? 'tls' : 'udp';
  }

  /** The user wants it so. */
  get isChosen(): boolean {
    return this.#options.choice() === 'tls';
  }

  /** Why UDP was left although it answers. */
  get fault(): UdpFault | undefined {
    return this.#fault;
  }

  /** Where the edge is that TLS leads to. */
  get outsideText(): string | undefined {
    return this.#relay === undefined ? undefined : formatEndpoint(this.#relay.edge);
  }

  /** Where the edge really is: a place of our own loopback says nothing. */
  outside<Place extends Endpoint>(places: readonly Place[]): readonly Place[] {
    const relay = this.#relay;
    return places.flatMap((place) => {
      if (isSame(place, noUdpPlace)) return [];
      return relay !== undefined && isSame(place, relay.place) ? [{ ...place, ...relay.edge }] : [place];
    });
  }

  /** What a firewall must let out, besides the places that the state names: our own connections and datagrams. */
  openings(edge: string): { readonly udp: readonly Endpoint[]; readonly tcp: readonly Endpoint[] } {
    const ways = this.#options.waysOf(edge);
    const choice = this.#options.choice();
    if (ways === undefined || edge !== this.#edge) return { udp: [], tcp: [] };
    return {
      udp: choice === 'tls' ? [] : udpPlaces(this.#addresses, ways.udpPorts),
      tcp: choice === 'udp' ? [] : tcpPlaces(this.#addresses, ways),
    };
  }

  /** Told before the firewall is: where the edge in use is. */
  learn(edge: string, endpoints: readonly Endpoint[]): void {
    if (edge !== this.#edge) this.#forget();
    this.#edge = edge;
    const own = [noUdpPlace, this.#relay?.place, this.#stale];
    const found = endpoints.filter((one) => !own.some((other) => other !== undefined && isSame(one, other)));
    if (found.length > 0) this.#addresses = [...new Set(found.map(({ address }) => address))];
  }

  /** Call at every change of the connection. */
  handleChange(): void {
    const state = this.#options.state();
    if (state.kind === 'connecting') this.#follow(state);
    else if (state.kind === 'connected') this.#settle(state);
    else if (state.kind !== 'waiting') this.#forget();
    else this.#endRace();
  }

  /** The network is another one, or the machine woke: what was known of the one before holds no longer. */
  handleMove(): void {
    this.#asked = this.#slowTimes = 0;
    this.#fault = undefined;
    const { kind } = this.#options.state();
    if (!this.#isOverTls() || kind !== 'connected') return;
    this.#dropRelay();
    this.#startAgain();
  }

  /** UDP answers and is no good here: TLS is taken where it can be had. */
  handleFault(fault: UdpFault): void {
    const state = this.#options.state();
    if (state.kind !== 'connected' || this.#isOverTls() || this.#fault !== undefined) return;
    this.#fault = fault;
    if (fault === 'slow') this.#slowTimes++;
    this.#options.log.info('the tunnel leaves UDP', { because: fault });
    void this.#moveToTls(state.edge, state.reach);
  }

  /** It was no fault of UDP alone, or TLS could not be had. */
  forgetFault(): void {
    if (!this.#isOverTls()) this.#fault = undefined;
  }

  /** TLS carries no more: UDP is asked now, and has the tunnel again where it answers. */
  takeUdpBack(): void {
    const state = this.#options.state();
    if (state.kind !== 'connected' || !this.#isOverTls()) return;
    this.#slowTimes--;
    this.#cancelAsking?.();
    void this.#askUdp(state.edge, state.reach);
  }

  close(): void {
    this.#forget();
  }

  #follow(state: Connecting): void {
    const { phase, edge, reach } = state;
    this.learn(edge, [...state.endpoints, ...(state.choices ?? [])]);
    this.#cancelAsking?.();
    this.#cancelAsking = undefined;
    if (phase === 'resolving' || phase === 'preparing') {
      this.#endRace();
      this.#dropRelay();
      return;
    }
    if (phase === 'naming') return;
    // What carried the tunnel until now is silent: it is among those that are tried, from anew.
    if (phase === 'stalled' && this.#race === undefined) this.#dropRelay();
    if (this.#race === undefined || this.#race.edge !== edge) this.#start(edge, reach);
    if (phase === 'proving' && !this.#isOverTls()) {
      this.#cancelProving ??= this.#later(() => void this.#moveToTls(edge, reach), provingMs);
    } else this.#endProving();
  }

  #settle(state: Connected): void {
    const { edge, reach } = state;
    this.learn(edge, [...state.endpoints, ...(state.choices ?? [])]);
    // Its way is gone, and another one is being looked for.
    if (this.#isAt(this.#stale)) return;
    this.#stale = undefined;
    this.#endRace();
    if (this.#options.waysOf(edge) === undefined) return;
    if (!this.#isOverTls()) {
      this.#asked = 0;
      if (this.#cancelAsking !== undefined) this.#fault = undefined;
      this.#cancelAsking?.();
      this.#cancelAsking = undefined;
      // That the answer came by TLS may be told a moment after the answer.
      if (this.#relay !== undefined) this.#cancelLeaving ??= this.#later(() => this.#leaveTls(), graceMs);
      else if (this.#fault === undefined) this.#remember(edge, 'udp');
      return;
    }
    this.#cancelLeaving?.();
    this.#cancelLeaving = undefined;
    this.#remember(edge, 'tls');
    this.#askUdpLater(edge, reach);
  }

  /** UDP carries the tunnel, and nothing is under way in TLS any more. */
  #leaveTls(): void {
    this.#cancelLeaving = undefined;
    const state = this.#options.state();
    if (state.kind !== 'connected' || this.#isOverTls()) return;
    this.#dropRelay();
    if (this.#fault === undefined) this.#remember(state.edge, 'udp');
  }

  #remember(edge: string, transport: Transport): void {
    const { memory, choice, network } = this.#options;
    const here = networkAlone(network());
    if (choice() !== 'auto' || memory.recall(here, edge) === transport) return;
    memory.remember(here, edge, transport);
  }

  #start(edge: string, reach: Reach): void {
    const { waysOf, choice, memory, clock, network } = this.#options;
    this.#endRace();
    const ways = waysOf(edge);
    if (ways === undefined) return;
    const remembered = memory.recall(networkAlone(network()), edge);
    const steps = planRace({
      udp: udpPlaces(this.#addresses, ways.udpPorts),
      hasTls: true,
      choice: choice(),
      ...(remembered === undefined ? {} : { remembered }),
    });
    this.#race = { edge, reach, ways, steps, since: clock.now(), next: 0, cancel: () => undefined };
    this.#go(this.#race);
  }

  /** Does what is due and waits for the next. */
  #go(race: Race): void {
    const { clock, tunnelOf, log } = this.#options;
    if (race !== this.#race) return;
    const elapsed = clock.now() - race.since;
    for (let step = race.steps[race.next]; step !== undefined; step = race.steps[race.next]) {
      if (step.atMs > elapsed) break;
      race.next++;
      if (step.kind === 'tls') void this.#tryTls(race);
      else tunnelOf(race.reach).alsoTo([step.place], false).catch(ignored(log));
    }
    const next = race.steps[race.next];
    if (next !== undefined) race.cancel = this.#later(() => this.#go(race), Math.max(1, next.atMs - elapsed));
  }

  async #tryTls(race: Race): Promise<void> {
    const relay = await this.#open(race.edge, race.reach);
    if (race !== this.#race) {
      // Connected meanwhile: nothing was asked by it.
      if (relay !== undefined && this.#race === undefined) this.handleChange();
      return;
    }
    if (relay !== undefined) {
      await this.#options.tunnelOf(race.reach).alsoTo([relay.place], false).catch(ignored(this.#options.log));
      return;
    }
    race.cancel();
    race.cancel = this.#later(() => {
      this.#go(race);
      void this.#tryTls(race);
    }, tlsAgainMs);
  }

  /** Undefined where it cannot be had now. */
  async #open(edge: string, reach: Reach): Promise<TlsRelay | undefined> {
    const { waysOf, tunnelOf, markOf, openRelay, log } = this.#options;
    if (this.#relay?.isOpen === true) return this.#relay;
    const ways = waysOf(edge);
    const status = await tunnelOf(reach)
      .status()
      .catch(() => undefined);
    const [edgePort] = ways?.udpPorts ?? [];
    if (ways === undefined || status === undefined || edgePort === undefined) return undefined;
    this.#opening?.abort();
    const opening = new AbortController();
    this.#opening = opening;
    const plan: RelayPlan = {
      places: tcpPlaces(this.#addresses, ways),
      pin: ways.pin,
      edgePort,
      tunnelPort: status.listenPort,
      mark: markOf(reach),
    };
    try {
      const relay: TlsRelay = await openRelay(plan, opening.signal, () => this.#ended());
      if (opening.signal.aborted) {
        relay.close();
        return undefined;
      }
      this.#relay = relay;
      return relay;
    } catch (error) {
      log.debug('the edge was not reached by TLS', { why: String(error) });
      return undefined;
    }
  }

  async #moveToTls(edge: string, reach: Reach): Promise<void> {
    const { tunnelOf, send, choice, log } = this.#options;
    if (choice() === 'udp') return;
    const relay = await this.#open(edge, reach);
    if (relay === undefined || edge !== this.#edge) return;
    const endpoints: readonly PeerEndpoint[] = [{ peer: 0, ...relay.place }];
    await tunnelOf(reach).renew(endpoints).catch(ignored(log));
    send({ kind: 'roamed', endpoints });
  }

  #askUdpLater(edge: string, reach: Reach): void {
    if (this.#cancelAsking !== undefined || this.#options.choice() === 'tls') return;
    const lossyMs = askUdpAfterMs(this.#fault === undefined ? this.#asked : Number.MAX_SAFE_INTEGER);
    const delayMs = this.#fault === 'slow' ? askSlowAfterMs(this.#slowTimes) : lossyMs;
    this.#cancelAsking = this.#later(() => void this.#askUdp(edge, reach), delayMs);
  }

  /** A handshake that goes to UDP alone: an answer makes it the tunnel's place, silence changes nothing. */
  async #askUdp(edge: string, reach: Reach): Promise<void> {
    const { waysOf, tunnelOf, log } = this.#options;
    const relay = this.#relay;
    const ways = waysOf(edge);
    this.#cancelAsking = undefined;
    if (relay === undefined || ways === undefined || !this.#isOverTls()) return;
    this.#asked++;
    relay.holdInitiations(true);
    await tunnelOf(reach).alsoTo(udpPlaces(this.#addresses, ways.udpPorts), true).catch(ignored(log));
    this.#cancelAsking = this.#later(() => {
      this.#cancelAsking = undefined;
      relay.holdInitiations(false);
      if (!this.#isOverTls()) return;
      this.#fault = undefined;
      tunnelOf(reach).alsoTo([], false).catch(ignored(log));
      this.#askUdpLater(edge, reach);
    }, askMs);
  }

  /** The relay ended by itself. */
  #ended(): void {
    const was = this.#isOverTls();
    this.#stale = this.#relay?.place;
    this.#relay = undefined;
    if (was) this.#startAgain();
  }

  /** A tunnel stands whose way is gone: all ways are asked at once, and what runs inside waits for the answer. */
  #startAgain(): void {
    const state = this.#options.state();
    if (state.kind !== 'connected') return;
    const { edge, reach } = state;
    const { tunnelOf, log } = this.#options;
    tunnelOf(reach).alsoTo(this.#udpNow(edge), true).catch(ignored(log));
    this.#start(edge, reach);
  }

  #udpNow(edge: string): readonly Endpoint[] {
    const { waysOf, choice } = this.#options;
    return choice() === 'tls' ? [] : udpPlaces(this.#addresses, waysOf(edge)?.udpPorts ?? []);
  }

  #isOverTls(): boolean {
    return this.#isAt(this.#relay?.place);
  }

  /** The state has the tunnel's far end there. */
  #isAt(place: Endpoint | undefined): boolean {
    const state = this.#options.state();
    const [first] = 'endpoints' in state ? state.endpoints : [];
    return first !== undefined && place !== undefined && isSame(first, place);
  }

  #endRace(): void {
    this.#race?.cancel();
    this.#race = undefined;
    this.#endProving();
  }

  #endProving(): void {
    this.#cancelProving?.();
    this.#cancelProving = undefined;
  }

  #dropRelay(): void {
    this.#cancelLeaving?.();
    this.#cancelLeaving = undefined;
    this.#opening?.abort();
    this.#opening = undefined;
    const relay = this.#relay;
    if (relay === undefined) return;
    this.#stale = relay.place;
    this.#relay = undefined;
    relay.close();
  }

  #forget(): void {
    this.#endRace();
    this.#dropRelay();
    this.#cancelAsking?.();
    this.#cancelAsking = undefined;
    this.#addresses = [];
    this.#stale = undefined;
    this.#edge = undefined;
    this.#asked = this.#slowTimes = 0;
    this.#fault = undefined;
  }

  #later(work: () => void, delayMs: number): () => void {
    return (this.#options.schedule ?? afterDelay)(work, delayMs);
  }
}
