/**
 * DNS as the mode says: our stub with its private upstreams, or the edge's own resolver, and this system told to ask
 * there. Joins client/resolver and host/dns; decides nothing that they do not.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { DnsReport, DnsTest, DnsTestRequest } from '../../shared/core/control/api.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type HealthItem, healthItem } from '../../shared/core/control/health.ts';
import type { Run } from '../../shared/node/run.ts';
import type { DnsPlan, DnsPort, DnsView } from '../driver/ports.ts';
import { answerOf, compareWithNetwork, questionFor, questionTypes, typeName } from '../resolver/name-test.ts';
import {
  type AroundTunnel,
  formatPlace,
  type PrivateDns,
  type PrivateDnsSettings,
} from '../resolver/private-dns.ts';
import type { StubPlace } from '../resolver/stub.ts';
import type { DnsDecision } from './dns/detect.ts';
import { indexOf, type OwnLink } from './dns/own-link.ts';
import type { SystemDns } from './dns/system-dns.ts';
import type { DnsGuard, OtherResolver } from './firewall/dns-guard.ts';

/** What the control API asks beside the driver. */
export interface DnsDesk {
  report(): DnsReport;
  /** Rejects with 'dns-off' where nothing answers now. */
  test(request: DnsTestRequest): Promise<DnsTest>;
}

export interface HostDnsOptions {
  /** Throws CulvertError where the settings make no sense. */
  readonly settingsFor: (transport: 'doh' | 'dot') => PrivateDnsSettings;
  /** For a stub in front of the edge's resolver; undefined where no rule of the user needs one. */
  readonly settingsBefore?: (edgeServers: readonly string[]) => PrivateDnsSettings | undefined;
  readonly places: () => readonly StubPlace[];
  readonly open: (
    settings: PrivateDnsSettings,
    edgeServers: () => readonly string[],
    around: () => AroundTunnel | undefined,
  ) => PrivateDns;
  /** The way for names of the user's rules beside the tunnel; absent: there is none. */
  readonly around?: AroundTunnel;
  readonly system: SystemDns;
  /** Whether this process may change the system's DNS. */
  readonly mayChange: () => boolean;
  /** Undoes what an earlier run left of DNS. */
  readonly undoLeft: () => Promise<void>;
  /** Refuses other programs that ask servers of their own. */
  readonly guard: DnsGuard;
  /** Whether it should; and who besides us asks for names of the network. */
  readonly guardPlan: (owner: DnsDecision['owner']) => GuardPlan;
  readonly openLink: (run: Run, log: Log) => Promise<OwnLink>;
  readonly run: Run;
  readonly log: Log;
}

export interface GuardPlan {
  readonly isWanted: boolean;
  readonly other?: OtherResolver | undefined;
}

/** The port that every program asks by itself. */
const dnsPort = 53;

export class HostDns implements DnsPort, DnsDesk {
  readonly #options: HostDnsOptions;
  #dns: PrivateDns | undefined;
  #link: OwnLink | undefined;
  #edgeServers: readonly string[] = [];
  #hasTunnel = false;
  #mode: DnsPlan['mode'] | undefined;
  /** What the mode says is done, or was tried. */
  #isStarted = false;
  #isTaken = false;
  #isLost = false;
  /** Port 53 should be closed for others. */
  #wantsGuard = false;

  constructor(options: HostDnsOptions) {
    this.#options = options;
  }

  get view(): DnsView {
    if (!this.#isStarted) return { health: [] };
    const health = this.#health();
    return this.#dns?.place === undefined ? { health } : { status: this.#dns.status(), health };
  }

  prepare({ mode }: DnsPlan): void {
    if (this.#options.mayChange() && mode !== 'tunnel_only') this.#options.system.prepare();
  }

  async start(plan: DnsPlan): Promise<void> {
    try {
      await this.#start(plan);
    } finally {
      this.#isStarted = true;
    }
  }

  async #start(plan: DnsPlan): Promise<void> {
    const { mode, tunnel } = plan;
    this.#mode = mode;
    this.#isLost = false;
    this.#edgeServers = tunnel?.edge.config.interface.dns ?? [];
    this.#hasTunnel = tunnel !== undefined;
    const link = (): Promise<number | undefined> => this.#linkFor(tunnel?.interfaceName);
    const settings = this.#settingsOf(mode);
    if (settings !== undefined) {
      await this.#answer(settings);
      const own = this.#ownServers();
      // Where programs cannot ask us, the edge's resolver is better than nothing.
      await this.#tell(own.length === 0 && mode === 'tunnel' ? this.#edgeServers : own, link);
      await this.#guard(mode);
      await this.#openAround();
      return;
    }
    await this.#guard(mode);
    await this.#silence();
    // The edge's resolver, plain inside the tunnel.
    await this.#tell(mode === 'tunnel' ? this.#edgeServers : [], link);
    await this.#openAround();
  }

  /** What the stub is to do; undefined where there is to be none. */
  #settingsOf(mode: DnsPlan['mode']): PrivateDnsSettings | undefined {
    const { settingsFor, settingsBefore } = this.#options;
    const transport = transportOf(mode);
    if (transport !== undefined) return settingsFor(transport);
    return mode === 'tunnel' && this.#edgeServers.length > 0
      ? settingsBefore?.(this.#edgeServers)
      : undefined;
  }

  /** Exactly the servers of the user's rules may be asked beside the tunnel. */
  async #openAround(): Promise<void> {
    await this.#options.around?.open(this.#hasTunnel ? (this.#dns?.ruleServers ?? []) : []);
  }

  async stop(): Promise<void> {
    this.#mode = undefined;
    this.#isStarted = false;
    this.#isTaken = false;
    this.#wantsGuard = false;
    this.#hasTunnel = false;
    try {
      await this.#options.guard.release();
      await this.#options.system.release();
      await this.#options.undoLeft();
    } finally {
      await this.#silence();
      await this.#openAround();
    }
  }

  /** The split tunnel watches other names now. */
  handleWatchChange(): void {
    this.#dns?.handleWatchChange();
  }

  /** The system's file is another program's now. */
  handleLost(): void {
    this.#isLost = true;
  }

  report(): DnsReport {
    const { system } = this.#options;
    const { status } = this.view;
    const decision = system.decision;
    const stats = this.#dns?.stats();
    return {
      ...(status === undefined ? {} : { status }),
      ...(decision === undefined ? {} : { system: { owner: decision.owner, because: decision.because } }),
      answers: stats?.answers ?? {},
      cache: stats?.cache ?? { hits: 0, misses: 0, entries: 0 },
      upstreams: (stats?.upstreams ?? []).map(
        ({ name, isEncrypted, isDown, rttMs, queries, answers, failures }) => ({
          name,
          isEncrypted,
          isDown,
          queries,
          answers,
          failures,
          ...(rttMs === undefined ? {} : { rttMs: rounded(rttMs) }),
        }),
      ),
      blockLists: stats?.blockLists ?? [],
      queries: (this.#dns?.queries() ?? []).map(({ at, name, type, origin, ms }) => ({
        at: new Date(at).toISOString(),
        name,
        type: typeName(type),
        origin,
        ms: rounded(ms),
      })),
    };
  }

  async test(request: DnsTestRequest): Promise<DnsTest> {
    const dns = this.#dns;
    if (dns?.place === undefined) throw new CulvertError('dns-off');
    const types = questionTypes(request.type);
    const query = questionFor(request.name, types[0] ?? 1);
    const answers = await Promise.all(types.map((type) => answerOf(dns, request.name, type)));
    // A name that stays here, or in this network, is nobody else's business: not for a test either.
    if (!dns.goesOutside(query)) {
      return { name: request.name, answers, upstreams: [] };
    }
    const [upstreams, network] = await Promise.all([dns.askEach(query), compareWithNetwork(dns, query)]);
    return { name: request.name, answers, upstreams, ...(network === undefined ? {} : { network }) };
  }

  /** Answers, with the settings of now. */
  async #answer(settings: PrivateDnsSettings): Promise<void> {
    const { open, places, around } = this.#options;
    const running = this.#dns;
    const wanted = places();
    if (running?.place !== undefined && isAmong(running.place, wanted)) {
      running.change(settings);
      running.handleNetworkChange();
      return;
    }
    await this.#silence();
    const dns = open(
      settings,
      () => this.#edgeServers,
      () => (this.#hasTunnel ? around : undefined),
    );
    try {
      await dns.listen(wanted);
    } catch (error) {
      await dns.close();
      throw error;
    }
    this.#dns = dns;
  }

  /** With a tunnel its own firewall says what leaves; and who asks elsewhere, because we were not taken, must be let. */
  async #guard(mode: DnsPlan['mode']): Promise<void> {
    const { guard, guardPlan, system } = this.#options;
    const isAlone = mode === 'doh' || mode === 'dot';
    const plan = guardPlan(system.decision?.owner ?? 'none');
    this.#wantsGuard = isAlone && this.#isTaken && plan.isWanted;
    if (this.#wantsGuard) await guard.apply(plan.other);
    else await guard.release();
  }

  /** Our own address, where it is one that the system can be told. */
  #ownServers(): readonly string[] {
    const place = this.#dns?.place;
    return place?.port === dnsPort ? [place.address] : [];
  }

  async #tell(servers: readonly string[], link: () => Promise<number | undefined>): Promise<void> {
    const { system, mayChange } = this.#options;
    if (servers.length === 0 || !mayChange()) {
      this.#isTaken = false;
      await system.release();
      return;
    }
    try {
      const { owner } = await system.apply({ servers, link });
      this.#isTaken = owner !== 'none';
    } catch (error) {
      this.#isTaken = false;
      throw error;
    }
  }

  /** The tunnel's link, or one for this alone. */
  async #linkFor(interfaceName: string | undefined): Promise<number | undefined> {
    const { openLink, run, log } = this.#options;
    try {
      if (interfaceName !== undefined) return indexOf(interfaceName);
      this.#link ??= await openLink(run, log);
      return this.#link.index;
    } catch (error) {
      log.warn('no link for systemd-resolved', { text: String(error) });
      return undefined;
    }
  }

  async #silence(): Promise<void> {
    const dns = this.#dns;
    this.#dns = undefined;
    this.#link?.close();
    this.#link = undefined;
    await dns?.close();
  }

  #health(): readonly HealthItem[] {
    const items: HealthItem[] = [];
    const place = this.#dns?.place;
    if (place !== undefined && !this.#isTaken) {
      const text = `Private DNS answers on ${formatPlace(place)}, but this system does not ask it.`;
      items.push({ ...healthItem('dns-not-taken'), text });
    }
    if (this.#mode === 'tunnel' && !this.#isTaken) items.push(healthItem('dns-not-managed'));
    if (this.#isLost) items.push(healthItem('dns-lost'));
    // Its program may have ended since.
    if (this.#wantsGuard && !this.#options.guard.isHolding) items.push(healthItem('dns-port-open'));
    if (this.#dns?.hasUnfiltered === true) items.push(healthItem('dns-unfiltered'));
    if (this.#dns?.isUnanswered === true) items.push(healthItem('dns-unanswered'));
    const untrusted = this.#dns?.untrusted ?? [];
    if (untrusted.length > 0) {
      const item = healthItem('dns-untrusted');
      items.push({ ...item, text: `${item.text} It is: ${untrusted.join(', ')}.` });
    }
    return items;
  }
}

function transportOf(mode: DnsPlan['mode']): 'doh' | 'dot' | undefined {
  if (mode === 'doh' || mode === 'tunnel+doh') return 'doh';
  return mode === 'dot' || mode === 'tunnel+dot' ? 'dot' : undefined;
}

function isAmong(place: StubPlace, places: readonly StubPlace[]): boolean {
  return places.some((one) => one.address === place.address && one.port === place.port);
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
