/** Questions about the paths of a kernel that forwards, answered as the other backend answers them. */

import { lookup } from 'node:dns/promises';
import type { Clock } from '../../shared/node/clock.ts';
import type { Run } from '../../shared/node/run.ts';
import type { FlowRequest } from '../egress/choose-flow.ts';
import type { PathStatus } from '../egress/egress-paths.ts';
import { tellNames } from '../egress/naming-answerer.ts';
import { reasonOf, type Standing, silenceOf } from '../egress/path-reason.ts';
import {
  type AskedPaths,
  answerPaths,
  type NameSurroundings,
  type PathsAnswer,
  type PathsQuestion,
} from '../egress/paths-question.ts';
import type { Choice, Question } from '../egress/select.ts';
import { type Explanation, explain } from '../egress/sentence.ts';
import type { KernelPath } from './kernel-path-dial.ts';
import { readOpened, readOpenFlows } from './kernel-path-load.ts';
import type { RouteFamily } from './kernel-path-routes.ts';
import type { KernelPaths } from './kernel-paths.ts';

export interface PathDeskOptions {
  readonly paths: KernelPaths;
  readonly clock: Clock;
  readonly run: Run;
}

export class KernelPathDesk implements AskedPaths {
  readonly #options: PathDeskOptions;
  #opened: ReadonlyMap<number, number> = new Map();
  #flows: ReadonlyMap<number, number> = new Map();

  constructor(options: PathDeskOptions) {
    this.#options = options;
  }

  /** Throws CulvertError. */
  async answer(question: PathsQuestion): Promise<PathsAnswer> {
    await this.#count();
    const answer = await answerPaths(question, this, this.#names());
    await this.#options.paths.told();
    return answer;
  }

  async freshStatus(): Promise<readonly PathStatus[]> {
    await this.#count();
    return this.status();
  }

  status(): readonly PathStatus[] {
    const { paths, clock } = this.#options;
    const { measures, slots, choice } = paths;
    const loads = measures.paths.map(({ id }) => this.#opened.get(slots.get(id) ?? 0) ?? 0);
    const all = loads.reduce((sum, load) => sum + load, 0);
    const usual = choice.v4 ?? choice.v6;
    const standings = measures.paths.map((path) => this.#standingOf(path, usual));
    const asked = measures.asked();
    return measures.paths.map((path, i) => {
      const { id, type } = path;
      const report = measures.reports.report(id, clock.now());
      const trouble = path.trouble();
      const health = trouble === undefined ? report.health : 'down';
      const opened = loads[i] ?? 0;
      return {
        id,
        type,
        state: type === 'block' ? 'block' : paths.isDrained(id) ? 'drained' : health,
        trouble: trouble ?? null,
        isDefault: usual === id,
        rttMs: report.connectMs === undefined ? null : Math.round(report.connectMs * 10) / 10,
        lossPercent: Math.round(report.lossPercent * 10) / 10,
        flows: this.#flows.get(slots.get(id) ?? 0) ?? 0,
        opened,
        // The kernel does not say whether a flow came about.
        failed: 0,
        sharePercent: all === 0 ? 0 : Math.round((opened / all) * 1000) / 10,
        probes: asked[id] ?? 0,
        reason: reasonOf(standings[i] as Standing, standings),
      };
    });
  }

  probe(id?: string): Promise<void> {
    return this.#options.paths.measures.probe(id);
  }

  drain(id: string, isDrained: boolean): boolean {
    return this.#options.paths.drain(id, isDrained);
  }

  why(request: FlowRequest, protocol: Question['protocol']): Explanation {
    const { paths, clock } = this.#options;
    const { measures, config } = paths;
    const now = clock.now();
    const { destination, device } = request;
    // What the device was told decides; without that, what it would be told.
    const name = paths.names.find(device, destination.address, now) ?? request.name;
    const question = { protocol, device, tags: [], ...destination, name };
    const choice = this.#choiceFor(measures.selector.choose(question, now), destination.address);
    const family = destination.address.length === 4 ? 'v4' : 'v6';
    const ranked =
      choice.reason.by === 'auto' ? measures.automatic[family].rank(now, destination.address) : [];
    return explain({
      choice,
      trouble: choice.kind === 'path' ? this.#troubleOf(choice.path, family) : undefined,
      isSameEverywhere: !measures.isChoosing(destination.address.length, now),
      candidates: ranked.map(({ id, costMs }) => ({ id, costMs, health: measures.reports.health(id, now) })),
      name,
      hasHostRules: config.rules.some((rule) => rule.match.host !== undefined),
    });
  }

  /** Where the flows of a device go unless a rule says otherwise. */
  usualPath(device: string | undefined): string {
    const { measures, choice } = this.#options.paths;
    return measures.selector.pinOf(device) ?? choice.v4 ?? choice.v6 ?? 'none';
  }

  #standingOf(path: KernelPath, usual: string | undefined): Standing {
    const { paths, clock } = this.#options;
    const { reports } = paths.measures;
    const { id } = path;
    const now = clock.now();
    const { connectMs, lossPercent } = reports.report(id, now);
    return {
      id,
      isBlock: path.type === 'block',
      isDefault: usual === id,
      isDrained: paths.isDrained(id),
      trouble: path.trouble(),
      health: reports.health(id, now),
      costMs: connectMs === undefined ? undefined : reports.expect(id, [], now).costMs,
      lossPercent,
    };
  }

  /** Where the edge chooses, what the kernel was told counts. */
  #choiceFor(choice: Choice, address: Uint8Array): Choice {
    if (choice.kind !== 'path' || choice.reason.by !== 'auto') return choice;
    const { places, automatic } = this.#options.paths.measures;
    const current = places.find(address) ?? automatic[address.length === 4 ? 'v4' : 'v6'].current;
    if (current === undefined) return { kind: 'none', reason: { by: 'nothing', why: 'no-path' } };
    const { path, why } = 'path' in current ? current : { path: current.id, why: current.why };
    return { ...choice, path, reason: { by: 'auto', why } };
  }

  #troubleOf(id: string, family: RouteFamily): string | undefined {
    const { measures } = this.#options.paths;
    const now = this.#options.clock.now();
    const trouble = measures.path(id)?.troubleOf(family);
    if (trouble !== undefined || !measures.silent(now)[family].includes(id)) return trouble;
    return silenceOf(measures.reports.health(id, now));
  }

  #names(): NameSurroundings {
    const { paths, clock } = this.#options;
    return {
      explain: (device, address) => paths.names.find(device, address, clock.now()),
      lookUp: async (host) => {
        const found = await lookup(host, { all: true }).catch(() => []);
        return found.map((one) => one.address);
      },
      tell: (device, names) => tellNames(paths, device, names, clock.now()),
    };
  }

  async #count(): Promise<void> {
    this.#opened = await readOpened(this.#options.run);
    this.#flows = (await readOpenFlows()) ?? new Map();
  }
}
