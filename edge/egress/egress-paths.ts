/**
 * All ways out of a rootless edge, put together: the paths of edge.yaml, what is measured of them, and the choice
 * among them. Lives in the flow worker.
 */

import { lookup } from 'node:dns/promises';
import { parseAddress } from '../../shared/core/base/ip.ts';
import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { StackTunnel } from '../../shared/node/flows/stack-tunnel.ts';
import { startIdleTimer } from '../../shared/node/idle-timer.ts';
import type { PathConfig, PathsConfig } from '../config-paths.ts';
import { type FlowRequest, PathChooser } from './choose-flow.ts';
import type { Timing } from './dial-race.ts';
import type { EgressPath } from './path.ts';
import { BlockPath } from './path-block.ts';
import { DirectPath } from './path-direct.ts';
import { HttpPath } from './path-http.ts';
import { reasonOf, type Standing, silenceOf } from './path-reason.ts';
import { Socks5Path } from './path-socks5.ts';
import { SourcePath } from './path-source.ts';
import { type HopConfig, type HopTunnel, WireguardPath } from './path-wireguard.ts';
import { ByteBudget, Prober } from './probe.ts';
import { PathReports } from './report.ts';
import type { EgressRule } from './rules.ts';
import { type Choice, type DevicePaths, PathSelector, type Question } from './select.ts';
import { type Explanation, explain } from './sentence.ts';

export interface EgressPathsOptions {
  readonly config: PathsConfig;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/** One path as status tells it. */
export interface PathStatus {
  readonly id: string;
  readonly type: EgressPath['type'];
  /** 'block' for one that leads nowhere. */
  readonly state: 'unknown' | 'good' | 'suspect' | 'recovering' | 'down' | 'drained' | 'block';
  /** Half a sentence where nothing can go there now. */
  readonly trouble: string | null;
  readonly isDefault: boolean;
  readonly rttMs: number | null;
  readonly lossPercent: number;
  /** Flows now, and since the start. */
  readonly flows: number;
  readonly opened: number;
  readonly failed: number;
  /** Of all flows since the start, 0 to 100. */
  readonly sharePercent: number;
  /** Both directions, since the start; absent where nobody counts. */
  readonly bytes?: number;
  /** How often the usual path moved to this one. */
  readonly switches?: number;
  /** How often it was asked since the start. */
  readonly probes?: number;
  /** Why it stands as it does: half a sentence. */
  readonly reason?: string;
}

/** For all measurements together: 10 kB/s at most, and that only in bursts. */
export const probeBytesPerSecond = 5000;
export const probeBurstBytes = 20_000;
const hopLimits = {
  connections: 16_384,
  timeWait: 16_384,
  udpFlows: 8192,
  connectionsPerSource: 16_384,
  udpFlowsPerSource: 8192,
};

export class EgressPaths {
  readonly chooser: PathChooser;
  readonly reports: PathReports;
  readonly selector: PathSelector;
  readonly #paths: readonly EgressPath[];
  readonly #prober: Prober;
  readonly #timing: Timing;
  #rules: readonly EgressRule[];

  /** Throws CulvertError where a tunnel of a path cannot be had. */
  constructor(options: EgressPathsOptions) {
    const { config, clock, entropy } = options;
    this.#timing = systemTiming(clock);
    this.#paths = config.paths.map((path) => openPath(path, options, this.#timing));
    this.#rules = config.rules;
    this.reports = new PathReports(config.paths.map((path) => path.id));
    this.selector = new PathSelector({ paths: this.#paths, rules: config.rules, reports: this.reports });
    const budget = new ByteBudget(probeBytesPerSecond, probeBurstBytes, () => clock.now());
    const maySpend = (bytes: number): boolean => budget.take(bytes);
    const parts = { paths: this.#paths, reports: this.reports, timing: this.#timing, maySpend };
    this.#prober = new Prober({ ...parts, plan: config.probe, random: () => randomOf(entropy) });
    this.chooser = new PathChooser({
      ...parts,
      // Nobody is asked beside a flow where probing is off.
      maySpend: (bytes) => config.probe.targets.length > 0 && maySpend(bytes),
      blocks: new Map(config.paths.flatMap((path) => (path.type === 'block' ? [[path.id, path.how]] : []))),
      selector: this.selector,
      onSuspect: (id) => this.#prober.hurry(id),
    });
  }

  setRules(rules: readonly EgressRule[]): void {
    this.#rules = rules;
    this.selector.setRules(rules);
  }

  setDevices(devices: ReadonlyMap<string, DevicePaths>): void {
    this.selector.setDevices(devices);
  }

  /** Where the flows of a device go unless a rule says otherwise. */
  usualPath(device: string | undefined): string {
    const carrying = this.#paths.find((path) => path.type !== 'block');
    this.selector.settle(this.#timing.now());
    return this.selector.pinOf(device) ?? this.selector.defaultPath ?? carrying?.id ?? 'none';
  }

  /** False where there is no such path. */
  drain(id: string, isDrained: boolean): boolean {
    if (!this.#paths.some((path) => path.id === id)) return false;
    this.selector.setDrained(id, isDrained);
    if (isDrained) this.chooser.pins.forget(id);
    return true;
  }

  /** Measures one path, or all, and waits for the answers. */
  async probe(id?: string): Promise<void> {
    const asked = this.#paths.filter((path) => id === undefined || path.id === id);
    await Promise.all(asked.map((path) => this.#prober.probe(path.id)));
  }

  why(request: FlowRequest, protocol: Question['protocol']): Explanation {
    const now = this.#timing.now();
    const { destination, device, name } = request;
    const question = { protocol, device, tags: [], ...destination, name };
    const ranked = this.selector.rank(question, now);
    const choice = this.chooser.explain(request, protocol);
    const candidates = choice.reason.by === 'auto' ? ranked : [];
    return explain({
      choice,
      trouble: this.#troubleOf(choice),
      candidates: candidates.map(({ id, costMs }) => ({ id, costMs, health: this.reports.health(id, now) })),
      name,
      hasHostRules: this.#rules.some((rule) => rule.match.host !== undefined),
    });
  }

  status(): readonly PathStatus[] {
    const loads = this.#paths.map((path) => this.chooser.pins.load(path.id));
    const all = loads.reduce((sum, load) => sum + load.opened, 0);
    const bytes = this.chooser.pins.bytes();
    this.selector.settle(this.#timing.now());
    const standings = this.#paths.map((path) => this.#standingOf(path));
    return this.#paths.map((path, i) => ({
      ...this.#statusOf(path, loads[i]?.opened ?? 0, all),
      bytes: path.bytes?.() ?? bytes.get(path.id) ?? 0,
      switches: this.selector.switchesTo(path.id),
      probes: this.#prober.asked(path.id),
      reason: reasonOf(standings[i] as Standing, standings),
    }));
  }

  close(): void {
    this.#prober.close();
    for (const path of this.#paths) path.close();
  }

  #troubleOf(choice: Choice): string | undefined {
    const path = choice.kind === 'path' ? this.#paths.find(({ id }) => id === choice.path) : undefined;
    if (path === undefined) return undefined;
    return path.trouble() ?? silenceOf(this.reports.health(path.id, this.#timing.now()));
  }

  #standingOf(path: EgressPath): Standing {
    const { id } = path;
    const now = this.#timing.now();
    const { connectMs, lossPercent } = this.reports.report(id, now);
    return {
      id,
      isBlock: path.type === 'block',
      isDefault: this.selector.defaultPath === id,
      isDrained: this.selector.isDrained(id),
      trouble: path.trouble(),
      health: this.reports.health(id, now),
      costMs: connectMs === undefined ? undefined : this.reports.expect(id, [], now).costMs,
      lossPercent,
    };
  }

  #statusOf(path: EgressPath, opened: number, all: number): PathStatus {
    const report = this.reports.report(path.id, this.#timing.now());
    const load = this.chooser.pins.load(path.id);
    const trouble = path.trouble();
    const health = trouble === undefined ? report.health : 'down';
    const state = path.type === 'block' ? 'block' : this.selector.isDrained(path.id) ? 'drained' : health;
    return {
      id: path.id,
      type: path.type,
      state,
      trouble: trouble ?? null,
      isDefault: this.selector.defaultPath === path.id,
      rttMs: report.connectMs === undefined ? null : Math.round(report.connectMs * 10) / 10,
      lossPercent: Math.round(report.lossPercent * 10) / 10,
      flows: load.flows,
      opened: load.opened,
      failed: load.failed,
      sharePercent: all === 0 ? 0 : Math.round((opened / all) * 1000) / 10,
    };
  }
}

function openPath(config: PathConfig, options: EgressPathsOptions, timing: Timing): EgressPath {
  switch (config.type) {
    case 'direct':
      return new DirectPath(config.id);
    case 'source':
      return new SourcePath(config.id, config);
    case 'socks5':
      return new Socks5Path(config.id, config);
    case 'http':
      return new HttpPath(config.id, config);
    case 'block':
      return new BlockPath(config.id);
    default:
      return openHop(config, options.log, timing);
  }
}

function openHop(
  { id, hop: config }: Extract<PathConfig, { type: 'wireguard' }>,
  log: Log,
  timing: Timing,
): WireguardPath {
  const path = new WireguardPath(id, {
    config,
    timing,
    openTunnel: (hop) => openTunnel(hop, log),
    lookUp: async (host) => {
      if (parseAddress(host) !== undefined) return host;
      return lookup(host).then(
        (found) => found.address,
        () => undefined,
      );
    },
  });
  path.ready.catch((cause: unknown) => log.warn('a path cannot be set up', { path: id, why: String(cause) }));
  return path;
}

function openTunnel(config: HopConfig, log: Log): HopTunnel {
  const isPortable = process.env['CULVERT_UDP'] === 'dgram' || !ffiAvailable().ok;
  return new StackTunnel({
    udp: isPortable ? 'dgram' : 'linux',
    log,
    mtu: config.mtu,
    addresses: config.addresses,
    acceptAny: false,
    limits: hopLimits,
    onEvent: () => undefined,
  });
}

export function systemTiming(clock: Clock): Timing {
  return {
    now: () => clock.now(),
    after: startIdleTimer,
  };
}

const randomBytes = new Uint8Array(4);

/** 0 to 1. */
export function randomOf(entropy: Entropy): number {
  entropy.fill(randomBytes);
  const [a = 0, b = 0, c = 0] = randomBytes;
  return (a * 65_536 + b * 256 + c) / 16_777_216;
}
