/**
 * Measures every path all the time: opens a connection to a target through it, and closes it again. One at a time a
 * path, at moments that are spread, within a budget of bytes. Without targets it does nothing.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import type { Timing } from './dial-race.ts';
import { type EgressPath, PathError, type PathTarget } from './path.ts';
import type { PathReports } from './report.ts';

export interface ProbePlan {
  readonly everyMs: number;
  readonly targets: readonly PathTarget['end'][];
}

export interface ProberOptions {
  readonly plan: ProbePlan;
  readonly paths: readonly EgressPath[];
  readonly reports: PathReports;
  readonly timing: Timing;
  /** 0 to 1. */
  readonly random: () => number;
  readonly maySpend: (bytes: number) => boolean;
  /** A probe has failed: whoever chooses may think again at once. */
  readonly onFailure?: (() => void) | undefined;
}

/** SYN, SYN-ACK, ACK, RST or FINs, with their headers; a proxy's own words besides. */
const probeBytes = 600;
/** A path that does not answer within it has lost the probe; that is what a path nobody knows gets. */
const mostTimeoutMs = 3000;
/** One lost packet is repeated after a second: that long any path may take, and a little. */
const leastTimeoutMs = 1250;
const repeatMs = 1050;
/** Moments differ by this part of the interval, so that edges and paths do not march in step. */
const jitterShare = 0.2;
/** A path that does not answer, or has just failed, is asked so much sooner. */
const urgentShare = 0.2;
const leastUrgentMs = 500;

/** A budget of bytes that fills up with time. */
export class ByteBudget {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => MonoMs;
  #tokens: number;
  #at: MonoMs;
  /** Since the start. */
  spent = 0;

  constructor(perSecond: number, burst: number, now: () => MonoMs) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = now;
    this.#tokens = burst;
    this.#at = now();
  }

  take(bytes: number): boolean {
    const now = this.#now();
    // A clock that jumps back gives nothing.
    const passedMs = Math.max(0, now - this.#at);
    this.#tokens = Math.min(this.#burst, this.#tokens + (passedMs / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#tokens < bytes) return false;
    this.#tokens -= bytes;
    this.spent += bytes;
    return true;
  }
}

export class Prober {
  readonly #options: ProberOptions;
  readonly #cancels: Map<string, () => void> = new Map();
  readonly #running: Map<string, Promise<void>> = new Map();
  readonly #turns: Map<string, number> = new Map();
  readonly #asked: Map<string, number> = new Map();
  readonly #stop = new AbortController();

  /** Begins at once: nothing is known yet. */
  constructor(options: ProberOptions) {
    this.#options = options;
    if (options.plan.targets.length === 0) return;
    const measured = options.paths.filter((path) => path.type !== 'block');
    for (const [i, path] of measured.entries()) {
      this.#plan(path, (options.plan.everyMs * i * jitterShare) / measured.length);
    }
  }

  /** Measures a path now, or waits for the measurement that runs. False where there is nothing to ask. */
  async probe(id: string): Promise<boolean> {
    const path = this.#options.paths.find((one) => one.id === id && one.type !== 'block');
    if (path === undefined || this.#options.plan.targets.length === 0) return false;
    await (this.#running.get(id) ?? this.#measure(path));
    return true;
  }

  /** How often the path was asked since the start. */
  asked(id: string): number {
    return this.#asked.get(id) ?? 0;
  }

  /** Something went wrong on this path: look soon. */
  hurry(id: string): void {
    const path = this.#options.paths.find((one) => one.id === id && one.type !== 'block');
    if (path === undefined || this.#options.plan.targets.length === 0 || this.#running.has(id)) return;
    this.#plan(path, leastUrgentMs / 2);
  }

  close(): void {
    this.#stop.abort(new PathError('path', 'unreachable', 'The edge ends.'));
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }

  #plan(path: EgressPath, ms: number): void {
    if (this.#stop.signal.aborted) return;
    this.#cancels.get(path.id)?.();
    this.#cancels.set(
      path.id,
      this.#options.timing.after(ms, () => void this.#measure(path)),
    );
  }

  #measure(path: EgressPath): Promise<void> {
    const running = this.#measureOnce(path).finally(() => {
      this.#running.delete(path.id);
      this.#plan(path, this.#nextMs(path));
    });
    this.#running.set(path.id, running);
    return running;
  }

  async #measureOnce(path: EgressPath): Promise<void> {
    const { plan, timing, reports, maySpend } = this.#options;
    const turn = this.#turns.get(path.id) ?? 0;
    this.#turns.set(path.id, turn + 1);
    const end = plan.targets[turn % plan.targets.length];
    if (end === undefined || !path.carries('tcp', end.address.length) || !maySpend(probeBytes)) return;
    this.#asked.set(path.id, this.asked(path.id) + 1);
    const stop = new AbortController();
    const onClose = (): void => stop.abort(this.#stop.signal.reason);
    this.#stop.signal.addEventListener('abort', onClose, { once: true });
    const cancel = timing.after(this.#timeoutMs(path.id), () => stop.abort(unanswered));
    const startedAt = timing.now();
    try {
      const stream = await path.dialTcp({ end }, stop.signal);
      reports.noteProbe(path.id, timing.now() - startedAt, timing.now());
      stream.on('error', () => undefined);
      stream.destroy();
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#noteFailure(path, startedAt, error);
    } finally {
      cancel();
      this.#stop.signal.removeEventListener('abort', onClose);
    }
  }

  #noteFailure(path: EgressPath, startedAt: MonoMs, error: unknown): void {
    const { reports, timing } = this.#options;
    const known = error instanceof PathError ? error : undefined;
    // Somebody has answered, so the path works, though the target does not want us.
    if (known?.of === 'destination' && known.kind === 'refused') {
      reports.noteProbe(path.id, timing.now() - startedAt, timing.now());
      return;
    }
    const failed = { path: path.id, keys: [], startedAt, isCertain: known?.of === 'path' };
    reports.noteFailure(failed, timing.now());
    this.#options.onFailure?.();
  }

  /** What it usually takes, and one repetition: a path that dies is noticed by its first probe, and soon. */
  #timeoutMs(id: string): number {
    const { reports, timing } = this.#options;
    const { connectMs, deviationMs = 0 } = reports.report(id, timing.now());
    if (connectMs === undefined) return mostTimeoutMs;
    return Math.min(mostTimeoutMs, Math.max(leastTimeoutMs, repeatMs + 2 * connectMs + 4 * deviationMs));
  }

  #nextMs(path: EgressPath): number {
    const { plan, reports, timing, random } = this.#options;
    const everyMs = plan.everyMs * (1 + jitterShare * (random() - 0.5) * 2);
    const health = reports.health(path.id, timing.now());
    return health === 'suspect' ? Math.max(leastUrgentMs, everyMs * urgentShare) : everyMs;
  }
}

const unanswered = new PathError('destination', 'timeout', 'The target does not answer.');
