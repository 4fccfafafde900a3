/**
 * The path of new flows where the edge chooses and the kernel forwards: one for each family at a time. The choice is
 * that of ../egress/select.ts; here no other path is tried for a single flow, so one that has just failed is left at
 * once, and is not taken again before it has answered. Pure: told the time.
 */

import { type MonoMs, minuteMs } from '../../shared/core/base/time.ts';
import type { RankedPath } from '../egress/default-path.ts';
import type { PathReports } from '../egress/report.ts';
import { PathSelector, type Question, type SelectablePath } from '../egress/select.ts';

export interface AutomaticPathOptions {
  /** Those that may ever carry the family. */
  readonly paths: readonly SelectablePath[];
  readonly reports: PathReports;
  /** Bytes of an address of the family. */
  readonly family: 4 | 16;
  /** Whether paths are asked, so that one which works again is heard of. */
  readonly isProbed: boolean;
}

export interface AutomaticChoice {
  readonly id: string;
  readonly why: 'only' | 'default' | 'avoided';
}

/** Where nobody asks paths, one that failed is trusted again after so long. */
const trustAgainMs = 10_000;
/** One that fails and answers in turns is come back to no more often. */
const betweenReturnsMs = minuteMs;

export class AutomaticPath {
  readonly #options: AutomaticPathOptions;
  readonly #selector: PathSelector;
  #current: AutomaticChoice | undefined;
  /** The usual path, while it does not answer, and when that was last so. */
  #avoided: { readonly id: string; readonly at: MonoMs } | undefined;
  #returnedAt: MonoMs | undefined;

  constructor(options: AutomaticPathOptions) {
    this.#options = options;
    const { paths, reports } = options;
    this.#selector = new PathSelector({ paths, rules: [], reports });
  }

  get current(): AutomaticChoice | undefined {
    return this.#current;
  }

  setDrained(id: string, isDrained: boolean): void {
    this.#selector.setDrained(id, isDrained);
  }

  /** All that could carry it now, the best first; for one place, or for no place in particular. */
  rank(now: MonoMs, address?: Uint8Array): readonly RankedPath[] {
    return this.#selector.rank(this.#question(address), now);
  }

  /** Undefined where no path carries the family. */
  reconsider(now: MonoMs): AutomaticChoice | undefined {
    const choice = this.#selector.choose(this.#question(), now);
    this.#current =
      choice.kind !== 'path'
        ? undefined
        : choice.reason.by === 'auto' && choice.reason.why === 'only'
          ? { id: choice.path, why: 'only' }
          : this.#among(this.rank(now), now);
    return this.#current;
  }

  #among(ranked: readonly RankedPath[], now: MonoMs): AutomaticChoice | undefined {
    const best = ranked[0];
    if (best === undefined) return undefined;
    const usual = ranked.find((one) => one.id === this.#selector.defaultPath);
    if (usual === undefined) return { id: this.#rather(ranked, best), why: 'default' };
    if (usual.rank > best.rank) this.#avoided = { id: usual.id, at: now };
    else if (this.#avoided?.id !== usual.id || this.#mayReturn(this.#avoided, now)) {
      if (this.#avoided?.id === usual.id) this.#returnedAt = now;
      this.#avoided = undefined;
      return { id: usual.id, why: 'default' };
    }
    return { id: this.#rather(ranked, best), why: 'avoided' };
  }

  /** The one that is taken already, where it is as good as the best; never the avoided one but for want of others. */
  #rather(ranked: readonly RankedPath[], best: RankedPath): string {
    const good = ranked.filter((one) => one.rank <= best.rank && one.id !== this.#avoided?.id);
    return (good.find((one) => one.id === this.#current?.id) ?? good[0] ?? best).id;
  }

  #mayReturn(avoided: { readonly id: string; readonly at: MonoMs }, now: MonoMs): boolean {
    const hasRested = this.#returnedAt === undefined || now - this.#returnedAt >= betweenReturnsMs;
    return hasRested && this.#isBack(avoided, now);
  }

  #isBack({ id, at }: { readonly id: string; readonly at: MonoMs }, now: MonoMs): boolean {
    if (!this.#options.isProbed) return now - at >= trustAgainMs;
    const { measuredAt } = this.#options.reports.report(id, now);
    return measuredAt !== undefined && measuredAt >= at;
  }

  #question(address: Uint8Array = new Uint8Array(this.#options.family)): Question {
    return { protocol: 'tcp', device: undefined, tags: [], address, port: 443, name: undefined };
  }
}
