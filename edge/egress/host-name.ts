/**
 * The name behind an address, for one device: what its own questions to the edge's resolver were answered with, or what it
 * said that its own resolver answered. Never another device's, never kept longer than an answer may reasonably be used.
 * Bounded in all and for each device, so that none can make room by pushing out another's. Pure, told the time.
 */

import { type MonoMs, minuteMs, secondMs } from '../../shared/core/base/time.ts';
import { addressKey } from './address-key.ts';
import { RecentMap } from './recent-map.ts';
import type { KnownName } from './rules.ts';

/** Programs keep answers a little longer than they may. */
const leastLifeMs = 5 * minuteMs;
const longestLifeMs = 60 * minuteMs;
const maxPairs = 131_072;
const maxPairsOfDevice = 2048;
/** Names of one address: of a host of many sites, the latest. */
const maxNames = 8;
/** How long it is remembered, for explaining, what a connection said itself. */
const saidLifeMs = 5 * minuteMs;
const maxSaid = 1024;

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

interface Said {
  readonly known: KnownName;
  readonly until: MonoMs;
}

export class HostNames {
  /** By device, then by address; the latest name is the last. */
  readonly #devices: Map<string, RecentMap<readonly NamedUntil[]>> = new Map();
  readonly #said = new RecentMap<Said>(maxSaid);
  readonly #mostPairs: number;
  #pairs = 0;

  constructor(mostPairs: number = maxPairs) {
    this.#mostPairs = mostPairs;
  }

  /** Addresses with names, of all devices. */
  get size(): number {
    return this.#pairs;
  }

  note(answer: NamedAddress, now: MonoMs): void {
    const { device, name, address, ttlSeconds } = answer;
    const ofDevice = this.#ofDevice(device);
    const key = addressKey(address);
    const lifeMs = Math.min(longestLifeMs, Math.max(leastLifeMs, ttlSeconds * secondMs));
    const others = (ofDevice.peek(key) ?? []).filter((one) => one.until > now && one.name !== name);
    const before = ofDevice.size;
    ofDevice.set(key, [...others.slice(-(maxNames - 1)), { name, until: (now + lifeMs) as MonoMs }]);
    this.#pairs += ofDevice.size - before;
    if (this.#pairs > this.#mostPairs) this.#forgetOldest(device);
  }

  /** Undefined where the device has not asked for it here. */
  find(device: string | undefined, address: Uint8Array, now: MonoMs): KnownName | undefined {
    if (device === undefined) return undefined;
    const entries = this.#devices.get(device)?.peek(addressKey(address)) ?? [];
    const names = entries.filter((one) => one.until > now);
    const latest = names.at(-1);
    if (latest === undefined) return undefined;
    const others = names.slice(0, -1).map((one) => one.name);
    return { name: latest.name, source: others.length === 0 ? 'looked-up' : 'guessed', others };
  }

  /** A connection of the device to that address has said its name. Kept for `explain` alone. */
  noteSaid(device: string, address: Uint8Array, known: KnownName, now: MonoMs): void {
    this.#said.set(`${device}|${addressKey(address)}`, { known, until: (now + saidLifeMs) as MonoMs });
  }

  /** As the last connection there was judged. */
  explain(device: string | undefined, address: Uint8Array, now: MonoMs): KnownName | undefined {
    const said = this.#said.peek(`${device}|${addressKey(address)}`);
    return said !== undefined && said.until > now ? said.known : this.find(device, address, now);
  }

  /** Nothing of a device that is gone. */
  forget(device: string): void {
    this.#pairs -= this.#devices.get(device)?.size ?? 0;
    this.#devices.delete(device);
    for (const key of [...this.#said.entries()].map(([name]) => name)) {
      if (key.startsWith(`${device}|`)) this.#said.delete(key);
    }
  }

  /** The device's addresses; it is the last to be forgotten now. */
  #ofDevice(device: string): RecentMap<readonly NamedUntil[]> {
    const known = this.#devices.get(device) ?? new RecentMap<readonly NamedUntil[]>(maxPairsOfDevice);
    this.#devices.delete(device);
    this.#devices.set(device, known);
    return known;
  }

  /** Whoever has not asked for the longest time; never the one that asks now. */
  #forgetOldest(except: string): void {
    for (const [device, { size }] of this.#devices) {
      if (device === except) continue;
      this.#devices.delete(device);
      this.#pairs -= size;
      return;
    }
  }
}
