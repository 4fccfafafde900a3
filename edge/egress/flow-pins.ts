/**
 * Which flow goes which way: a flow keeps its path until it ends, and what is sent again between the same ends soon
 * after belongs to it still. Counts what runs on each path, for draining and for people. Bounded. Pure, told the time.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import { RecentMap } from './recent-map.ts';

/** Datagrams between the same ends within this time are the same conversation, whatever idle limits ended. */
const lingerMs = 5 * 60_000;
const maxLingering = 16_384;

export interface FlowPin {
  readonly path: string;
  readonly device: string | undefined;
  readonly openedAt: MonoMs;
  /** Both directions, since it was opened; absent where nobody counts. */
  readonly bytes?: () => number;
}

export interface PathLoad {
  /** Open now. */
  flows: number;
  /** Since the start. */
  opened: number;
  failed: number;
  /** Of flows that have ended. */
  bytes: number;
}

export class FlowPins {
  readonly #open = new Set<FlowPin>();
  readonly #lingering = new RecentMap<{ readonly path: string; readonly until: MonoMs }>(maxLingering);
  readonly #loads: Map<string, PathLoad> = new Map();

  get size(): number {
    return this.#open.size;
  }

  /** Where a conversation between these ends went until a moment ago. */
  recent(flowKey: string, now: MonoMs): string | undefined {
    const found = this.#lingering.peek(flowKey);
    return found !== undefined && now < found.until ? found.path : undefined;
  }

  open(pin: FlowPin): void {
    this.#open.add(pin);
    const load = this.load(pin.path);
    load.flows++;
    load.opened++;
  }

  /** Idempotent. `flowKey`: for flows of datagrams, so that they may come back. */
  end(pin: FlowPin, now: MonoMs, flowKey?: string): void {
    if (!this.#open.delete(pin)) return;
    const load = this.load(pin.path);
    load.flows--;
    load.bytes += pin.bytes?.() ?? 0;
    if (flowKey !== undefined) {
      this.#lingering.set(flowKey, { path: pin.path, until: (now + lingerMs) as MonoMs });
    }
  }

  /** Live; there is one for each path that was asked about or used, which edge.yaml bounds. */
  load(path: string): PathLoad {
    const found = this.#loads.get(path);
    if (found !== undefined) return found;
    const made = { flows: 0, opened: 0, failed: 0, bytes: 0 };
    this.#loads.set(path, made);
    return made;
  }

  /** By path, what its flows have moved, those that are open included. Looks at each of them: for people, not for flows. */
  bytes(): ReadonlyMap<string, number> {
    const sums = new Map([...this.#loads].map(([path, load]) => [path, load.bytes]));
    for (const { path, bytes } of this.#open) {
      if (bytes !== undefined) sums.set(path, (sums.get(path) ?? 0) + bytes());
    }
    return sums;
  }

  /** Nothing comes back to this path: it is being drained, or gone. */
  forget(path: string): void {
    for (const [key, { path: of }] of this.#lingering.entries()) {
      if (of === path) this.#lingering.delete(key);
    }
  }
}
