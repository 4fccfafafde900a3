/**
 * A synthetic Internet in virtual time: several paths whose delays, losses and faults follow a script, destinations
 * of different distance, and people who open flows. The real chooser, prober and selector run in it; the oracle knows
 * the script.
 */

import { Duplex } from 'node:stream';
import { PathChooser, type PathChooserOptions } from '../../../edge/egress/choose-flow.ts';
import type { Timing } from '../../../edge/egress/dial-race.ts';
import { type EgressPath, PathError, type PathTarget } from '../../../edge/egress/path.ts';
import { ByteBudget, Prober } from '../../../edge/egress/probe.ts';
import { PathReports } from '../../../edge/egress/report.ts';
import type { EgressRule } from '../../../edge/egress/rules.ts';
import { PathSelector } from '../../../edge/egress/select.ts';
import { type MonoMs, monoMs } from '../../../shared/core/base/time.ts';
import { seededRandom } from '../../support/seeded.ts';

/** How a path is at a moment, towards a destination. */
export interface Weather {
  /** Round trip beside the destination's own distance. */
  readonly rttMs: number;
  /** Of each packet of a handshake, 0 to 1. */
  readonly loss: number;
  /** Swallows everything. */
  readonly isDead?: boolean;
  /** The path says itself that it does not work. */
  readonly isBroken?: boolean;
}

export interface PathScript {
  readonly id: string;
  readonly at: (now: number, destination: number) => Weather;
}

/** Virtual time: events in order, and turns of promises in between. */
export class VirtualTime implements Timing {
  #now = 0;
  #sequence = 0;
  readonly #queue: { at: number; order: number; run: (() => void) | undefined }[] = [];

  now(): MonoMs {
    return monoMs(this.#now);
  }

  after(ms: number, run: () => void): () => void {
    const entry = {
      at: this.#now + Math.max(0, ms),
      order: this.#sequence++,
      run: run as (() => void) | undefined,
    };
    this.#insert(entry);
    return () => {
      entry.run = undefined;
    };
  }

  /** The machine slept: what was due meanwhile comes late. */
  sleep(ms: number): void {
    this.#now += ms;
  }

  async runUntil(end: number): Promise<void> {
    for (;;) {
      const next = this.#queue.at(-1);
      if (next === undefined || next.at > end) break;
      this.#queue.pop();
      if (next.run === undefined) continue;
      this.#now = Math.max(this.#now, next.at);
      next.run();
      for (let turn = 0; turn < 12; turn++) await Promise.resolve();
    }
    this.#now = end;
  }

  /** Latest first, so that the next is at the end. */
  #insert(entry: { at: number; order: number; run: (() => void) | undefined }): void {
    let [low, high] = [0, this.#queue.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#queue[middle]!;
      if (other.at > entry.at || (other.at === entry.at && other.order > entry.order)) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, entry);
  }
}

/** What a handshake takes with its repeated SYNs (1, 3, 7, 15 s), and with jitter. Undefined: never. */
function handshakeMs(weather: Weather, distanceMs: number, random: () => number): number | undefined {
  if (weather.isDead === true) return undefined;
  const rtt = (weather.rttMs + distanceMs) * (1 + 0.06 * (random() + random() - 1));
  for (const waited of [0, 1000, 3000, 7000, 15_000]) {
    // Either direction may lose it.
    if (random() >= weather.loss && random() >= weather.loss) return waited + rtt;
  }
  return undefined;
}

class ScriptedPath implements EgressPath {
  readonly type = 'direct';
  readonly id: string;
  readonly #world: PathWorld;
  readonly #script: PathScript;
  /** Connections that were begun. */
  dialled = 0;

  constructor(world: PathWorld, script: PathScript) {
    this.id = script.id;
    this.#world = world;
    this.#script = script;
  }

  carries(): boolean {
    return true;
  }

  trouble(): string | undefined {
    return undefined;
  }

  dialTcp(target: PathTarget, signal: AbortSignal): Promise<Duplex> {
    const { time, random } = this.#world;
    this.dialled++;
    const destination = destinationOf(target);
    const weather = this.#script.at(time.now(), destination);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        cancel();
        reject(signal.reason);
      };
      const settle =
        (run: () => void): (() => void) =>
        () => {
          signal.removeEventListener('abort', onAbort);
          run();
        };
      const ms = handshakeMs(weather, distanceOf(destination), random);
      const broken = (): void => reject(new PathError('path', 'unreachable', 'It is down.'));
      const timeout = (): void => reject(new PathError('destination', 'timeout', 'No answer.'));
      const cancel =
        weather.isBroken === true
          ? time.after(1, settle(broken))
          : ms === undefined
            ? time.after(20_000, settle(timeout))
            : time.after(
                ms,
                settle(() => resolve(new QuietStream(this.id))),
              );
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  openUdp(): never {
    throw new PathError('path', 'unreachable', 'No datagrams here.');
  }

  close(): void {}
}

class QuietStream extends Duplex {
  readonly path: string;

  constructor(path: string) {
    super();
    this.path = path;
  }

  override _read(): void {}
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

export interface WorldOptions {
  readonly paths: readonly PathScript[];
  readonly seed?: number;
  readonly destinations?: number;
  /** Mean time between flows. */
  readonly everyMs?: number;
  readonly probeEveryMs?: number;
  readonly keepSiteMs?: number;
  readonly rules?: readonly EgressRule[];
  readonly flowLifeMs?: number;
}

/** One finished dial. */
export interface FlowRecord {
  readonly at: number;
  readonly destination: number;
  /** 20 s where it failed. */
  readonly ms: number;
  readonly path: string | undefined;
}

export class PathWorld {
  readonly time = new VirtualTime();
  readonly random: () => number;
  readonly paths: readonly ScriptedPath[];
  readonly reports: PathReports;
  readonly selector: PathSelector;
  readonly chooser: PathChooser;
  readonly prober: Prober;
  readonly budget: ByteBudget;
  readonly records: FlowRecord[] = [];
  readonly #options: WorldOptions;
  readonly #scripts: ReadonlyMap<string, PathScript>;
  readonly #people: () => number;

  constructor(options: WorldOptions) {
    this.#options = options;
    const seed = options.seed ?? 1;
    this.random = seededRandom(seed);
    this.#people = seededRandom(seed + 1000);
    this.#scripts = new Map(options.paths.map((script) => [script.id, script]));
    this.paths = options.paths.map((script) => new ScriptedPath(this, script));
    const ids = options.paths.map((script) => script.id);
    this.reports = new PathReports(ids);
    this.selector = new PathSelector({
      paths: this.paths,
      rules: options.rules ?? [],
      reports: this.reports,
      ...(options.keepSiteMs === undefined ? {} : { keepSiteMs: options.keepSiteMs }),
    });
    this.budget = new ByteBudget(10_000, 20_000, () => this.time.now());
    const maySpend = (bytes: number): boolean => this.budget.take(bytes);
    const { time: timing, reports, selector } = this;
    const chooserOptions: PathChooserOptions = {
      paths: this.paths,
      blocks: new Map(),
      selector,
      reports,
      timing,
      maySpend,
      onSuspect: (id) => this.prober.hurry(id),
    };
    this.chooser = new PathChooser(chooserOptions);
    const everyMs = options.probeEveryMs ?? 10_000;
    this.prober = new Prober({
      plan: { everyMs, targets: [targetEnd(0)] },
      paths: this.paths,
      reports,
      timing,
      random: this.random,
      maySpend,
    });
  }

  /** People open flows until then, to destinations of which a few are visited most. */
  async run(until: number): Promise<void> {
    const everyMs = this.#options.everyMs ?? 250;
    const next = (): void => {
      if (this.time.now() >= until) return;
      void this.open(pickDestination(this.#people(), this.#options.destinations ?? 40));
      this.time.after(-Math.log(1 - this.#people()) * everyMs, next);
    };
    next();
    await this.time.runUntil(until);
  }

  async open(destination: number): Promise<FlowRecord> {
    const at = this.time.now();
    const end = targetEnd(destination);
    const stop = new AbortController();
    const cancel = this.time.after(20_000, () => stop.abort(new Error('too long')));
    let record: FlowRecord;
    try {
      const source = { address: Uint8Array.of(10, 83, 0, 2), port: 5000 };
      const request = { device: 'laptop', source, destination: end, name: undefined };
      const stream = await this.chooser.dialTcp(request, stop.signal);
      const path = (stream as QuietStream).path;
      record = { at, destination, ms: this.time.now() - at, path };
      this.time.after(this.#options.flowLifeMs ?? 2000, () => stream.emit('close'));
    } catch {
      record = { at, destination, ms: 20_000, path: undefined };
    } finally {
      cancel();
    }
    this.records.push(record);
    return record;
  }

  /** What the best path would take on average, at that moment. */
  oracleMs(at: number, destination: number): number {
    return Math.min(...[...this.#scripts.keys()].map((id) => this.expectedMs(id, at, destination)));
  }

  /** What one path would take on average, at that moment. */
  expectedMs(id: string, at: number, destination: number): number {
    const weather = this.#scripts.get(id)!.at(at, destination);
    if (weather.isDead === true || weather.isBroken === true) return 20_000;
    const lost = 1 - (1 - weather.loss) ** 2;
    const backoff = lost * 1000 + lost ** 2 * 2000 + lost ** 3 * 4000;
    return weather.rttMs + distanceOf(destination) + backoff;
  }
}

/** Everything but the records: mean time of the flows, of the oracle and of each fixed path. */
export function compare(world: PathWorld): {
  readonly mean: number;
  readonly oracle: number;
  readonly fixed: ReadonlyMap<string, number>;
} {
  const { records, paths } = world;
  const meanOf = (ms: (record: FlowRecord) => number): number =>
    records.reduce((sum, record) => sum + ms(record), 0) / records.length;
  return {
    mean: meanOf((record) => record.ms),
    oracle: meanOf((record) => world.oracleMs(record.at, record.destination)),
    fixed: new Map(
      paths.map(({ id }) => [id, meanOf((one) => world.expectedMs(id, one.at, one.destination))]),
    ),
  };
}

/** A /24 of its own for each. */
export function targetEnd(destination: number): PathTarget['end'] {
  return { address: Uint8Array.of(198, 18 + (destination >> 8), destination & 255, 1), port: 443 };
}

function destinationOf(target: PathTarget): number {
  const [, high = 18, low = 0] = target.end.address;
  return ((high - 18) << 8) | low;
}

/** 4 to 80 ms, the same for all paths. */
export function distanceOf(destination: number): number {
  return destination === 0 ? 5 : 4 + ((destination * 37) % 77);
}

/** 1, 2, 3... each visited less than the one before. */
function pickDestination(chance: number, count: number): number {
  return 1 + Math.floor(count ** chance) - 1 || 1;
}
