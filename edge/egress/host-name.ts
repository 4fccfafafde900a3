/**
 * The name behind an address, for one device: what its own questions to the edge's resolver were answered with. Never
 * another device's, never kept longer than an answer may reasonably be used. Bounded. Pure, told the time.
 */

import { type MonoMs, minuteMs, secondMs } from '../../shared/core/base/time.ts';
import { addressKey } from './address-key.ts';
import { RecentMap } from './recent-map.ts';
import type { KnownName } from './rules.ts';

/** Programs keep answers a little longer than they may. */
const leastLifeMs = 5 * minuteMs;
const longestLifeMs = 60 * minuteMs;
const maxPairs = 65_536;
/** Names of one address: of a host of many sites, the latest. */
const maxNames = 8;

/** What a device was told. */
export interface NamedAddress {
  readonly device: string;
  /** Lower case, no dot at the end. */
  readonly name: string;
  readonly address: Uint8Array;
  readonly ttlSeconds: number;
}

interface NamedUntil {
  readonly name: string;
  readonly until: MonoMs;
}

export class HostNames {
  /** By device and address; the latest name is the last. */
  readonly #names = new RecentMap<readonly NamedUntil[]>(maxPairs);

  note(answer: NamedAddress, now: MonoMs): void {
    const { device, name, address, ttlSeconds } = answer;
    const key = pairKey(device, address);
    const lifeMs = Math.min(longestLifeMs, Math.max(leastLifeMs, ttlSeconds * secondMs));
    const others = (this.#names.peek(key) ?? []).filter((one) => one.until > now && one.name !== name);
    this.#names.set(key, [...others.slice(-(maxNames - 1)), { name, until: (now + lifeMs) as MonoMs }]);
  }

  /** Undefined where the device has not asked for it here. */
  find(device: string | undefined, address: Uint8Array, now: MonoMs): KnownName | undefined {
    if (device === undefined) return undefined;
    const names = this.#names.peek(pairKey(device, address))?.filter((one) => one.until > now) ?? [];
    const latest = names.at(-1);
    if (latest === undefined) return undefined;
    const others = names.slice(0, -1).map((one) => one.name);
    return { name: latest.name, source: others.length === 0 ? 'looked-up' : 'guessed', others };
  }

  /** Nothing of a device that is gone. */
  forget(device: string): void {
    for (const key of [...this.#names.entries()].map(([name]) => name)) {
      if (key.startsWith(`${device}|`)) this.#names.delete(key);
    }
  }
}

function pairKey(device: string, address: Uint8Array): string {
  return `${device}|${addressKey(address)}`;
}
