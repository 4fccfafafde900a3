/**
 * The control API's operations: check, send the event to the driver, answer. No decisions about the
 * connection.
 */

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
import { type Mode, modes, parseMode, type Status } from '../../shared/core/control/status.ts';
import { formatHostPort } from '../../shared/core/uapi/values.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Handlers } from '../../shared/node/control/socket-server.ts';
import type { Driver } from '../driver/driver.ts';
import type { TunnelPort } from '../driver/ports.ts';
import type { EdgeStore, StoredEdge } from '../settings/edges.ts';
import { ignoredParts } from '../settings/edges.ts';
import { listSettings } from '../settings/schema.ts';
import type { SettingsStore } from '../settings/store.ts';
import type { LogRing } from './log-ring.ts';
import { edgeIn, snapshot } from './snapshot.ts';

export interface MethodsOptions {
  readonly driver: Driver;
  readonly tunnel: TunnelPort;
  readonly settings: SettingsStore;
  readonly edges: EdgeStore;
  readonly logs: LogRing;
  readonly clock: Clock;
  readonly version: string;
  /** Throws where this machine cannot carry a whole-device mode. */
  readonly checkMachine: () => void;
}

/** The modes that this version carries out. */
export const availableModes: readonly Mode[] = ['tunnel', 'tunnel_only'];

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
      edges: () => this.#listEdges(),
      importEdge: (body) => this.#import(body),
      useEdge: ({ name }) => this.#useEdge(name),
      removeEdge: ({ name }) => this.#removeEdge(name),
      modes: () => this.#listModes(),
      settings: () => listSettings(this.#options.settings.current),
      changeSettings: (patch) => this.#changeSettings(patch),
      logs: ({ after }) => this.#options.logs.read(after),
    };
  }

  async status(): Promise<Status> {
    const { driver, tunnel, settings, version } = this.#options;
    const device = await tunnel.status().catch(() => undefined); // Ending at this moment: no counters.
    const { state } = driver;
    const since = new Date(driver.since).toISOString();
    return snapshot({
      state,
      mode: settings.current.mode,
      since,
      verifiedAt: state.kind === 'connected' ? since : undefined,
      edge: this.#edgeFor(edgeIn(state)),
      device,
      interfaceName: settings.current['tunnel.interface'],
      version,
    });
  }

  #connect(body: ConnectRequest, kind: 'connect' | 'reconnect'): Promise<Status> {
    const { driver, settings, edges, checkMachine } = this.#options;
    const { mode } = settings.current;
    refuseUnavailable(mode);
    const edge = edges.profile(body.edge ?? this.#selected().name).name;
    checkMachine();
    driver.send({ kind, edge });
    return this.status();
  }

  async #disconnect(): Promise<Status> {
    const { driver } = this.#options;
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
    if (settings.current.edge === name) settings.change({ edge: null });
    return this.#listEdges();
  }

  #listModes(): ModeList {
    const available = (mode: Mode): boolean => availableModes.includes(mode);
    return {
      mode: this.#options.settings.current.mode,
      modes: modes.map((mode) => ({ mode, available: available(mode) })),
    };
  }

  #changeSettings(patch: SettingsPatch): readonly SettingEntry[] {
    const { driver, settings, edges } = this.#options;
    const { edge, mode } = patch;
    const wanted = typeof mode === 'string' ? parseMode(mode) : undefined;
    if (wanted !== undefined) refuseUnavailable(wanted);
    if ('tunnel.interface' in patch && driver.state.kind !== 'off') {
      throw new CulvertError('bad-setting', {
        text: 'The interface cannot be renamed while protection is on.',
        remedy: 'First: culvert disconnect',
      });
    }
    if (typeof edge === 'string' && edge !== 'auto') edges.profile(edge);
    return listSettings(settings.change(patch));
  }

  /** The edge that `connect` takes. */
  #selected(): StoredEdge {
    const edge = this.#selectedOr(this.#options.edges.list());
    if (edge === undefined) throw new CulvertError('no-edge');
    return edge;
  }

  #selectedOr(list: readonly StoredEdge[]): StoredEdge | undefined {
    const chosen = this.#options.settings.current.edge;
    return chosen === 'auto' ? list[0] : (list.find((edge) => edge.name === chosen) ?? list[0]);
  }

  #edgeFor(name: string | undefined): StoredEdge | undefined {
    const list = this.#options.edges.list();
    return name === undefined ? this.#selectedOr(list) : list.find((edge) => edge.name === name);
  }
}

function refuseUnavailable(mode: Mode): void {
  if (availableModes.includes(mode)) return;
  throw new CulvertError('unsupported-mode', {
    text: `The mode ${mode} is not available yet.`,
    remedy: `Choose another one: culvert mode ${availableModes.join(' | culvert mode ')}`,
  });
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
