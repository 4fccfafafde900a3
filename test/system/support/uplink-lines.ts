/** Two more uplinks of a PathsWorld, `near` and `far`: real lines with delay, loss and a rate (our seeded relay). */

import { RelayChild } from '../../../shared/node/lab/relay-child.ts';
import type { RelayOrder } from '../../../shared/node/lab/relay-settings.ts';
import type { PathsWorld } from './paths-world.ts';

export const lines = {
  near: { edge: '198.18.6.1', inet: '198.18.6.2', metric: '900' },
  far: { edge: '198.18.6.5', inet: '198.18.6.6', metric: '901' },
} as const;
export type Line = keyof typeof lines;
export type Quality = NonNullable<RelayOrder['forward']>;

export const good: Readonly<Record<Line, Quality>> = {
  near: { delayMs: 10, rateMbit: 50 },
  far: { delayMs: 40, rateMbit: 50 },
};
export const congested: Quality = { delayMs: 150, jitterMs: 20, lossPercent: 2, rateMbit: 2, queueMs: 200 };
export const dead: Quality = { lossPercent: 100 };

export class UplinkLines {
  readonly #world: PathsWorld;
  readonly #relays: Partial<Record<Line, RelayChild>> = {};

  constructor(world: PathsWorld) {
    this.#world = world;
  }

  /** As good as they get. A line that is there already is left as it is. */
  async start(): Promise<void> {
    for (const line of ['near', 'far'] as const)
      if (this.#relays[line] === undefined) await this.#start(line);
  }

  async change(line: Line, to: Quality): Promise<void> {
    await this.#relays[line]?.change({ forward: to, backward: to });
  }

  /** Before the namespaces go. */
  async end(): Promise<void> {
    await Promise.all(Object.values(this.#relays).map((relay) => relay.end()));
  }

  async #start(line: Line): Promise<void> {
    const { edge, inet } = this.#world.lab;
    const { edge: ours, inet: theirs, metric } = lines[line];
    this.#relays[line] = await RelayChild.start({
      seed: 7,
      first: { namespace: edge.namespace, interface: line, addresses: [`${ours}/30`] },
      second: { namespace: inet.namespace, interface: line, addresses: [`${theirs}/30`] },
      forward: good[line],
      backward: good[line],
    });
    await edge.run('ip', ['route', 'add', 'default', 'via', theirs, 'dev', line, 'metric', metric]);
  }
}
