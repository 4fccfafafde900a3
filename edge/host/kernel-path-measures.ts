/**
 * What is measured of the paths where the kernel forwards, and the choice that follows from it: probes by marked
 * sockets, reports, and the path of each family where the edge chooses.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import type { PathsConfig } from '../config-paths.ts';
import type { Timing } from '../egress/dial-race.ts';
import { probeBurstBytes, probeBytesPerSecond } from '../egress/egress-paths.ts';
import { ByteBudget, Prober } from '../egress/probe.ts';
import { PathReports } from '../egress/report.ts';
import { type DevicePaths, PathSelector } from '../egress/select.ts';
import { placeKey } from '../egress/site.ts';
import { AutomaticPath } from './automatic-path.ts';
import { AutomaticPlaces } from './automatic-places.ts';
import { markOfSlot } from './kernel-marks.ts';
import { KernelPath } from './kernel-path-dial.ts';
import { familiesOf, type SlottedPath, sourcesOf } from './kernel-path-plan.ts';
import { families, type RouteFamily } from './kernel-path-routes.ts';
import { measurePlace } from './place-measure.ts';

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

/** For places, beside what paths have: whoever asks for nobody a thousand times must not end the probes of paths. */
const placeBytesPerSecond = 2000;
const placeBurstBytes = 8000;
/** Paths that one place is measured by at once. */
const maxTries = 3;

export class PathMeasures {
  readonly reports: PathReports;
  readonly paths: readonly KernelPath[];
  /** Knows rules and pins; for explaining. */
  readonly selector: PathSelector;
  readonly automatic: Readonly<Record<RouteFamily, AutomaticPath>>;
  readonly places: AutomaticPlaces;
  readonly #options: MeasuresOptions;
  readonly #placeBudget: ByteBudget;
  readonly #prober: Prober;
  #isClosed = false;

  constructor(options: MeasuresOptions) {
    const { config, timing, random, drained } = options;
    this.#options = options;
    this.paths = options.paths.map(({ config: path, slot }) => {
      const mark = path.type === 'direct' ? 0 : markOfSlot(slot);
      const { id, type } = path;
      return new KernelPath({ id, type, mark, sources: sourcesOf(path), families: familiesOf(path) });
    });
    this.reports = new PathReports(this.paths.map((path) => path.id));
    this.selector = new PathSelector({ paths: this.paths, rules: config.rules, reports: this.reports });
    this.automatic = { v4: this.#automaticOf('v4'), v6: this.#automaticOf('v6') };
    this.places = this.#placesOf();
    for (const id of drained) this.setDrained(id, true);
    const budget = new ByteBudget(probeBytesPerSecond, probeBurstBytes, () => timing.now());
    this.#placeBudget = new ByteBudget(placeBytesPerSecond, placeBurstBytes, () => timing.now());
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

  /** How often each path was asked since the start, or since the file named others. */
  asked(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.paths.map(({ id }) => [id, this.#prober.asked(id)]));
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

  /** Whether flows of the family have a choice of paths that is measured. */
  isChoosing(size: number, now: MonoMs): boolean {
    return this.#isAsked(size) && this.automatic[familyOfSize(size)].rank(now).length > 1;
  }

  /** How long ago the place was measured by the path for which that is longest; of those that work. */
  ageAt(address: Uint8Array, now: MonoMs): number {
    const key = placeKey(address);
    return Math.max(0, ...this.#tried(address, now).map((path) => this.reports.ageAt(path.id, key, now)));
  }

  /** Connects there by the path that new flows take and by the next ones, as measurePlace() says. Never rejects. */
  async measurePlace(end: FlowEnd): Promise<boolean | undefined> {
    if (this.#isClosed) return undefined;
    const { timing } = this.#options;
    const tools = {
      reports: this.reports,
      timing,
      maySpend: (bytes: number) => this.#placeBudget.take(bytes),
      probe: (id: string) => this.#prober.probe(id),
    };
    const isThere = await measurePlace(end, this.#tried(end.address, timing.now()), tools);
    if (isThere === true) this.places.noteMeasured(end.address, timing.now());
    return isThere;
  }

  /** Paths that do not answer while others do, by family: whoever must go there would wait in vain. */
  silent(now: MonoMs): Readonly<Record<RouteFamily, readonly string[]>> {
    const health = (id: string): string => this.reports.health(id, now);
    const isAny = this.paths.some(({ id }) => health(id) === 'good');
    const of = (family: RouteFamily): readonly string[] => {
      // Where it is the edge's own choice there is no better one.
      const chosen = this.automatic[family].current?.id;
      if (!isAny || !this.#isAsked(family === 'v4' ? 4 : 16)) return [];
      return this.paths.flatMap(({ id }) => (health(id) === 'down' && id !== chosen ? [id] : []));
    };
    return { v4: of('v4'), v6: of('v6') };
  }

  async probe(id: string | undefined): Promise<void> {
    const asked = this.paths.filter((path) => id === undefined || path.id === id);
    await Promise.all(asked.map((path) => this.#prober.probe(path.id)));
  }

  close(): void {
    this.#isClosed = true;
    this.#prober.close();
  }

  #isAsked(size: number): boolean {
    return this.#options.config.probe.targets.some(({ address }) => address.length === size);
  }

  /** The path that new flows to the place take, and the best others. */
  #tried(address: Uint8Array, now: MonoMs): readonly KernelPath[] {
    const automatic = this.automatic[familyOfSize(address.length)];
    const first = this.places.find(address)?.path ?? automatic.current?.id;
    const others = automatic.rank(now, address).map(({ id }) => id);
    const ids = [...new Set([...(first === undefined ? [] : [first]), ...others])];
    return ids.slice(0, maxTries).flatMap((id) => this.path(id) ?? []);
  }

  #placesOf(): AutomaticPlaces {
    const { reports } = this;
    return new AutomaticPlaces({
      rank: (address, now) => this.automatic[familyOfSize(address.length)].rank(now, address),
      usual: (size) => this.automatic[familyOfSize(size)].current?.id,
      fails: (path, keys, now) => reports.fails(path, keys, now),
      isMeasured: (path, keys, now) => Number.isFinite(reports.ageAt(path, keys[0] ?? '', now)),
    });
  }

  #automaticOf(family: RouteFamily): AutomaticPath {
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
      isProbed: this.#isAsked(size),
    });
  }
}

function familyOfSize(size: number): RouteFamily {
  return size === 4 ? 'v4' : 'v6';
}
