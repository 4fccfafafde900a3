/**
 * Rules for hosts where the kernel forwards: what the gateway's resolver tells a device becomes elements of the sets
 * that these rules look into, before the device has its answer. Exact where a name is the only one that the device
 * has for an address, else the latest name counts. Bounded; forgets names as ../egress/host-name.ts does. Pure.
 */

import { formatAddress, formatPrefix } from '../../shared/core/base/ip.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { DeviceEntry } from '../egress/devices.ts';
import { HostNames, type NamedAddress } from '../egress/host-name.ts';
import { type EgressRule, hostMatches, type KnownName } from '../egress/rules.ts';
import type { HostElement, HostStep } from './kernel-path-rules.ts';

interface Told {
  readonly device: string;
  readonly address: Uint8Array;
  readonly elements: readonly HostElement[];
}

/** Pairs of a device and an address with elements. Further ones are as if the device had asked elsewhere. */
const maxTold = 16_384;

export class KernelHostNames {
  readonly #names = new HostNames();
  readonly #told: Map<string, Told> = new Map();
  #rules: readonly EgressRule[] = [];
  #devices: ReadonlyMap<string, DeviceEntry> = new Map();

  /** All elements as they are; for a script that replaces the sets. */
  get elements(): readonly HostElement[] {
    return [...this.#told.values()].flatMap((told) => told.elements);
  }

  /** Makes what the device knows again from what is remembered. The caller replaces the sets then. */
  setRules(rules: readonly EgressRule[], devices: readonly DeviceEntry[], now: MonoMs): void {
    this.#rules = rules;
    const known = new Map<string, DeviceEntry>();
    // Nobody is looked up where no rule speaks of hosts, and this is done whenever one of thousands comes.
    if (rules.some(({ match }) => match.host !== undefined)) {
      for (const device of devices) known.set(device.name, device);
    }
    this.#devices = known;
    for (const [key, { device, address }] of this.#told) {
      if (this.#devices.has(device)) this.#tell(key, device, address, now);
      else this.#told.delete(key);
    }
  }

  find(device: string | undefined, address: Uint8Array, now: MonoMs): KnownName | undefined {
    return this.#names.find(device, address, now);
  }

  /** A device was answered. What must be told to the kernel: for most answers nothing. */
  note(answer: NamedAddress, now: MonoMs): readonly HostStep[] {
    this.#names.note(answer, now);
    const { device, address } = answer;
    return this.#tell(keyOf(device, address), device, address, now);
  }

  /** What is known no longer. Call now and then. */
  expire(now: MonoMs): readonly HostStep[] {
    const steps: HostStep[] = [];
    for (const [key, { device, address, elements }] of this.#told) {
      if (this.#names.find(device, address, now) !== undefined) continue;
      this.#told.delete(key);
      steps.push(...elements.map((element) => ({ verb: 'delete' as const, element })));
    }
    return steps;
  }

  #tell(key: string, device: string, address: Uint8Array, now: MonoMs): readonly HostStep[] {
    const before = this.#told.get(key)?.elements ?? [];
    const after = this.#elementsFor(device, address, now);
    if (after.length === 0) this.#told.delete(key);
    else if (before.length > 0 || this.#told.size < maxTold) {
      this.#told.set(key, { device, address, elements: after });
    } else return [];
    const isIn = (list: readonly HostElement[], one: HostElement): boolean =>
      list.some(({ index, from }) => index === one.index && from === one.from);
    const gone = before.filter((one) => !isIn(after, one));
    const come = after.filter((one) => !isIn(before, one));
    return [
      ...gone.map((element) => ({ verb: 'delete' as const, element })),
      ...come.map((element) => ({ verb: 'add' as const, element })),
    ];
  }

  #elementsFor(device: string, address: Uint8Array, now: MonoMs): readonly HostElement[] {
    const known = this.#names.find(device, address, now);
    const prefixes = this.#devices.get(device)?.prefixes ?? [];
    const own = prefixes.filter((prefix) => prefix.address.length === address.length);
    if (known === undefined || own.length === 0) return [];
    const text = formatAddress(address);
    return this.#rules.flatMap(({ match }, index) =>
      match.host !== undefined && hostMatches(match.host, known.name)
        ? own.map((prefix) => ({ index, from: formatPrefix(prefix), address: text }))
        : [],
    );
  }
}

function keyOf(device: string, address: Uint8Array): string {
  return `${device}|${formatAddress(address)}`;
}
