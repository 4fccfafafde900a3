/** What is chosen among the ways out, beside how they do (control-numbers.ts), by the id that edge.yaml gives them. Nothing about destinations or devices. */

import { Counter, Gauge, type Registry } from 'prom-client';
import type { EdgePath, EdgeStatus } from '../admin/status.ts';

const states = ['unknown', 'good', 'suspect', 'recovering', 'down', 'drained', 'block'] as const;
const labelNames = ['path'];

export class PathNumbers {
  readonly #share: Gauge;
  readonly #state: Gauge;
  readonly #chosen: Gauge;
  readonly #totals: readonly (readonly [counter: Counter, of: (path: EdgePath) => number | undefined])[];
  readonly #before: Map<string, number> = new Map();

  constructor(registry: Registry) {
    const registers = [registry];
    const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, labelNames, registers });
    const counter = (name: string, help: string): Counter =>
      new Counter({ name, help, labelNames, registers });
    this.#share = gauge(
      'culvert_path_share_ratio',
      'Of all flows since the start, those that took the path, 0 to 1.',
    );
    this.#chosen = gauge('culvert_path_usual', '1 for the path that flows take where nothing else speaks.');
    this.#state = new Gauge({
      name: 'culvert_path_state',
      help: '1 for the state that a path is in.',
      labelNames: ['path', 'state'],
      registers,
    });
    this.#totals = [
      [counter('culvert_path_bytes_total', 'Bytes of flows by a path, both ways.'), (path) => path.bytes],
      [
        counter('culvert_path_switches_total', 'Moves of the usual path to this one.'),
        (path) => path.switches,
      ],
    ];
  }

  take({ paths }: Pick<EdgeStatus, 'paths'>): void {
    for (const path of paths) this.#takeOne(path);
  }

  #takeOne(path: EdgePath): void {
    const labels = { path: path.id };
    if (path.sharePercent !== undefined) this.#share.set(labels, path.sharePercent / 100);
    if (path.isDefault !== undefined) this.#chosen.set(labels, path.isDefault ? 1 : 0);
    if (path.state !== undefined) {
      for (const state of states) this.#state.set({ ...labels, state }, path.state === state ? 1 : 0);
    }
    for (const [i, [counter, of]] of this.#totals.entries()) {
      const total = of(path) ?? 0;
      const key = `${i} ${path.id}`;
      const rise = total - (this.#before.get(key) ?? 0);
      if (rise > 0) counter.inc(labels, rise);
      this.#before.set(key, total);
    }
  }
}
