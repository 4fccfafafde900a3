/**
 * The control API's operations: check, send the event to the driver, answer. No decisions about the
 * connection.
 */

import { isDeepStrictEqual } from 'node:util';
import type {
  ConnectRequest,
  EdgeEntry,
  ImportRequest,
  ImportResult,
  ModeList,
  SettingEntry,
  SettingsPatch,
} from '../../shared/core/control/api.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type {
  EnrolledDevice,
  EnrollRequest,
  EnrollResult,
  RegistrationView,
} from '../../shared/core/control/enroll-api.ts';
import type { HealthItem } from '../../shared/core/control/health.ts';
import type { NetRoutes } from '../../shared/core/control/net-api.ts';
import { type Mode, modes, parseMode, type Status } from '../../shared/core/control/status.ts';
import { formatHostPort } from '../../shared/core/uapi/values.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Handlers } from '../../shared/node/control/socket-server.ts';
import { type ConnectionState, noEdge, reachOf } from '../connection/state.ts';
import type { Driver } from '../driver/driver.ts';
import { tunnelOf } from '../driver/effects.ts';
import type { DnsPort, ProxyPort, TunnelPort } from '../driver/ports.ts';
import type { EnrollmentDesk } from '../enroll/enrollment-desk.ts';
import { standIns } from '../failover/stand-ins.ts';
import type { DnsDesk } from '../host/private-dns.ts';
import type { PortalDesk } from '../portal/portal-desk.ts';
import type { EdgeStore, StoredEdge } from '../settings/edges.ts';
import { ignoredParts } from '../settings/edges.ts';
import { listSettings, proxyAccessOf, type Settings, settingNames } from '../settings/schema.ts';
import type { SettingsStore } from '../settings/store.ts';
import type { TransportChoice } from '../transport/edge-ways.ts';
import type { LogRing } from './log-ring.ts';
import type { RestDesk } from './rest-desk.ts';
import { edgeIn, snapshot } from './snapshot.ts';
import type { SplitDesk } from './split-desk.ts';
import type { Ways } from './ways.ts';

export interface MethodsOptions {
  readonly driver: Driver;
  /** Of the whole device. */
  readonly tunnel: TunnelPort;
  readonly proxy: ProxyPort;
  readonly dns: DnsPort & DnsDesk;
  readonly settings: SettingsStore;
  readonly edges: EdgeStore;
  readonly enrollment: EnrollmentDesk;
  /** What the edge said about itself. */
  readonly edgeHealth: () => readonly HealthItem[];
  readonly split: Pick<SplitDesk, 'handlers' | 'health'>;
  readonly ways: Pick<Ways, 'handlers' | 'additions'>;
  readonly rest: RestDesk;
  /** Netcheck and doctor. */
  readonly diagnose: (status: () => Promise<Status>) => Pick<Handlers, keyof NetRoutes>;
  readonly portal: Pick<PortalDesk, 'report' | 'open' | 'ignore' | 'status' | 'health'>;
  /** What carries the tunnel, as people read it; absent: UDP. */
  readonly transport?: { shown(status: Status): Status; check(edge: string, choice: TransportChoice): void };
  /** Edges that did not answer a moment ago; absent: none. */
  readonly failover?: { readonly desk: { isSilent(edge: string): boolean } };
  /** Says whether the tunnel is safe from quantum computers; absent: never. */
  readonly quantum?: { shown(status: Status): Status };
  /** What is to be known about the network around, and about being off. */
  readonly hostHealth: (state: ConnectionState) => readonly HealthItem[];
  /** After a change, for whoever else goes by the settings. */
  readonly onSettings: (before: Settings, now: Settings) => void;
  readonly logs: LogRing;
  readonly clock: Clock;
  readonly version: string;
  /** Throws where this machine cannot carry that mode. */
  readonly checkMachine: (mode: Mode) => void;
}

export class Methods {
  readonly #options: MethodsOptions;

  constructor(options: MethodsOptions) {
    this.#options = options;
  }

  /** What the control socket serves. */
  handlers(): Handlers {
    return {
      status: () => this.status(),
      connect: (body) => this.#connect(body, 'connect'),
      reconnect: (body) => this.#connect(body, 'reconnect'),
      disconnect: () => this.#disconnect(),
      pause: ({ forMs }) => this.#pause(forMs),
      trusted: () => this.#options.rest.list(),
      trust: ({ ssid }) => this.#options.rest.trust(ssid),
      distrust: ({ ssid }) => this.#options.rest.distrust(ssid),
      portal: () => this.#options.portal.report(),
      openPortal: () => this.#options.portal.open(),
      ignorePortal: () => this.#options.portal.ignore(),
      edges: () => this.#listEdges(),
      importEdge: (body) => this.#import(body),
      enroll: (body) => this.#enroll(body),
      registration: ({ edge }) => this.#registration(edge),
      rotateKeys: ({ edge }) => this.#rotateKeys(edge),
      deleteRegistration: ({ edge }) => this.#deleteRegistration(edge),
      sendFeedback: ({ edge, ...words }) =>
        this.#options.enrollment.sendFeedback(this.#edgeMeant(edge), words),
      useEdge: ({ name }) => this.#useEdge(name),
      removeEdge: ({ name }) => this.#removeEdge(name),
      modes: () => this.#listModes(),
      settings: () => this.#listSettings(),
      changeSettings: (patch) => this.#changeSettings(patch),
      dns: () => this.#options.dns.report(),
      testName: (body) => this.#options.dns.test(body),
      proxyLogin: () => proxyAccessOf(this.#options.settings.current).credentials ?? {},
      logs: ({ after }) => this.#options.logs.read(after),
      ...this.#options.diagnose(() => this.status()),
      ...this.#options.split.handlers(),
      ...this.#options.ways.handlers(),
    };
  }

  async status(): Promise<Status> {
    const { driver, proxy, dns, settings, version } = this.#options;
    const reach = 'reach' in driver.state ? driver.state.reach : 'device';
    // Ending at this moment: no counters.
    const device = await tunnelOf(reach, this.#options)
      .status()
      .catch(() => undefined);
    const { state } = driver;
    const since = new Date(driver.since).toISOString();
    const shown = snapshot({
      state,
      mode: settings.current.mode,
      since,
      verifiedAt: state.kind === 'connected' ? since : undefined,
      edge: reachOf(settings.current.mode) === 'dns' ? undefined : this.#edgeFor(edgeIn(state)),
      device,
      interfaceName: settings.current['tunnel.interface'],
      proxy: proxy.place,
      dns: dns.view,
      version,
    });
    const { edgeHealth, split } = this.#options;
    const health = [
      ...this.#options.portal.health(),
      ...edgeHealth(),
      ...shown.health,
      ...split.health(),
      ...this.#options.hostHealth(state),
    ];
    const status: Status = { ...shown, ...this.#restView(state), ...this.#options.ways.additions, health };
    const carried = this.#options.transport?.shown(status) ?? status;
    return this.#options.quantum?.shown(carried) ?? carried;
  }

  #restView(state: ConnectionState): Pick<Status, 'resumesAt' | 'reason' | 'portal'> {
    const { rest, portal } = this.#options;
    const { text: _, ...view } = rest.view;
    if (state.kind === 'off') return view;
    return portal.status === undefined ? {} : { portal: portal.status };
  }

  async #pause(forMs: number): Promise<Status> {
    const { driver, rest } = this.#options;
    rest.pause(forMs);
    await driver.idle();
    return this.status();
  }

  async #connect(body: ConnectRequest, kind: 'connect' | 'reconnect'): Promise<Status> {
    const { driver, settings, edges, checkMachine } = this.#options;
    const { mode } = settings.current;
    const reach = reachOf(mode);
    // Private names need no edge.
    const edge = reach === 'dns' ? noEdge : edges.profile(body.edge ?? this.#selected().name).name;
    checkMachine(mode);
    if (reach !== 'dns') this.#options.transport?.check(edge, settings.current.transport);
    await this.#options.rest.handleConnect();
    driver.send({ kind, edge, reach });
    return this.status();
  }

  async #disconnect(): Promise<Status> {
    const { driver, rest } = this.#options;
    rest.handleDisconnect();
    driver.send({ kind: 'disconnect' });
    await driver.idle();
    const { state } = driver;
    if (state.kind === 'blocked') throw new CulvertError(state.problem.code, state.problem);
    return this.status();
  }

  #listEdges(): readonly EdgeEntry[] {
    const { edges } = this.#options;
    const list = edges.list();
    const selected = list.length === 0 ? undefined : this.#selectedOr(list)?.name;
    return list.map((edge) => entryOf(edge, edge.name === selected));
  }

  #import(body: ImportRequest): ImportResult {
    const { edges, settings, clock } = this.#options;
    const { edge, replaced } = edges.add(body.name, body.conf, new Date(clock.unix()).toISOString());
    // The newest is used, whatever was chosen before.
    settings.change({ edge: null });
    return { edge: entryOf(edge, true), replaced, ignored: ignoredParts(edge.config) };
  }

  async #enroll({ link, name }: EnrollRequest): Promise<EnrollResult> {
    const { edge, device } = await this.#options.enrollment.enroll(link, name);
    // The newest is used, whatever was chosen before.
    this.#options.settings.change({ edge: null });
    return { edge: entryOf(edge, true), device: enrolledDevice(device) };
  }

  async #registration(edge: string | undefined): Promise<RegistrationView> {
    const { registration, device, ...found } = await this.#options.enrollment.show(this.#edgeMeant(edge));
    const { enrolledAt } = registration;
    return { ...found, api: formatHostPort(registration), enrolledAt, device: enrolledDevice(device) };
  }

  async #rotateKeys(wanted: string | undefined): Promise<EdgeEntry> {
    const { driver, enrollment, settings } = this.#options;
    const edge = this.#edgeMeant(wanted);
    const stored = await enrollment.rotateKeys(edge);
    const isUsed = edgeIn(driver.state) === edge;
    if (isUsed) driver.send({ kind: 'reconnect', edge, reach: reachOf(settings.current.mode) });
    return entryOf(stored, this.#selectedOr(this.#options.edges.list())?.name === edge);
  }

  async #deleteRegistration(wanted: string | undefined): Promise<readonly EdgeEntry[]> {
    const { driver, enrollment, settings } = this.#options;
    const edge = this.#edgeMeant(wanted);
    if (edgeIn(driver.state) === edge) {
      throw new CulvertError('edge-in-use', { text: `The edge '${edge}' is in use now.` });
    }
    await enrollment.remove(edge);
    if (settings.current.edge === edge) settings.change({ edge: null });
    return this.#listEdges();
  }

  #edgeMeant(edge: string | undefined): string {
    return edge ?? edgeOf(this.#options.driver.state) ?? this.#selected().name;
  }

  #useEdge(name: string): readonly EdgeEntry[] {
    const { edges, settings } = this.#options;
    if (name !== 'auto') edges.profile(name);
    settings.change({ edge: name });
    return this.#listEdges();
  }

  #removeEdge(name: string): readonly EdgeEntry[] {
    const { driver, edges, settings } = this.#options;
    if (edgeIn(driver.state) === name) {
      throw new CulvertError('edge-in-use', { text: `The edge '${name}' is in use now.` });
    }
    edges.remove(name);
    this.#options.enrollment.forget(name);
    if (settings.current.edge === name) settings.change({ edge: null });
    return this.#listEdges();
  }

  #listModes(): ModeList {
    const { checkMachine } = this.#options;
    const available = (mode: Mode): boolean => {
      try {
        checkMachine(mode);
        return true;
      } catch {
        return false; // Choosing it says why.
      }
    };
    return {
      mode: this.#options.settings.current.mode,
      modes: modes.map((mode) => ({ mode, available: available(mode) })),
    };
  }

  /** Without secrets. */
  settings(): readonly SettingEntry[] {
    return this.#listSettings();
  }

  #listSettings(): readonly SettingEntry[] {
    const { current, defaults } = this.#options.settings;
    return listSettings(current, defaults);
  }

  #changeSettings(patch: SettingsPatch): readonly SettingEntry[] {
    const { driver, settings, edges, checkMachine } = this.#options;
    const before = settings.current;
    const { edge } = patch;
    const mode = wantedMode(patch, settings.defaults);
    const isOn = driver.state.kind !== 'off';
    // A mode that cannot work here must not take the place of one that works now.
    if (mode !== undefined && isOn && mode !== before.mode) checkMachine(mode);
    const inUse = edgeOf(driver.state);
    if (patch['transport'] === 'tls' && inUse !== undefined) this.#options.transport?.check(inUse, 'tls');
    if ('tunnel.interface' in patch && isOn) {
      throw new CulvertError('bad-setting', {
        text: 'The interface cannot be renamed while protection is on.',
        remedy: 'First: culvert disconnect',
      });
    }
    if (typeof edge === 'string' && edge !== 'auto') edges.profile(edge);
    if (patch['lockdown'] !== undefined && patch['lockdown'] !== null) checkMachine('tunnel');
    this.#follow(before, settings.change(patch));
    return this.#listSettings();
  }

  /** What a change means for a connection that is on: another reach or another port is a new tunnel. */
  #follow(before: Settings, now: Settings): void {
    const { driver, onSettings } = this.#options;
    const { state } = driver;
    onSettings(before, now);
    if (!('reach' in state)) return;
    const reach = reachOf(now.mode);
    const isOther = reachOf(before.mode) !== reach;
    const edge =
      reach === 'dns' ? noEdge : (edgeOf(state) ?? this.#selectedOr(this.#options.edges.list())?.name);
    const isMoved = reach === 'proxy' && !isDeepStrictEqual(proxyAccessOf(before), proxyAccessOf(now));
    const moves = isMoved || (reach !== 'dns' && before.transport !== now.transport);
    if (isOther && edge === undefined) driver.send({ kind: 'disconnect' });
    else if (edge !== undefined && (isOther || moves)) driver.send({ kind: 'reconnect', edge, reach });
    else if (isDnsChange(before, now)) driver.send({ kind: 'dns-changed' });
  }

  /** The edge that `connect` takes. */
  #selected(): StoredEdge {
    const edge = this.#selectedOr(this.#options.edges.list());
    if (edge === undefined) throw new CulvertError('no-edge');
    return edge;
  }

  #selectedOr(list: readonly StoredEdge[]): StoredEdge | undefined {
    const chosen = this.#options.settings.current.edge;
    if (chosen !== 'auto') return list.find((edge) => edge.name === chosen) ?? list[0];
    const [newest] = list;
    if (newest === undefined) return undefined;
    const others = standIns(list, newest.name);
    const able = list.filter((edge) => edge === newest || others.includes(edge.name));
    return able.find((edge) => this.#options.failover?.desk.isSilent(edge.name) !== true) ?? newest;
  }

  #edgeFor(name: string | undefined): StoredEdge | undefined {
    const list = this.#options.edges.list();
    return name === undefined ? this.#selectedOr(list) : list.find((edge) => edge.name === name);
  }
}

/** The mode that a patch asks for; undefined where it asks for none, or for one that does not exist. */
function wantedMode(patch: SettingsPatch, defaults: Settings): Mode | undefined {
  const { mode } = patch;
  if (mode === null) return defaults.mode;
  return typeof mode === 'string' ? parseMode(mode) : undefined;
}

/** The edge that a state with a reach is about, or on its way to. */
function edgeOf(state: ConnectionState): string | undefined {
  const edge = state.kind === 'disconnecting' ? state.next?.edge : edgeIn(state);
  return edge === noEdge ? undefined : edge;
}

function isDnsChange(before: Settings, now: Settings): boolean {
  if (before.mode !== now.mode) return true;
  return settingNames.some((name) => name.startsWith('dns.') && before[name] !== now[name]);
}

function enrolledDevice(device: EnrolledDevice): EnrolledDevice {
  const { id, name, publicKey, addresses, enabled, path } = device;
  return { id, name, publicKey, addresses, enabled, path };
}

function entryOf(edge: StoredEdge, selected: boolean): EdgeEntry {
  const endpoint = edge.config.peers.find((peer) => peer.endpoint !== undefined)?.endpoint;
  return {
    name: edge.name,
    endpoint: endpoint === undefined ? '' : formatHostPort(endpoint),
    addresses: edge.config.interface.addresses,
    addedAt: edge.addedAt,
    selected,
  };
}
