/**
 * What is measured of the paths where the kernel forwards, and the choice that follows from it: probes by marked
 * sockets, reports, and the path of each family where the edge chooses.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import type { PathsConfig } from '../config-paths.ts';
import type { Timing } from '../egress/dial-race.ts';
import { probeBurstBytes, probeBytesPerSecond } from '../egress/egress-paths.ts';
import { ByteBudget, Prober } from '../egress/probe.ts';
import { PathReports } from '../egress/report.ts';
import { type DevicePaths, PathSelector } from '../egress/select.ts';
import { AutomaticPath } from './automatic-path.ts';
import { markOfSlot } from './kernel-marks.ts';
import { KernelPath } from './kernel-path-dial.ts';
import { familiesOf, type SlottedPath, sourcesOf } from './kernel-path-plan.ts';
import { families, type RouteFamily } from './kernel-path-routes.ts';

export interface MeasuresOptions {
  readonly config: PathsConfig;
  readonly paths: readonly SlottedPath[];
  readonly timing: Timing;
  /** 0 to 1. */
  readonly random: () => number;
  readonly drained: ReadonlySet<string>;
  /** A probe has failed. */
  readonly onFailure: () => void;
}

export class PathMeasures {
  readonly reports: PathReports;
  readonly paths: readonly KernelPath[];
  /** Knows rules and pins; for explaining. */
  readonly selector: PathSelector;
  readonly automatic: Readonly<Record<RouteFamily, AutomaticPath>>;
  readonly #prober: Prober;

  constructor(options: MeasuresOptions) {
    const { config, timing, random, drained } = options;
    this.paths = options.paths.map(({ config: path, slot }) => {
      const mark = path.type === 'direct' ? 0 : markOfSlot(slot);
      const { id, type } = path;
      return new KernelPath({ id, type, mark, sources: sourcesOf(path), families: familiesOf(path) });
    });
    this.reports = new PathReports(this.paths.map((path) => path.id));
    this.selector = new PathSelector({ paths: this.paths, rules: config.rules, reports: this.reports });
    this.automatic = { v4: this.#automaticOf('v4', config), v6: this.#automaticOf('v6', config) };
    for (const id of drained) this.setDrained(id, true);
    const budget = new ByteBudget(probeBytesPerSecond, probeBurstBytes, () => timing.now());
    this.#prober = new Prober({
      plan: config.probe,
      paths: this.paths,
      reports: this.reports,
      timing,
      random,
      maySpend: (bytes) => budget.take(bytes),
      onFailure: options.onFailure,
    });
  }

  path(id: string): KernelPath | undefined {
    return this.paths.find((one) => one.id === id);
  }

  follow(config: PathsConfig, devices: ReadonlyMap<string, DevicePaths>): void {
    this.selector.setRules(config.rules);
    this.selector.setDevices(devices);
  }

  /** Whether new flows should rather not go there. */
  isBroken(id: string, now: MonoMs): boolean {
    const health = this.reports.health(id, now);
    return this.path(id)?.trouble() !== undefined || health === 'suspect' || health === 'down';
  }

  setDrained(id: string, isDrained: boolean): void {
    this.selector.setDrained(id, isDrained);
    for (const family of families) this.automatic[family].setDrained(id, isDrained);
  }

  /** The path of each family where the edge chooses; undefined where nothing carries it. */
  reconsider(now: MonoMs): Readonly<Record<RouteFamily, string | undefined>> {
    const [v4, v6] = families.map((family) => this.automatic[family].reconsider(now)?.id);
    return { v4, v6 };
  }

  async probe(id: string | undefined): Promise<void> {
    const asked = this.paths.filter((path) => id === undefined || path.id === id);
    await Promise.all(asked.map((path) => this.#prober.probe(path.id)));
  }

  close(): void {
    this.#prober.close();
  }

  #automaticOf(family: RouteFamily, config: PathsConfig): AutomaticPath {
    const size = family === 'v4' ? 4 : 16;
    const able = this.paths.filter((path) => path.carries('tcp', size));
    return new AutomaticPath({
      paths: able.map((path) => ({
        id: path.id,
        type: path.type,
        carries: () => true,
        trouble: () => path.troubleOf(family),
      })),
      reports: this.reports,
      family: size,
      isProbed: config.probe.targets.some((target) => target.address.length === size),
    });
  }
}
