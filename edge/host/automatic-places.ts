/**
 * Places that new flows reach by another path than the usual one, where the edge chooses and the kernel forwards: /24
 * and /48, the same for all devices. A place is moved where the usual path does not lead there and another does, or
 * where another is much better; it stays while it is used, for logins are tied to an exit. Bounded. Pure: told what
 * was measured (../egress/report.ts), and the time.
 */

import { formatPrefix, maskAddress } from '../../shared/core/base/ip.ts';
import { type MonoMs, minuteMs } from '../../shared/core/base/time.ts';
import { brokenRank, type RankedPath } from '../egress/default-path.ts';
import { networkBits, placeKey } from '../egress/site.ts';

export interface AutomaticPlacesOptions {
  /** All paths that could carry it now, the best first, for this place. */
  readonly rank: (address: Uint8Array, now: MonoMs) => readonly RankedPath[];
  /** Where new flows of the family go; `size`: bytes of an address. */
  readonly usual: (size: number) => string | undefined;
  /** Whether a path did not lead to the place lately, though another did. */
  readonly fails: (path: string, keys: readonly string[], now: MonoMs) => boolean;
  /** Whether the place was ever measured by the path. */
  readonly isMeasured: (path: string, keys: readonly string[], now: MonoMs) => boolean;
}

export type PlaceReason = 'fails-here' | 'better-here';

export interface MovedPlace {
  /** 203.0.113.0/24 */
  readonly prefix: string;
  readonly path: string;
}

/** New flows to a place leave by another path from now on. */
export interface PlaceMove {
  readonly prefix: string;
  readonly address: Uint8Array;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

interface Place {
  readonly address: Uint8Array;
  readonly prefix: string;
  readonly keys: readonly string[];
  /** Undefined: the usual one. */
  moved: { readonly path: string; readonly why: PlaceReason; readonly since: MonoMs } | undefined;
  usedAt: MonoMs;
  /** It was measured, and not thought about since. */
  isDue: boolean;
  /** When it left which path because that did not lead there. */
  readonly leftAt: Map<string, MonoMs>;
}

/** Places that are thought about; of a new one beyond these the oldest that is not moved is forgotten. */
const maxPlaces = 1024;
/** Elements of the kernel's maps. */
export const maxMovedPlaces = 256;
/** A place leaves its path for one that is so much better there, and not at once again. */
const moveShare = 0.3;
const moveMs = 25;
const dwellMs = minuteMs;
/** A path that did not lead there is come back to no sooner. */
const betweenReturnsMs = minuteMs;
/** A path that does not lead there is worse than one that has missed an answer, and better than one that is down. */
const failingRank = 1.5;
/** How long a place without flows keeps its exit: about what a login without activity lasts. */
const keepMs = 30 * minuteMs;

export class AutomaticPlaces {
  readonly #options: AutomaticPlacesOptions;
  readonly #places: Map<string, Place> = new Map();
  #movedCount = 0;
  /** As they were at the last thought. */
  #usuals = '';

  constructor(options: AutomaticPlacesOptions) {
    this.#options = options;
  }

  /** As the kernel's maps should have them. */
  get moved(): readonly MovedPlace[] {
    if (this.#movedCount === 0) return [];
    const places = [...this.#places.values()];
    return places.flatMap(({ prefix, moved }) => (moved === undefined ? [] : { prefix, path: moved.path }));
  }

  find(address: Uint8Array): { readonly path: string; readonly why: PlaceReason } | undefined {
    return this.#places.get(placeKey(address))?.moved;
  }

  /** A flow goes there. */
  noteUse(address: Uint8Array, now: MonoMs): void {
    const place = this.#places.get(placeKey(address));
    if (place !== undefined) place.usedAt = now;
  }

  /** It was measured by one path or more. */
  noteMeasured(address: Uint8Array, now: MonoMs): void {
    const key = placeKey(address);
    const known = this.#places.get(key);
    if (known !== undefined) {
      known.usedAt = now;
      known.isDue = true;
      return;
    }
    if (this.#places.size >= maxPlaces) this.#forgetOldest();
    const bits = networkBits(address.length);
    const network = address.slice();
    maskAddress(network, bits);
    this.#places.set(key, {
      address: network,
      prefix: formatPrefix({ address: network, bits }),
      keys: [key],
      moved: undefined,
      usedAt: now,
      isDue: true,
      leftAt: new Map(),
    });
  }

  /** Thinks about those that are moved, and those that were measured: a few times a second. Returns what has changed. */
  reconsider(now: MonoMs): readonly PlaceMove[] {
    const moves: PlaceMove[] = [];
    const usuals = [4, 16].map((size) => this.#options.usual(size)).join();
    const isOther = usuals !== this.#usuals;
    this.#usuals = usuals;
    for (const [key, place] of this.#places) {
      const before = place.moved;
      if (place.isDue || before !== undefined || isOther) this.#think(place, now);
      const { prefix, address, moved } = place;
      if (moved?.path !== before?.path) {
        const usual = this.#options.usual(address.length);
        moves.push({ prefix, address, from: before?.path ?? usual, to: moved?.path ?? usual });
        this.#movedCount += Number(moved !== undefined) - Number(before !== undefined);
      }
      if (moved === undefined && now - place.usedAt >= keepMs) this.#places.delete(key);
    }
    return moves;
  }

  #think(place: Place, now: MonoMs): void {
    const { moved, address } = place;
    const usual = this.#options.usual(address.length);
    const ranked = this.#ranked(place, now);
    const best = ranked[0];
    const isUnused = now - place.usedAt >= keepMs;
    const current = ranked.find(({ id }) => id === (moved?.path ?? usual));
    // One that fails waits for another path to be fit.
    place.isDue = current?.isFailing === true;
    if (usual === undefined || best === undefined || isUnused || current === undefined) {
      place.moved = undefined;
      return;
    }
    if (best.id === current.id) return;
    const why = this.#whyLeave(place, current, best, now);
    if (why === undefined) return;
    if (why === 'fails-here') place.leftAt.set(current.id, now);
    if (best.id === usual) place.moved = undefined;
    else if (moved !== undefined || this.#movedCount < maxMovedPlaces) {
      place.moved = {
        path: best.id,
        why: why === 'broken' ? (moved?.why ?? 'better-here') : why,
        since: now,
      };
    }
  }

  /** Undefined: it stays. */
  #whyLeave(place: Place, current: Ranked, best: Ranked, now: MonoMs): PlaceReason | 'broken' | undefined {
    if (current.isFailing && !best.isFailing && best.rank === 0) {
      const leftAt = place.leftAt.get(best.id);
      return leftAt !== undefined && now - leftAt < betweenReturnsMs ? undefined : 'fails-here';
    }
    // A broken usual path is left for all places at once, by whoever chose it. One lost probe breaks no exit.
    if (current.rank > best.order) {
      return place.moved !== undefined && current.rank >= brokenRank ? 'broken' : undefined;
    }
    const isKnown = current.isMeasured && best.isMeasured && best.order === 0;
    const hasDwelt = place.moved === undefined || now - place.moved.since >= dwellMs;
    const isMuchBetter = best.costMs * (1 + moveShare) + moveMs < current.costMs;
    return isKnown && hasDwelt && isMuchBetter ? 'better-here' : undefined;
  }

  #ranked({ address, keys }: Place, now: MonoMs): readonly Ranked[] {
    const { rank, fails, isMeasured } = this.#options;
    const all = rank(address, now).map((one) => {
      const isFailing = fails(one.id, keys, now);
      const order = one.rank + (isFailing ? failingRank : 0);
      return { ...one, isFailing, order, isMeasured: isMeasured(one.id, keys, now) };
    });
    return all.toSorted((a, b) => a.order - b.order || a.costMs - b.costMs);
  }

  #forgetOldest(): void {
    for (const [key, { moved }] of this.#places) {
      if (moved !== undefined) continue;
      this.#places.delete(key);
      return;
    }
  }
}

interface Ranked extends RankedPath {
  /** The less the better. */
  readonly order: number;
  readonly isFailing: boolean;
  readonly isMeasured: boolean;
}
