/**
 * Watches for networks that want a sign-in: asks when when.ts says so, tells the connection what verdict.ts made of the
 * answers, and what the user may read and do about it. Decides neither.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { type MonoMs, unixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type HealthItem, healthItem } from '../../shared/core/control/health.ts';
import type { PortalReport, PortalStatus } from '../../shared/core/control/portal-api.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { afterIdle } from '../../shared/node/idle-timer.ts';
import type { ConnectionEvent } from '../connection/event.ts';
import type { ConnectionState, SignInAddress, SignInWay } from '../connection/state.ts';
import { ignoredNetworks, type PortalSettings, withIgnored } from '../settings/portal-settings.ts';
import { type PortalProbe, probesOf, signInUrl, usualProbes } from './endpoints.ts';
import { maxPlaces, type SignInPlace, withAddresses } from './places.ts';
import type { EdgeProbe, PortalRound } from './probe.ts';
import type { ProbeAnswer } from './reply.ts';
import { judgePortal, type PortalVerdict } from './verdict.ts';
import { isTroubled, type Looking, lookAt } from './when.ts';

export interface PortalDeskOptions {
  readonly state: () => ConnectionState;
  readonly send: (event: ConnectionEvent) => void;
  readonly settings: {
    readonly current: PortalSettings;
    change(patch: Readonly<Record<string, string>>): unknown;
  };
  readonly ask: (round: PortalRound, signal: AbortSignal) => Promise<readonly ProbeAnswer[]>;
  /** By the network's own name servers. */
  readonly lookUp: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** The network's own name servers. */
  readonly servers: () => readonly string[];
  /** The API of an edge that this machine is enrolled with. */
  readonly edgeOf: (edge: string) => EdgeProbe | undefined;
  /** An id of the network of now; undefined where nobody knows. */
  readonly network: () => Promise<string | undefined>;
  readonly clock: Clock;
  readonly log: Log;
  /** Tests give another. Returns what cancels it. */
  readonly schedule?: (work: () => void, delayMs: number) => () => void;
}

interface SignIn {
  readonly since: MonoMs;
  readonly places: readonly SignInPlace[];
  readonly way: SignInWay;
}

const lookUpMs = 2000;
/** Addresses of one name; the way to a sign-in is narrow. */
const maxOfName = 4;

export class PortalDesk {
  readonly #options: PortalDeskOptions;
  #signIn: SignIn | undefined;
  #verdict: PortalVerdict | undefined;
  #isIgnored = false;
  #troubleSince: MonoMs | undefined;
  #movedAt: MonoMs | undefined;
  #lastAt: MonoMs | undefined;
  #fruitless = 0;
  #cancel: (() => void) | undefined;
  #asking: AbortController | undefined;
  #isClosed = false;

  constructor(options: PortalDeskOptions) {
    this.#options = options;
  }

  /** What `status` says of it. */
  get status(): PortalStatus | undefined {
    const { state, clock, settings } = this.#options;
    const url = signInUrl(probesOf(settings.current['portal.probes'])) ?? signInUrl(usualProbes);
    const now = state();
    if (url === undefined || (this.#signIn === undefined && now.kind !== 'portal')) return undefined;
    if (now.kind !== 'portal' || now.opensUntil === undefined) return { url };
    const until = unixMs(clock.unix() + (now.opensUntil - clock.now()));
    return { url, opensUntil: new Date(until).toISOString() };
  }

  /** Names of the sign-in: where names are private they are asked of the network, and of nobody else. */
  get names(): readonly string[] {
    const hosts = this.#signIn === undefined ? [] : this.#hosts(this.#signIn.places);
    return hosts.filter((host) => !/^[\d.]+$|:/.test(host)).map((host) => host.toLowerCase());
  }

  health(): readonly HealthItem[] {
    if (this.status !== undefined) return [healthItem('portal')];
    const verdict = this.#verdict;
    if (verdict?.kind !== 'unknown' || !verdict.intercepted || !isTroubled(this.#options.state())) return [];
    const item = healthItem('tls-intercepted');
    const text = `${item.text} Its certificate is signed by: ${verdict.issuer}.`;
    return [verdict.issuer === undefined ? item : { ...item, text }];
  }

  report(): PortalReport {
    const portal = this.status;
    return {
      detection: this.#isWanted(),
      ...(portal === undefined ? {} : { portal }),
      ...(this.#verdict === undefined ? {} : { verdict: this.#verdict.kind }),
      ignored: this.#isIgnored,
    };
  }

  /** The user goes to sign in. Throws 'no-portal' where no sign-in is known. */
  open(): PortalReport {
    if (this.status === undefined) throw new CulvertError('no-portal');
    this.#options.send({ kind: 'open-portal' });
    return this.report();
  }

  /** The user says that this network has no sign-in. */
  async ignore(): Promise<PortalReport> {
    const { settings, network, send } = this.#options;
    const id = await network();
    if (id === undefined) throw new CulvertError('no-network');
    settings.change({ 'portal.ignored': withIgnored(settings.current, id) });
    this.#isIgnored = true;
    this.#verdict = undefined;
    this.#forget();
    send({ kind: 'portal-passed' });
    this.#arm();
    return this.report();
  }

  /** Call after every change of the connection or of the settings. */
  handleChange(): void {
    const { state, clock } = this.#options;
    const now = state();
    if (isTroubled(now)) this.#troubleSince ??= clock.now();
    else if (now.kind !== 'portal') {
      this.#troubleSince = undefined;
      this.#fruitless = 0;
      this.#lastAt = this.#signIn === undefined ? undefined : this.#lastAt;
    }
    // Whoever is through, or wants none, waits for no sign-in.
    if (['off', 'disconnecting', 'connected', 'blocked'].includes(now.kind)) this.#forget();
    // The next trouble may be another one: nobody is accused of it before it was looked at.
    const isOver = now.kind === 'off' || now.kind === 'connected';
    if (isOver && this.#verdict?.kind === 'unknown' && this.#verdict.intercepted) this.#verdict = undefined;
    this.#arm();
  }

  /** Another network, or awake again. */
  handleMove(): void {
    this.#forget();
    this.#isIgnored = false;
    this.#fruitless = 0;
    this.#verdict = undefined;
    this.#movedAt = this.#options.clock.now();
    this.#arm();
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#asking?.abort();
  }

  #isWanted(): boolean {
    return this.#options.settings.current['portal.detection'];
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#isClosed || this.#asking !== undefined || !this.#isWanted()) return;
    const { state, clock, schedule = afterIdle } = this.#options;
    const now = clock.now();
    const at = lookAt(state(), this.#looking(), now);
    if (at === undefined) return;
    this.#cancel = schedule(() => void this.#look(), Math.max(0, Math.ceil(at - now)));
  }

  #looking(): Looking {
    return {
      troubleSince: this.#troubleSince,
      lastAt: this.#lastAt,
      fruitless: this.#fruitless,
      portalSince: this.#signIn?.since,
      movedAt: this.#movedAt,
    };
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { ask, state, settings, edgeOf, clock, log } = this.#options;
    const asking = new AbortController();
    this.#asking = asking;
    const movedAt = this.#movedAt;
    try {
      const before = state();
      const edge = 'edge' in before && before.edge !== undefined ? edgeOf(before.edge) : undefined;
      const probes = probesOf(settings.current['portal.probes']);
      const answers = await ask(edge === undefined ? { probes } : { probes, edge }, asking.signal);
      // Of the network before: it says nothing about this one.
      if (this.#isClosed || this.#movedAt !== movedAt) return;
      const verdict = judgePortal(answers);
      log.info('asked whether the network wants a sign-in', { verdict: verdict.kind });
      await this.#heed(verdict, probes);
    } catch (error) {
      log.warn('the network could not be asked for a sign-in', { text: String(error) });
    } finally {
      this.#asking = undefined;
      this.#lastAt = clock.now();
      this.#fruitless += 1;
      if (this.#movedAt === movedAt) this.#movedAt = undefined;
      this.#arm();
    }
  }

  async #heed(verdict: PortalVerdict, probes: readonly PortalProbe[]): Promise<void> {
    const { state, send, network, settings } = this.#options;
    const movedAt = this.#movedAt;
    const id = await network().catch(() => undefined);
    this.#isIgnored = id !== undefined && ignoredNetworks(settings.current).includes(id);
    this.#verdict = verdict;
    if (verdict.kind === 'portal' && !this.#isIgnored) {
      const found = await this.#signInFor(verdict.places, probes);
      const isNew = JSON.stringify(found.way) !== JSON.stringify(this.#signIn?.way);
      const { kind } = state();
      const isOn = kind === 'portal' || kind === 'dns' || isTroubled(state());
      if (!isOn || this.#isClosed || this.#movedAt !== movedAt) return;
      this.#signIn = found;
      if (kind === 'dns') {
        if (isNew) send({ kind: 'dns-changed' });
      } else if (isNew || kind !== 'portal') {
        send({ kind: 'portal-found', way: found.way });
      }
      return;
    }
    if (verdict.kind === 'online' && (this.#signIn !== undefined || state().kind === 'portal'))
      this.#passed();
  }

  /** Somebody signed in. */
  #passed(): void {
    const { state, send, log } = this.#options;
    log.info('the network wants no sign-in any more');
    this.#forget();
    const { kind } = state();
    if (kind === 'portal') send({ kind: 'portal-passed' });
    // What waited or failed meanwhile is tried again at once.
    else if (kind === 'connecting' || kind === 'waiting' || kind === 'dns') send({ kind: 'network-news' });
  }

  #forget(): void {
    this.#signIn = undefined;
  }

  #hosts(places: readonly SignInPlace[]): readonly string[] {
    const { settings } = this.#options;
    const url = signInUrl(probesOf(settings.current['portal.probes']));
    const own = url === undefined ? [] : [new URL(url).hostname.replace(/^\[|\]$/g, '')];
    return [...new Set([...own, ...places.map(({ host }) => host)])].slice(0, maxPlaces);
  }

  /** Where the page that we offer leads, and what it named; those of earlier rounds stay, for sign-ins of several steps. */
  async #signInFor(named: readonly SignInPlace[], probes: readonly PortalProbe[]): Promise<SignIn> {
    const { lookUp, servers, clock } = this.#options;
    const known = this.#signIn;
    const offered = signInUrl(probes);
    const own = offered === undefined ? [] : [placeOf(offered)];
    const seen = new Map<string, SignInPlace>();
    for (const place of [...own, ...(known?.places ?? []), ...named]) {
      const key = `${place.host} ${place.port}`;
      if (seen.size < maxPlaces && !seen.has(key)) seen.set(key, place);
    }
    const places = [...seen.values()];
    const signal = AbortSignal.timeout(lookUpMs);
    const found = await Promise.all(places.map(({ host }) => lookUp(host, signal).catch(() => [])));
    let addresses: readonly SignInAddress[] = known?.way.addresses ?? [];
    for (const [i, place] of places.entries()) {
      addresses = withAddresses(addresses, place, (found[i] ?? []).slice(0, maxOfName));
    }
    return { since: known?.since ?? clock.now(), places, way: { servers: servers(), addresses } };
  }
}

function placeOf(url: string): SignInPlace {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 80 : Number(port) };
}
