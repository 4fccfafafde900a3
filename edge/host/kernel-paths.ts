/**
 * The paths of edge.yaml where the kernel forwards: rules and routes on this host, tunnels of paths, measurements, and
 * the answers to questions about them. All changes of the host happen one after the other; each that outlives the
 * process is journalled before. Who goes where is decided in kernel-path-rules.ts and ../egress/select.ts.
 */

import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Run } from '../../shared/node/run.ts';
import type { EdgeConfig } from '../config.ts';
import type { DeviceEntry } from '../egress/devices.ts';
import { randomOf, systemTiming } from '../egress/egress-paths.ts';
import type { NamedAddress } from '../egress/host-name.ts';
import type { DevicePaths } from '../egress/select.ts';
import { forgetUnanswered } from './forget-flows.ts';
import type { KernelSettings } from './forwarding.ts';
import type { GuardOpening } from './guard-rules.ts';
import type { HostJournal } from './journal.ts';
import { applyTable, nft, removeTable } from './kernel-nat.ts';
import { PathGround } from './kernel-path-ground.ts';
import { readOpened } from './kernel-path-load.ts';
import { PathMeasures } from './kernel-path-measures.ts';
import { KernelHostNames } from './kernel-path-names.ts';
import { isPlain, pathRulesPlan, routedOpenings, type SlottedPath } from './kernel-path-plan.ts';
import { families, type RouteFamily } from './kernel-path-routes.ts';
import {
  type AutomaticSlots,
  automaticScript,
  type HostStep,
  hostScript,
  pathScript,
  pathsTable,
  silentScript,
} from './kernel-path-rules.ts';

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

export class KernelPaths {
  readonly names: KernelHostNames = new KernelHostNames();
  readonly #options: KernelPathsOptions;
  readonly #ground: PathGround;
  readonly #drained = new Set<string>();
  #config: EdgeConfig;
  #measures: PathMeasures;
  #choice: Choice = { v4: undefined, v6: undefined };
  /** What stands in the kernel; undefined: our table does not. */
  #applied:
    | { readonly automatic: AutomaticSlots; readonly silent: readonly number[]; readonly script: string }
    | undefined;
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
    const state = { automatic: this.#choice, silent: this.#ground.silent, hosts: this.names.elements };
    const plan = pathRulesPlan({ ...parts, ...state, opened: new Map() });
    const script = pathScript(plan);
    if (script === this.#applied?.script) return;
    // Counters go on; everything else is made anew, in one step.
    const opened = this.#applied === undefined ? new Map<number, number>() : await readOpened(run);
    const whole = pathScript(pathRulesPlan({ ...parts, ...state, opened }));
    await applyTable(pathsTable, whole, journal, run);
    this.#applied = { automatic: plan.automatic, silent: plan.silent, script };
  }

  #tick(): void {
    this.#ticks++;
    this.#choose();
    if (this.#ticks % ticksPerExpiry === 0) {
      this.#tell(this.names.expire(this.#options.clock.now()));
    }
    if (this.#ticks % ticksPerLook !== 0) return;
    const isDue = this.#ticks % ticksPerReading === 0 || this.#ground.hasMoved();
    if (isDue && !isPlain(this.#config)) this.#inBackground('look at this host', () => this.#look());
  }

  /** Moves new flows where the choice has changed: one step in the kernel. */
  #choose(): void {
    if (this.#isClosed) return;
    const choice = this.#measures.reconsider(this.#options.clock.now());
    if (choice.v4 === this.#choice.v4 && choice.v6 === this.#choice.v6) return;
    const left = this.#brokenOnes([this.#choice.v4, this.#choice.v6]);
    this.#choice = choice;
    this.#options.log.info('new flows take another path', { v4: choice.v4, v6: choice.v6 });
    this.#inBackground('move new flows', async () => {
      const before = this.#applied;
      if (before === undefined) return;
      const parts = {
        config: this.#config,
        interfaceNames: [],
        paths: this.#ground.ordered(this.#config.paths),
      };
      const opened = new Map<number, number>();
      const more = { devices: [], automatic: this.#choice, silent: before.silent, hosts: [], opened };
      const { automatic } = pathRulesPlan({ ...parts, ...more });
      if (automatic.v4 === before.automatic.v4 && automatic.v6 === before.automatic.v6) return;
      await nft(automaticScript(before.automatic, automatic), this.#options.run);
      // The next change of rules says all of it anew.
      this.#applied = { automatic, silent: before.silent, script: '' };
      // Who waits there for a first answer tries again by itself, and then goes the new way.
      for (const slot of left) await forgetUnanswered(slot, this.#options.log);
    });
  }

  /** New flows for a tunnel whose other side is silent are refused; those of nobody's wish avoid it. */
  #followSilence(): void {
    if (this.#isClosed) return;
    this.#choose();
    this.#inBackground('refuse what a silent tunnel would swallow', async () => {
      const before = this.#applied;
      const { silent } = this.#ground;
      const hasMap = this.#config.paths.some(({ type }) => type === 'wireguard');
      if (before === undefined || !hasMap || silent.join() === before.silent.join()) return;
      await nft(silentScript(silent), this.#options.run);
      this.#applied = { ...before, silent, script: '' };
    });
  }

  /** Slots of those that do not work now. */
  #brokenOnes(ids: readonly (string | undefined)[]): readonly number[] {
    const now = this.#options.clock.now();
    const { slots } = this;
    const broken = new Set(ids.filter((id) => id !== undefined && this.#measures.isBroken(id, now)));
    return [...broken].flatMap((id) => slots.get(id ?? '') ?? []);
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
