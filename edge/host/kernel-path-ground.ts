/**
 * The paths that stand on this host: for each its rule, its routing table, and the tunnel of a path of type
 * wireguard. Follows what the host has; called by one caller at a time (kernel-paths.ts).
 */

import { readFileSync } from 'node:fs';
import type { Log } from '../../shared/core/base/ports.ts';
import type { Run } from '../../shared/node/run.ts';
import type { PathConfig } from '../config-paths.ts';
import type { Timing } from '../egress/dial-race.ts';
import type { KernelSettings } from './forwarding.ts';
import type { HostJournal } from './journal.ts';
import { hopInterfaceOf, PathSlots } from './kernel-marks.ts';
import type { KernelPath } from './kernel-path-dial.ts';
import { PathHop } from './kernel-path-hop.ts';
import {
  addPathRule,
  applyPathRoutes,
  loosenReversePath,
  pathRouteOf,
  readHostFacts,
  removePathRoute,
  routesSignature,
} from './kernel-path-host.ts';
import { pathKey, type SlottedPath, wayOf } from './kernel-path-plan.ts';
import { type HostFacts, planPathRoutes, type RouteFamily } from './kernel-path-routes.ts';

export interface GroundTools {
  readonly journal: HostJournal;
  readonly run: Run;
  readonly settings: KernelSettings;
  readonly log: Log;
  readonly timing: Timing;
  /** The other side of a path's tunnel fell silent, or is heard again. */
  readonly onSilence: () => void;
}

interface StandingPath extends SlottedPath {
  hop: PathHop | undefined;
  /** Routes as they were set last. */
  lines: Readonly<Record<RouteFamily, readonly string[]>>;
}

/** The path as measurements know it. */
type MeasuredPath = Pick<KernelPath, 'follow' | 'followHop'> | undefined;

export class PathGround {
  readonly #tools: GroundTools;
  /** Of the tunnel. */
  readonly #families: readonly RouteFamily[];
  readonly #slots = new PathSlots();
  readonly #standing: Map<string, StandingPath> = new Map();
  #signature = '';

  constructor(tools: GroundTools, families: readonly RouteFamily[]) {
    this.#tools = tools;
    this.#families = families;
  }

  get paths(): readonly SlottedPath[] {
    return [...this.#standing.values()];
  }

  /** Slots of tunnels whose other side does not answer. */
  get silent(): readonly number[] {
    return [...this.#standing.values()].flatMap(({ hop, slot }) => (hop?.isSilent === true ? [slot] : []));
  }

  /** In the order of the file; what does not stand is left out. */
  ordered(configs: readonly PathConfig[]): readonly SlottedPath[] {
    return configs.flatMap((config) => this.#standing.get(pathKey(config)) ?? []);
  }

  /** Makes those stand that do not yet. Returns them; on an error none of them stands. */
  async raise(configs: readonly PathConfig[]): Promise<readonly PathConfig[]> {
    const added: PathConfig[] = [];
    try {
      for (const config of configs) {
        if (this.#standing.has(pathKey(config))) continue;
        added.push(config);
        await this.#stand(config);
      }
    } catch (cause) {
      await this.lower(added);
      throw cause;
    }
    return added;
  }

  async lower(configs: readonly PathConfig[]): Promise<void> {
    for (const config of configs) await this.#fall(config);
    this.#slots.keep(new Set(this.#standing.keys()));
  }

  /** All but these. */
  async keep(configs: readonly PathConfig[]): Promise<void> {
    const kept = new Set(configs.map(pathKey));
    await this.lower(this.paths.map((one) => one.config).filter((one) => !kept.has(pathKey(one))));
  }

  /** Whether the host may have changed since the last look. Costs a few reads of small files. */
  hasMoved(): boolean {
    return this.#signatureNow() !== this.#signature;
  }

  /** Makes the routes of all paths follow what the host has now, and tells each. */
  async look(measured: (id: string) => MeasuredPath): Promise<void> {
    this.#signature = this.#signatureNow();
    const facts = await readHostFacts(this.#tools.run);
    for (const path of this.#standing.values()) await this.#lead(path, facts, measured(path.config.id));
    // Our own routes are among what was compared.
    this.#signature = this.#signatureNow();
  }

  /** Ends the tunnels. Rules and tables are the journal's. */
  async close(): Promise<void> {
    for (const { hop } of this.#standing.values()) await hop?.close();
    this.#standing.clear();
  }

  /** Its routes come with the next look. */
  async #stand(config: PathConfig): Promise<void> {
    const { run, journal } = this.#tools;
    const key = pathKey(config);
    const slot = this.#slots.take(key);
    if (hasTable(config)) await addPathRule(slot, this.#families, { run, journal });
    const hop = await this.#openHop({ config, slot });
    this.#standing.set(key, { config, slot, hop, lines: { v4: [], v6: [] } });
  }

  async #openHop({ config, slot }: SlottedPath): Promise<PathHop | undefined> {
    if (config.type !== 'wireguard') return undefined;
    const { id, hop } = config;
    return PathHop.open({ ...this.#tools, id, config: hop, interfaceName: hopInterfaceOf(slot) });
  }

  async #fall(config: PathConfig): Promise<void> {
    const key = pathKey(config);
    await this.#standing.get(key)?.hop?.close();
    this.#standing.delete(key);
    if (hasTable(config)) await removePathRoute(pathRouteOf(this.#slots.take(key)), this.#tools.run);
  }

  async #lead(path: StandingPath, facts: HostFacts, measured: MeasuredPath): Promise<void> {
    const way = wayOf(path);
    if (way === undefined) {
      measured?.follow(new Set(), undefined);
      return;
    }
    const { run, journal, settings, log } = this.#tools;
    const { lines, families, interfaceName, trouble } = planPathRoutes(way, path.slot, facts);
    try {
      if (path.hop?.hasEnded === true) {
        await path.hop.close();
        path.hop = await this.#openHop(path);
      }
      if (way.kind === 'source' && interfaceName !== undefined && trouble === undefined) {
        loosenReversePath(interfaceName, journal, settings);
      }
      for (const family of hasTable(path.config) ? this.#families : []) {
        const wanted = lines?.[family] ?? [];
        await applyPathRoutes(family, wanted, path.lines[family], run);
        path.lines = { ...path.lines, [family]: wanted };
      }
      measured?.follow(families, trouble);
      const { hop } = path;
      if (hop !== undefined) measured?.followHop(hop);
    } catch (cause) {
      measured?.follow(new Set(), 'its routes cannot be set');
      log.warn('the routes of a path cannot be set', { path: path.config.id, why: String(cause) });
    }
  }

  #signatureNow(): string {
    const links = this.paths.map(({ config }) =>
      config.type === 'source' ? linkState(config.interfaceName) : '',
    );
    return `${routesSignature()}\n${links.join()}`;
  }
}

function hasTable({ type }: PathConfig): boolean {
  return type === 'source' || type === 'wireguard';
}

function linkState(interfaceName: string | undefined): string {
  if (interfaceName === undefined) return '';
  try {
    return readFileSync(`/sys/class/net/${interfaceName}/operstate`, 'latin1');
  } catch {
    return 'gone';
  }
}
