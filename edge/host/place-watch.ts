/**
 * Finds the places that are worth a look where the kernel forwards: those whose flows nobody answers, and those that
 * many flows go to. Reads the kernel's list of connections, no more often than costs a hundredth of the time; has
 * places measured (place-measure.ts), a small share of all flows. What follows is decided in automatic-places.ts.
 */

import { after, type MonoMs } from '../../shared/core/base/time.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { RecentMap } from '../egress/recent-map.ts';
import { placeKey } from '../egress/site.ts';
import { FlowTracker, type TrackedFlow } from './tracked-flows.ts';

export interface PlaceWatchOptions {
  readonly now: () => MonoMs;
  /** The kernel's list; undefined where it is too long. Rejects where there is none. */
  readonly readList: () => Promise<string | undefined>;
  /** Whether the edge chose the path of the flow by itself: others are nobody else's business. */
  readonly isFree: (flow: TrackedFlow) => boolean;
  /** A flow goes there, and is answered. */
  readonly onUse: (address: Uint8Array) => void;
  /** How long ago the place was measured by the path that was asked the longest time ago. */
  readonly ageOf: (address: Uint8Array) => number;
  /** Measures the place by all paths that could lead there; whether any did, undefined: not now. Never rejects. */
  readonly measure: (end: FlowEnd) => Promise<boolean | undefined>;
}

interface Doubt {
  notBefore: MonoMs;
  /** How often in a row nobody led there. */
  vain: number;
}

interface Use {
  flows: number;
}

/** How often the list is read, while all is well and while a flow waits: a little less than a look or two. */
const everyMs = 950;
const whileWaitingMs = 450;
/** A byte of the list costs 13 ns of a processor, here and in the kernel: a hundredth of the time. */
const pausePerByteMs = 0.0013;
/** Where the list is too long, or there is none. */
const mostBetweenMs = 30_000;
/** A place in doubt is measured again after this, and after longer and longer where nobody leads there. */
const againMs = 2500;
const longestAgainMs = 300_000;
/** Of answered flows so many have their place measured, in bursts of a few. */
const exploreShare = 0.02;
const exploreBurst = 3;
/** A place that so many flows went to will be gone to again. */
const worthFlows = 4;
const remeasureMs = 60_000;
const maxPlaces = 2048;
/** At a time. */
const maxMeasuring = 4;

export class PlaceWatch {
  readonly #options: PlaceWatchOptions;
  readonly #tracker = new FlowTracker();
  readonly #doubts = new RecentMap<Doubt>(maxPlaces);
  readonly #uses = new RecentMap<Use>(maxPlaces);
  readonly #measuring = new Set<string>();
  #exploreTokens = exploreBurst;
  #readAfter: MonoMs | undefined;
  #isReading = false;

  constructor(options: PlaceWatchOptions) {
    this.#options = options;
  }

  /** Call twice a second. Resolves when the list was read, if it was its turn; never rejects. */
  async look(): Promise<void> {
    const { now, readList } = this.#options;
    const from = now();
    if (this.#isReading || (this.#readAfter !== undefined && from < this.#readAfter)) return;
    this.#isReading = true;
    try {
      const list = await readList();
      if (list !== undefined) this.#follow(list);
      const pauseMs = this.#tracker.isWaiting ? whileWaitingMs : everyMs;
      const length = list?.length ?? Number.POSITIVE_INFINITY;
      this.#readAfter = after(from, Math.min(mostBetweenMs, Math.max(pauseMs, length * pausePerByteMs)));
    } catch {
      // A kernel that does not tell: asked again, for a module may come.
      this.#readAfter = after(from, mostBetweenMs);
    } finally {
      this.#isReading = false;
    }
  }

  #follow(list: string): void {
    const { now, isFree, onUse } = this.#options;
    const { answered, waiting } = this.#tracker.handleList(list, now());
    for (const flow of answered) {
      if (!isFree(flow)) continue;
      onUse(flow.destination.address);
      this.#explore(flow);
    }
    for (const flow of waiting) if (isFree(flow)) this.#doubt(flow);
  }

  #doubt({ destination }: TrackedFlow): void {
    const now = this.#options.now();
    const key = placeKey(destination.address);
    const doubt = this.#doubts.ensure(key, () => ({ notBefore: now, vain: 0 }));
    if (now < doubt.notBefore) return;
    this.#measure(destination, (isThere) => {
      if (isThere === undefined) return;
      doubt.vain = isThere ? 0 : doubt.vain + 1;
      const pauseMs = Math.min(longestAgainMs, againMs * 2 ** doubt.vain);
      doubt.notBefore = after(this.#options.now(), pauseMs);
    });
  }

  #explore({ destination }: TrackedFlow): void {
    this.#exploreTokens = Math.min(exploreBurst, this.#exploreTokens + exploreShare);
    const use = this.#uses.ensure(placeKey(destination.address), () => ({ flows: 0 }));
    use.flows++;
    if (this.#exploreTokens < 1 || use.flows < worthFlows) return;
    if (this.#options.ageOf(destination.address) < remeasureMs) return;
    if (this.#measure(destination, () => undefined)) this.#exploreTokens -= 1;
  }

  /** False where it is being measured, or too many are. */
  #measure(end: FlowEnd, then: (isThere: boolean | undefined) => void): boolean {
    const key = placeKey(end.address);
    if (this.#measuring.has(key) || this.#measuring.size >= maxMeasuring) return false;
    this.#measuring.add(key);
    void this.#measureOne(end, key, then);
    return true;
  }

  async #measureOne(end: FlowEnd, key: string, then: (isThere: boolean | undefined) => void): Promise<void> {
    const isThere = await this.#options.measure(end);
    this.#measuring.delete(key);
    then(isThere);
  }
}
