/**
 * The paths of edge.yaml where the kernel forwards: rules and routes on this host, tunnels of paths, measurements, and
 * the answers to questions about them. All changes of the host happen one after the other; each that outlives the
 * process is journalled before. Who goes where is decided in kernel-path-rules.ts and ../egress/select.ts.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Run } from '../../shared/node/run.ts';
import type { EdgeConfig } from '../config.ts';
import type { DeviceEntry } from '../egress/devices.ts';
import { randomOf, systemTiming } from '../egress/egress-paths.ts';
import type { NamedAddress } from '../egress/host-name.ts';
import type { DevicePaths } from '../egress/select.ts';
import { forgetMoved, forgetUnanswered } from './forget-flows.ts';
import type { KernelSettings } from './forwarding.ts';
import { FreeFlows } from './free-flows.ts';
import type { GuardOpening } from './guard-rules.ts';
import type { HostJournal } from './journal.ts';
import { applyTable, nft, removeTable } from './kernel-nat.ts';
import { PathGround } from './kernel-path-ground.ts';
import { readOpened } from './kernel-path-load.ts';
import { PathMeasures } from './kernel-path-measures.ts';
import { KernelHostNames } from './kernel-path-names.ts';
import { isPlain, pathRulesPlan, routedOpenings, type SlottedPath } from './kernel-path-plan.ts';
import { families, type RouteFamily } from './kernel-path-routes.ts';
import { type HostStep, hostScript, pathScript, pathsTable, pathsTableWords } from './kernel-path-rules.ts';
import {
  type AutomaticRules,
  automaticScript,
  type SilentSlots,
  silentScript,
} from './kernel-place-rules.ts';
import type { PlaceWatch } from './place-watch.ts';
import { watchPlaces } from './watch-places.ts';

export interface KernelPathsOptions {
  readonly config: EdgeConfig;
  /** All of them as they are now: of edge.yaml and of the store. */
  readonly devices: (config: EdgeConfig) => readonly DeviceEntry[];
  /** Of the tunnel. */
  readonly interfaceNames: readonly string[];
  readonly journal: HostJournal;
  readonly run: Run;
  readonly settings: KernelSettings;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

type Choice = Readonly<Record<RouteFamily, string | undefined>>;

/** How often the choice is looked at, and every how many times the host's routes and the names. */
const tickMs = 500;
const ticksPerLook = 4;
const ticksPerExpiry = 60;
/** Also where nothing seems to have changed: a cable that was pulled is in no file. */
const ticksPerReading = 20;
const addressSizes = [4, 16] as const;

export class KernelPaths {
  readonly names: KernelHostNames = new KernelHostNames();
  readonly #options: KernelPathsOptions;
  readonly #ground: PathGround;
  readonly #drained = new Set<string>();
  readonly #free: FreeFlows;
  readonly #watch: PlaceWatch;
  #config: EdgeConfig;
  #measures: PathMeasures;
  #choice: Choice = { v4: undefined, v6: undefined };
  /** What stands in the kernel; undefined: our table does not. */
  #applied: (AutomaticRules & { readonly silent: SilentSlots; readonly script: string }) | undefined;
  #ticks = 0;
  /** What the kernel has not been told yet. */
  readonly #steps: HostStep[] = [];
  #telling: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #last: Promise<unknown> = Promise.resolve();

  /** Before the first device can speak. Rejects with CulvertError; what was made is in the journal, or is closed. */
  static async start(options: KernelPathsOptions): Promise<KernelPaths> {
    const self = new KernelPaths(options);
    try {
      await self.#serial(() => self.#become(options.config));
    } catch (cause) {
      await self.close();
      throw cause;
    }
    self.#timer = setInterval(() => self.#tick(), tickMs);
    self.#timer.unref();
    return self;
  }

  private constructor(options: KernelPathsOptions) {
    this.#options = options;
    this.#config = options.config;
    const timing = systemTiming(options.clock);
    const tools = { ...options, timing, onSilence: () => this.#followSilence() };
    this.#ground = new PathGround(tools, familiesIn(options.config));
    this.#measures = this.#measure(options.config, []);
    this.#free = new FreeFlows(() => options.devices(this.#config));
    this.#watch = watchPlaces({
      clock: options.clock,
      names: this.names,
      free: this.#free,
      measures: () => this.#measures,
      onMeasured: () => this.#choose(),
    });
  }

  get measures(): PathMeasures {
    return this.#measures;
  }

  get config(): EdgeConfig {
    return this.#config;
  }

  /** The path of each family where the edge chooses. */
  get choice(): Choice {
    return this.#choice;
  }

  get slots(): ReadonlyMap<string, number> {
    return new Map(this.#ground.paths.map(({ config, slot }) => [config.id, slot]));
  }

  isDrained(id: string): boolean {
    return this.#drained.has(id);
  }

  /** What rules open for their own paths; the guard must know it after every change. */
  openings(): readonly GuardOpening[] {
    const { rules } = this.#config;
    return routedOpenings(rules, this.#ground.paths, this.#options.devices(this.#config));
  }

  /** Paths, rules and probes as the file has them now. On an error all stays as it was. */
  reload(config: EdgeConfig): Promise<void> {
    return this.#serial(() => this.#become(config));
  }

  /** Devices came, went, or have other names, tags or pins. */
  follow(): Promise<void> {
    return this.#serial(() => this.#applyRules(this.#config));
  }

  /** A device was answered; `told` says when the kernel knows. */
  note(answer: NamedAddress): void {
    this.#tell(this.names.note(answer, this.#options.clock.now()));
  }

  /** Resolves when rules for hosts know all names that were noted. Never rejects. */
  told(): Promise<void> {
    return this.#telling;
  }

  /** False where there is no such path. */
  drain(id: string, isDrained: boolean): boolean {
    if (!this.#config.paths.some((path) => path.id === id)) return false;
    if (isDrained) this.#drained.add(id);
    else this.#drained.delete(id);
    this.#measures.setDrained(id, isDrained);
    this.#choose();
    return true;
  }

  /** Ends measurements and tunnels. What stands on the host is taken back by the journal. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#measures.close();
    await this.#last.catch(() => undefined);
    await this.#ground.close();
  }

  async #become(config: EdgeConfig): Promise<void> {
    const before = this.#measures;
    const added = await this.#ground.raise(config.paths);
    try {
      const isSame = before.paths.length > 0 && isMeasuredAlike(this.#config, config);
      if (!isSame) this.#measures = this.#measure(config, this.#ground.ordered(config.paths));
      await this.#look();
      this.#choice = this.#measures.reconsider(this.#options.clock.now());
      await this.#applyRules(config);
    } catch (cause) {
      if (this.#measures !== before) this.#measures.close();
      this.#measures = before;
      await this.#ground.lower(added);
      throw cause;
    }
    if (this.#measures !== before) before.close();
    this.#config = config;
    await this.#ground.keep(config.paths);
  }

  #look(): Promise<void> {
    return this.#ground.look((id) => this.#measures.path(id));
  }

  #measure(config: EdgeConfig, paths: readonly SlottedPath[]): PathMeasures {
    const { clock, entropy } = this.#options;
    return new PathMeasures({
      config,
      paths,
      timing: systemTiming(clock),
      random: () => randomOf(entropy),
      drained: this.#drained,
      onFailure: () => this.#choose(),
    });
  }

  async #applyRules(config: EdgeConfig): Promise<void> {
    const { run, journal, interfaceNames, clock } = this.#options;
    const devices = this.#options.devices(config);
    this.names.setRules(config.rules, devices, clock.now());
    this.#free.forget();
    // The script has them all.
    this.#steps.length = 0;
    const pins = new Map<string, DevicePaths>();
    // Of thousands most have neither, and this is done whenever one comes.
    for (const { name, path, granted, tags = [] } of devices) {
      if (path !== undefined || tags.length > 0) pins.set(name, { pin: path, granted, tags });
    }
    this.#measures.follow(config, pins);
    if (isPlain(config)) {
      if (this.#applied !== undefined) await removeTable(pathsTable, run);
      this.#applied = undefined;
      return;
    }
    const parts = { config, interfaceNames, paths: this.#ground.ordered(config.paths), devices };
    const { moved: places } = this.#measures.places;
    const state = { automatic: this.#choice, places, silent: this.#silent(), hosts: this.names.elements };
    const plan = pathRulesPlan({ ...parts, ...state, opened: new Map() });
    const script = pathScript(plan);
    if (script === this.#applied?.script) return;
    // Counters go on; everything else is made anew, in one step.
    const opened = this.#applied === undefined ? new Map<number, number>() : await readOpened(run);
    const whole = pathScript(pathRulesPlan({ ...parts, ...state, opened }));
    await applyTable(pathsTable, whole, journal, run);
    this.#applied = { automatic: plan.automatic, places: plan.places, silent: plan.silent, script };
  }

  #tick(): void {
    this.#ticks++;
    this.#choose();
    this.#followSilence();
    const now = this.#options.clock.now();
    if (this.#applied !== undefined && addressSizes.some((size) => this.#measures.isChoosing(size, now))) {
      void this.#watch.look();
    }
    if (this.#ticks % ticksPerExpiry === 0) {
      this.#tell(this.names.expire(this.#options.clock.now()));
    }
    if (this.#ticks % ticksPerLook !== 0) return;
    const isDue = this.#ticks % ticksPerReading === 0 || this.#ground.hasMoved();
    if (isDue && !isPlain(this.#config)) this.#inBackground('look at this host', () => this.#look());
  }

  /** Moves new flows where the choice has changed, for all places or for some: one step in the kernel. */
  #choose(): void {
    if (this.#isClosed) return;
    const now = this.#options.clock.now();
    const choice = this.#measures.reconsider(now);
    const left = this.#leftFor(choice);
    const hasMoved = choice.v4 !== this.#choice.v4 || choice.v6 !== this.#choice.v6;
    this.#choice = choice;
    const moves = this.#measures.places.reconsider(now);
    if (!hasMoved && moves.length === 0) return;
    this.#tellMove(hasMoved, moves.length);
    this.#inBackground('move new flows', async () => {
      await this.#applyChoice();
      // Who waits there for a first answer tries again by itself, and then goes the new way.
      for (const slot of left) await forgetUnanswered(slot, this.#options.log);
      await forgetMoved(moves, this.slots, this.#options.log);
    });
  }

  #tellMove(hasMoved: boolean, places: number): void {
    const { log } = this.#options;
    // How often each was asked until now: what the choice rests on.
    const asked = Object.entries(this.#measures.asked());
    const probes = asked.map(([id, count]) => `${id} ${count}`).join(', ');
    if (hasMoved) log.info('new flows take another path', { ...this.#choice, probes });
    if (places > 0) log.info('new flows to some places take another path', { places });
  }

  async #applyChoice(): Promise<void> {
    const before = this.#applied;
    if (before === undefined) return;
    const parts = {
      config: this.#config,
      interfaceNames: [],
      paths: this.#ground.ordered(this.#config.paths),
    };
    const { moved: places } = this.#measures.places;
    const more = { devices: [], places, silent: before.silent, hosts: [], opened: new Map<number, number>() };
    const plan = pathRulesPlan({ ...parts, ...more, automatic: this.#choice });
    const after = { automatic: plan.automatic, places: plan.places };
    if (isDeepStrictEqual(after, { automatic: before.automatic, places: before.places })) return;
    await nft(automaticScript(pathsTableWords, before.automatic, after), this.#options.run);
    // The next change of rules says all of it anew.
    this.#applied = { ...after, silent: before.silent, script: '' };
  }

  /** New flows for a path that answers nobody are refused; those of nobody's wish avoid it. */
  #followSilence(): void {
    if (
      this.#isClosed ||
      this.#applied === undefined ||
      isDeepStrictEqual(this.#applied.silent, this.#silent())
    )
      return;
    this.#choose();
    this.#inBackground('refuse what a silent path would swallow', async () => {
      const before = this.#applied;
      const silent = this.#silent();
      if (before === undefined || isDeepStrictEqual(silent, before.silent)) return;
      await nft(silentScript(pathsTableWords, silent), this.#options.run);
      this.#applied = { ...before, silent, script: '' };
    });
  }

  /** Slots of paths that answer nobody; none where the kernel has no map for them. */
  #silent(): SilentSlots {
    const { slots } = this;
    const known = this.#measures.silent(this.#options.clock.now());
    const of = (family: RouteFamily): readonly number[] =>
      [...new Set([...this.#ground.silent, ...known[family].flatMap((id) => slots.get(id) ?? [])])].toSorted(
        (a, b) => a - b,
      );
    return { v4: of('v4'), v6: of('v6') };
  }

  /** Slots of those that are left because they do not work now. */
  #leftFor(choice: Choice): readonly number[] {
    const now = this.#options.clock.now();
    const left = families.flatMap((family) => {
      const id = this.#choice[family];
      return id !== undefined && id !== choice[family] && this.#measures.isBroken(id, now) ? [id] : [];
    });
    return [...new Set(left)].flatMap((id) => this.slots.get(id) ?? []);
  }

  #tell(steps: readonly HostStep[]): void {
    if (steps.length === 0 || this.#isClosed) return;
    const isWaiting = this.#steps.length > 0;
    this.#steps.push(...steps);
    if (isWaiting) return;
    const done = this.#serial(async () => {
      const script = hostScript(this.#steps.splice(0));
      if (this.#applied === undefined || script === '') return;
      this.#applied = { ...this.#applied, script: '' };
      await nft(script, this.#options.run);
    });
    this.#telling = done.catch(async (cause: unknown) => {
      this.#options.log.warn('rules for hosts could not follow a name', { why: String(cause) });
      await this.follow().catch(() => undefined);
    });
  }

  #inBackground(what: string, work: () => Promise<void>): void {
    this.#serial(work).catch((cause: unknown) => {
      this.#options.log.warn(`the edge could not ${what}`, { why: String(cause) });
      if (this.#applied !== undefined) this.#applied = { ...this.#applied, script: '' };
    });
  }

  /** One after the other, whatever became of the one before. */
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(() => {
      if (this.#isClosed) throw new CulvertError('internal', { text: 'The edge ends.' });
      return work();
    });
    this.#last = done.catch(() => undefined);
    return done;
  }
}

function familiesIn({ network }: EdgeConfig): readonly RouteFamily[] {
  return families.filter((family) => network[family] !== undefined);
}

/** Whether the measurements of one configuration hold for the other. */
function isMeasuredAlike(before: EdgeConfig, after: EdgeConfig): boolean {
  const text = ({ paths, probe }: EdgeConfig): string => JSON.stringify([paths, probe]);
  return text(before) === text(after);
}
