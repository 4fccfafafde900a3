/**
 * Plays a network of the lab: connects, does each step at its time, and writes down what a person at the laptop would
 * see and when. Ends when a page has loaded after the last step and the client is sure, or when the patience is over.
 */

import type { Status } from '../../shared/core/control/status.ts';
import { wordsFor } from '../../shared/core/control/texts.ts';
import { type LabNetwork, type LabStep, stepText } from './networks.ts';
import type { LabStage } from './stage.ts';
import { places } from './world.ts';

export interface StoryLine {
  /** Milliseconds since `culvert connect`. */
  readonly ms: number;
  readonly kind: 'step' | 'state' | 'health' | 'page';
  readonly text: string;
}

/** What came of a network, as `--json` prints it. Times are milliseconds; absent where it never came. */
export interface Story {
  readonly network: string;
  readonly mode: string;
  /** States in their order, as status has them. */
  readonly states: readonly string[];
  /** Codes of health items that were shown meanwhile. */
  readonly health: readonly string[];
  /** From `culvert connect` to the first page through the tunnel. */
  readonly firstPageMs?: number;
  /** From the last step to the next page that was begun after it; with steps after the first page. */
  readonly backMs?: number;
  /** The longest time in which no page loaded, once one had. */
  readonly longestGapMs?: number;
  /** From its step until the whole file was there; absent where none was loaded, or it never came. */
  readonly downloadMs?: number;
  /** Pages that came past the tunnel. Must be 0. */
  readonly outside: number;
  readonly lines: readonly StoryLine[];
}

export interface StoryOptions {
  /** How long a page is waited for after the last step. */
  readonly patienceMs: number;
  readonly onLine: (line: StoryLine) => void;
  /** Ends the story early. */
  readonly signal: AbortSignal;
}

const tickMs = 25;
const maxLines = 500;

export class StoryTeller {
  readonly #stage: LabStage;
  readonly #network: LabNetwork;
  readonly #options: StoryOptions;
  readonly #lines: StoryLine[] = [];
  readonly #states: string[] = [];
  readonly #health = new Set<string>();
  readonly #ended = new AbortController();
  #connectedAt = 0;
  #lastStepAt = 0;
  #firstPageAt: number | undefined;
  #backAt: number | undefined;
  #lostAt: number | undefined;
  #longestGapMs: number | undefined;
  #downloadMs: number | undefined;
  #isLoading = false;
  #pagesRead = 0;
  #outside = 0;

  constructor(stage: LabStage, network: LabNetwork, options: StoryOptions) {
    this.#stage = stage;
    this.#network = network;
    this.#options = options;
  }

  async play(): Promise<Story> {
    const steps = this.#network.steps;
    this.#connectedAt = Date.now();
    for (const step of steps.filter(({ from }) => from === 'start')) await this.#take(step);
    this.#connectedAt = Date.now();
    this.#lastStepAt = this.#connectedAt;
    // Not waited for: it shows in what follows.
    const watching = this.#watch();
    await this.#stage.control.call('connect', {});
    await this.#stage.untilClosed();
    this.#stage.ask();
    await this.#follow(steps.filter(({ from }) => from !== 'start'));
    this.#ended.abort();
    await watching;
    return this.#result();
  }

  async #follow(left: LabStep[]): Promise<void> {
    while (!this.#options.signal.aborted) {
      this.#readPages();
      this.#readDownload();
      const now = Date.now();
      const due = left.find((step) => this.#isDue(step, now));
      if (due !== undefined) {
        left.splice(left.indexOf(due), 1);
        await this.#take(due);
        continue;
      }
      const isBack = this.#backAt !== undefined && this.#states.at(-1) === 'connected';
      if (left.length === 0 && isBack && !this.#isLoading) return;
      const waitedSince = Math.max(this.#lastStepAt, left.length === 0 ? 0 : (this.#firstPageAt ?? 0));
      const latest = Math.max(
        0,
        ...left.filter((step) => this.#begun(step) !== undefined).map(({ atMs }) => atMs),
      );
      if (now > waitedSince + latest + this.#options.patienceMs) return;
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
  }

  /** What the step's time is counted from, once that was. */
  #begun(step: LabStep): number | undefined {
    return step.from === 'connect' ? this.#connectedAt : this.#firstPageAt;
  }

  #isDue(step: LabStep, now: number): boolean {
    const begun = this.#begun(step);
    return begun !== undefined && now >= begun + step.atMs;
  }

  async #take(step: LabStep): Promise<void> {
    this.#write('step', stepText(step));
    await this.#stage.take(step);
    this.#isLoading ||= step.do === 'download';
    this.#lastStepAt = Date.now();
    this.#backAt = undefined;
    // Before the laptop is closed nobody opens pages: they would come past the tunnel, as they may.
    if (step.from !== 'start') this.#stage.ask();
  }

  #readDownload(): void {
    const line = this.#isLoading ? this.#stage.downloaded() : undefined;
    if (line === undefined) return;
    this.#isLoading = false;
    if (line.ok) this.#downloadMs = line.endedAt - line.begunAt;
    this.#write('page', line.ok ? 'the file is there' : 'the file could not be loaded', line.endedAt);
  }

  #readPages(): void {
    const lines = this.#stage.pageLines();
    for (const { ok, from, begunAt, endedAt } of lines.slice(this.#pagesRead)) {
      if (ok && from !== undefined && isLaptop(from)) {
        this.#outside++;
        this.#write('page', 'a page came past the tunnel');
        continue;
      }
      if (!ok) {
        if (this.#firstPageAt !== undefined && this.#lostAt === undefined) {
          this.#lostAt = begunAt;
          this.#write('page', 'pages do not load');
        }
        continue;
      }
      this.#pageCame(begunAt, endedAt);
    }
    this.#pagesRead = lines.length;
    // An outcome that did not change is asked for again, so that one from after the step is heard.
    if (this.#backAt === undefined && this.#lostAt === undefined && this.#firstPageAt !== undefined)
      this.#stage.ask();
  }

  #pageCame(begunAt: number, endedAt: number): void {
    if (this.#firstPageAt === undefined) {
      this.#firstPageAt = endedAt;
      this.#write('page', 'a page loads through the tunnel', endedAt);
    } else if (this.#lostAt === undefined) {
      if (begunAt >= this.#lastStepAt && this.#backAt === undefined)
        this.#write('page', 'pages load on', endedAt);
    } else {
      this.#longestGapMs = Math.max(this.#longestGapMs ?? 0, endedAt - this.#lostAt);
      this.#write('page', 'pages load again', endedAt);
    }
    this.#lostAt = undefined;
    if (begunAt < this.#lastStepAt || this.#backAt !== undefined) return;
    this.#backAt = endedAt;
  }

  async #watch(): Promise<void> {
    let shown: Status | undefined;
    const { signal } = this.#options;
    for await (const status of this.#stage.control.events(AbortSignal.any([signal, this.#ended.signal]))) {
      if (status.state !== this.#states.at(-1)) this.#states.push(status.state);
      if (status.state !== shown?.state) this.#write('state', `${status.state}: ${wordsFor(status).heading}`);
      for (const item of status.health) {
        if (!this.#health.has(item.code)) this.#write('health', `${item.text} [${item.code}]`);
        this.#health.add(item.code);
      }
      shown = status;
    }
  }

  #write(kind: StoryLine['kind'], text: string, at: number = Date.now()): void {
    if (this.#lines.length >= maxLines) return;
    const line = { ms: Math.max(0, at - this.#connectedAt), kind, text };
    this.#lines.push(line);
    this.#options.onLine(line);
  }

  #result(): Story {
    const { name, steps } = this.#network;
    const isLater = steps.some(({ from }) => from === 'page');
    return {
      network: name,
      mode: this.#stage.mode,
      states: this.#states,
      health: [...this.#health],
      ...(this.#firstPageAt === undefined ? {} : { firstPageMs: this.#firstPageAt - this.#connectedAt }),
      ...(isLater && this.#backAt !== undefined ? { backMs: this.#backAt - this.#lastStepAt } : {}),
      ...(this.#longestGapMs === undefined ? {} : { longestGapMs: this.#longestGapMs }),
      ...(this.#downloadMs === undefined ? {} : { downloadMs: this.#downloadMs }),
      outside: this.#outside,
      lines: this.#lines,
    };
  }
}

function isLaptop(from: string): boolean {
  const address = from.replace(/^::ffff:/, '');
  return places.laptop.some((one) => one === address);
}
