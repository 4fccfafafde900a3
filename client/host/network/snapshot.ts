/** What this machine's network looks like at one moment, as a value, gathered from the kernel's messages. Pure. */

import type { AddressMessage, LinkMessage, RouteMessage, RtMessage } from './rtnetlink.ts';
import { mainTable } from './rtnetlink-request.ts';

export interface NetworkSnapshot {
  readonly links: readonly LinkMessage[];
  readonly addresses: readonly AddressMessage[];
  /** Unicast routes of the main table, defaults first. */
  readonly routes: readonly RouteMessage[];
  /** The way to each target that was asked for; targets without a way are absent. */
  readonly ways: readonly Way[];
  /** There was more than is kept. */
  readonly truncated: boolean;
}

/** How packets get to a target: the kernel's own answer. */
export interface Way {
  readonly target: string;
  readonly index: number;
  readonly gateway?: string;
  readonly source?: string;
}

/** Containers bring many links; more than this tell nothing new. */
export const maxLinks = 2048;
export const maxAddresses = 4096;
/** Apart from defaults. */
export const maxRoutes = 1024;
export const maxDefaults = 64;
export const maxTargets = 8;

/** Collects messages of lists; what is over a limit is dropped and said. */
export class SnapshotCollector {
  readonly #links: LinkMessage[] = [];
  readonly #addresses: AddressMessage[] = [];
  readonly #defaults: RouteMessage[] = [];
  readonly #routes: RouteMessage[] = [];
  #truncated = false;

  add(message: RtMessage): void {
    switch (message.kind) {
      case 'link':
        this.#keep(this.#links, message, maxLinks);
        return;
      case 'address':
        this.#keep(this.#addresses, message, maxAddresses);
        return;
      case 'route':
        if (message.table !== mainTable || !message.unicast) return;
        if (message.bits === 0) this.#keep(this.#defaults, message, maxDefaults);
        else this.#keep(this.#routes, message, maxRoutes);
        return;
      default:
        return;
    }
  }

  /** The kernel had more to tell than we wanted to hear. */
  cutShort(): void {
    this.#truncated = true;
  }

  snapshot(ways: readonly Way[]): NetworkSnapshot {
    return {
      links: this.#links,
      addresses: this.#addresses,
      routes: [...this.#defaults, ...this.#routes],
      ways,
      truncated: this.#truncated,
    };
  }

  #keep<T>(list: T[], item: T, most: number): void {
    if (list.length < most) list.push(item);
    else this.#truncated = true;
  }
}

/** The answer to "how do I get to `target`", undefined where there is no way. */
export function wayIn(target: string, messages: readonly RtMessage[]): Way | undefined {
  for (const message of messages) {
    // A local address of ours is a way, too: an edge on this very machine.
    if (message.kind !== 'route' || message.gone || message.index === 0) continue;
    const { index, gateway, source } = message;
    return {
      target,
      index,
      ...(gateway === undefined ? {} : { gateway }),
      ...(source === undefined ? {} : { source }),
    };
  }
  return undefined;
}
