/**
 * Which flows may be learnt from: those whose path the edge chose by itself, to places that anybody may know of. What a
 * pin or a rule ties to one path is nobody else's business, and so are the owner's own networks: they are never asked by
 * another path.
 */

import { type Prefix, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import { type DeviceEntry, DeviceMap } from '../egress/devices.ts';
import type { KnownName } from '../egress/rules.ts';
import type { PathSelector } from '../egress/select.ts';
import { closedRanges } from './closed-ranges.ts';
import type { TrackedFlow } from './tracked-flows.ts';

export interface FreeFlowTools {
  readonly selector: PathSelector;
  readonly nameOf: (device: string, address: Uint8Array) => KnownName | undefined;
  readonly now: Parameters<PathSelector['choose']>[1];
}

const ownRanges = closedRanges(true);
const ownPrefixes: readonly Prefix[] = [...ownRanges.v4, ...ownRanges.v6].flatMap(
  (text) => parsePrefix(text) ?? [],
);

export class FreeFlows {
  readonly #devices: () => readonly DeviceEntry[];
  /** Made when it is needed: there may be thousands, and they change often. */
  #map: DeviceMap | undefined;

  constructor(devices: () => readonly DeviceEntry[]) {
    this.#devices = devices;
  }

  /** Devices came or went. */
  forget(): void {
    this.#map = undefined;
  }

  isFree({ source, destination }: TrackedFlow, tools: FreeFlowTools): boolean {
    const { address } = destination;
    if (ownPrefixes.some((prefix) => prefixContains(prefix, address))) return false;
    this.#map ??= new DeviceMap(this.#devices());
    const device = this.#map.find(source)?.name;
    if (device === undefined) return false;
    const name = tools.nameOf(device, address);
    const question = { protocol: 'tcp', device, tags: [], ...destination, name } as const;
    return tools.selector.choose(question, tools.now).reason.by === 'auto';
  }
}
