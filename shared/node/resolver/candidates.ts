/**
 * Whom to ask first. Pure but for the upstreams that it holds: the configured order, those that fail or are
 * late lately last, and now and then one of those is tried beside a real question, so that it can come back.
 */

import { after, type MonoMs } from '../../core/base/time.ts';
import { lateAfterMs } from './latency.ts';
import { type Upstream, UpstreamError } from './upstream.ts';

export interface Candidate {
  readonly upstream: Upstream;
  /** Index of the upstream in the settings. */
  readonly spec: number;
  failuresInRow: number;
  /** Until then it is asked last; undefined: it is well. */
  downUntil: MonoMs | undefined;
  isProbing: boolean;
  /** Its last failure was a certificate that is not to be trusted. */
  isUntrusted?: boolean;
}

/** A first failure moves it back for so long; each further one doubles that. */
const firstDownMs = 1000;
const maxDownMs = 30_000;
/** One late answer happens; two in a row do not any more. */
const lateInRow = 2;
const leastHedgeMs = 50;
const mostHedgeMs = 200;

export class Candidates {
  readonly #all: readonly Candidate[];
  /** 0 to 1: spreads the moments at which down ones are tried again. */
  readonly #random: () => number;

  /** `groups`: per upstream of the settings, its addresses in order. */
  constructor(groups: readonly (readonly Upstream[])[], random: () => number) {
    this.#all = interleave(groups);
    this.#random = random;
  }

  get all(): readonly Candidate[] {
    return this.#all;
  }

  /** Everybody, in the order of asking. Those that are down come last, the one that is back soonest first. */
  ordered(): readonly Candidate[] {
    const well = this.#all.filter((candidate) => candidate.downUntil === undefined);
    if (well.length === this.#all.length) return this.#all;
    const down = this.#all.filter((candidate) => candidate.downUntil !== undefined);
    down.sort((a, b) => (a.downUntil ?? 0) - (b.downUntil ?? 0));
    return [...well, ...down];
  }

  /** One that is down and due for another try, marked as being tried; not `asked`. */
  takeProbe(now: MonoMs, asked: Candidate): Candidate | undefined {
    const due = this.#all.find(
      (candidate) =>
        candidate !== asked &&
        !candidate.isProbing &&
        candidate.downUntil !== undefined &&
        candidate.downUntil <= now,
    );
    if (due !== undefined) due.isProbing = true;
    return due;
  }

  handleAnswer(candidate: Candidate): void {
    candidate.failuresInRow = 0;
    candidate.downUntil = undefined;
    candidate.isProbing = false;
    candidate.isUntrusted = false;
  }

  handleFailure(candidate: Candidate, now: MonoMs, error?: unknown): void {
    candidate.failuresInRow++;
    candidate.isUntrusted = error instanceof UpstreamError && error.failure === 'certificate';
    candidate.isProbing = false;
    const delayMs = Math.min(firstDownMs * 2 ** Math.min(candidate.failuresInRow - 1, 10), maxDownMs);
    candidate.downUntil = after(now, delayMs * (0.75 + this.#random() / 2));
  }

  /** Another network: what failed before says nothing any more. */
  forgive(): void {
    for (const candidate of this.#all) {
      candidate.failuresInRow = 0;
      candidate.downUntil = undefined;
    }
  }

  /** Somebody else was asked because this one let us wait. */
  handleLate(candidate: Candidate, now: MonoMs): void {
    candidate.failuresInRow++;
    if (candidate.failuresInRow >= lateInRow) candidate.downUntil ??= after(now, firstDownMs);
  }

  /** How long to wait for `candidate` before the next one is asked too. */
  hedgeMs(candidate: Candidate): number {
    const late = lateAfterMs(candidate.upstream.stats, mostHedgeMs);
    return Math.max(leastHedgeMs, Math.min(late, mostHedgeMs));
  }
}

/**
 * The first address of the first upstream, then the second address of the second, and so on around: two in a
 * row share neither address nor transport where that can be.
 */
function interleave(groups: readonly (readonly Upstream[])[]): readonly Candidate[] {
  const longest = Math.max(0, ...groups.map((group) => group.length));
  const order: Candidate[] = [];
  const taken = new Set<Upstream>();
  for (let round = 0; round < longest; round++) {
    for (const [spec, group] of groups.entries()) {
      const shifted = group[(round + (groups.length > 1 ? spec : 0)) % group.length];
      if (shifted === undefined || taken.has(shifted)) continue;
      taken.add(shifted);
      order.push({ upstream: shifted, spec, failuresInRow: 0, downUntil: undefined, isProbing: false });
    }
  }
  return order;
}
