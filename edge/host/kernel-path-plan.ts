/** From paths, rules and devices to what the kernel is asked for (kernel-path-rules.ts, kernel-path-routes.ts). Pure. */

import { formatAddress, formatPrefix } from '../../shared/core/base/ip.ts';
import type { EdgeConfig } from '../config.ts';
import type { PathConfig } from '../config-paths.ts';
import type { DeviceEntry } from '../egress/devices.ts';
import type { EgressRule } from '../egress/rules.ts';
import { prefixesOf } from '../network.ts';
import type { MovedPlace } from './automatic-places.ts';
import { closedRanges } from './closed-ranges.ts';
import type { GuardOpening } from './guard-rules.ts';
import { hex, hopInterfaceOf, markOfSlot, nowhereSlot, pathMarkMask } from './kernel-marks.ts';
import { families, familyOf, type PathWay, type RouteFamily } from './kernel-path-routes.ts';
import type { HostElement, MarkedPath, MarkedRule, PathRulesPlan } from './kernel-path-rules.ts';
import type { SilentSlots } from './kernel-place-rules.ts';

/** A path of edge.yaml with its slot. */
export interface SlottedPath {
  readonly config: PathConfig;
  readonly slot: number;
}

export interface PathRulesParts {
  readonly config: EdgeConfig;
  readonly interfaceNames: readonly string[];
  readonly paths: readonly SlottedPath[];
  /** All of them: of edge.yaml and of the store. */
  readonly devices: readonly DeviceEntry[];
  /** Ids of paths; undefined where nothing carries the family. */
  readonly automatic: Readonly<Record<RouteFamily, string | undefined>>;
  readonly places: readonly MovedPlace[];
  readonly silent: SilentSlots;
  readonly hosts: readonly HostElement[];
  /** Flows by slot before now. */
  readonly opened: ReadonlyMap<number, number>;
}

/** One path, the default route, and nothing to decide: the kernel needs no word about it. */
export function isPlain({ paths, rules }: Pick<EdgeConfig, 'paths' | 'rules'>): boolean {
  return paths.length === 1 && paths[0]?.type === 'direct' && rules.length === 0;
}

/** All that makes the path what it is. */
export function pathKey(path: PathConfig): string {
  return JSON.stringify(path);
}

/** Undefined for a path that leads nowhere. */
export function wayOf({ config, slot }: SlottedPath): PathWay | undefined {
  switch (config.type) {
    case 'direct':
      return { kind: 'direct' };
    case 'source':
      return { kind: 'source', address: config.address, interfaceName: config.interfaceName };
    case 'wireguard': {
      const allowed = config.hop.peers.flatMap((peer) => peer.allowedTexts);
      return { kind: 'hop', interfaceName: hopInterfaceOf(slot), allowed };
    }
    default:
      return undefined;
  }
}

/** Families that may ever go by the path. */
export function familiesOf(config: PathConfig): ReadonlySet<RouteFamily> {
  if (config.type === 'source' && config.address !== undefined) return new Set([familyOf(config.address)]);
  if (config.type !== 'wireguard') return new Set(families);
  const has = (size: number): boolean =>
    config.hop.addresses.some((address) => address.length === size) &&
    config.hop.peers.some((peer) => peer.allowedIps.some(({ address }) => address.length === size));
  return new Set(families.filter((family) => has(family === 'v4' ? 4 : 16)));
}

/** Source addresses of the path's own. A tunnel's are said as well: no other may ever go in. */
export function sourcesOf(config: PathConfig): readonly string[] {
  if (config.type === 'source') return config.address === undefined ? [] : [config.address];
  if (config.type !== 'wireguard') return [];
  return families.flatMap((family) => {
    const own = config.hop.addresses.find((address) => address.length === (family === 'v4' ? 4 : 16));
    return own === undefined ? [] : [formatAddress(own)];
  });
}

export function pathRulesPlan(parts: PathRulesParts): PathRulesPlan {
  const { config, interfaceNames, paths, devices, automatic, places, silent, hosts, opened } = parts;
  const slots = new Map(paths.map((path) => [path.config.id, path.slot]));
  const slotOf = (id: string | undefined): number => slots.get(id ?? '') ?? nowhereSlot;
  return {
    interfaceNames,
    networks: prefixesOf(config.network).map(formatPrefix),
    closed: closedRanges(config.closePrivate),
    allow: config.allow.map(({ cidr, device }) => ({
      cidr: formatPrefix(cidr),
      from: device === undefined ? undefined : prefixesFor({ device }, devices),
    })),
    paths: paths.map((path) => markedPath(path, opened)),
    rules: config.rules.map((rule, index) => markedRule(rule, index, { devices, slotOf })),
    pins: devices.flatMap((device) => {
      const slot = pinnedSlot(device, slots);
      if (slot === undefined) return [];
      return device.prefixes.map((prefix) => ({ prefix: formatPrefix(prefix), slot }));
    }),
    automatic: { v4: slotOf(automatic.v4), v6: slotOf(automatic.v6) },
    places: places.map(({ prefix, path }) => ({ prefix, slot: slotOf(path) })),
    silent,
    isProbed: config.probe.targets.length > 0,
    hosts,
  };
}

/** What rules open for their own paths, as the guard must know it. */
export function routedOpenings(
  rules: readonly EgressRule[],
  paths: readonly SlottedPath[],
  devices: readonly DeviceEntry[],
): readonly GuardOpening[] {
  return rules.flatMap(({ match, use }) => {
    const path = paths.find((one) => one.config.id === use);
    if (match.cidr === undefined || path === undefined || path.config.type === 'block') return [];
    return [
      {
        cidr: formatPrefix(match.cidr),
        from: prefixesFor(match, devices),
        mark: `${hex(pathMarkMask)} == ${hex(markOfSlot(path.slot))}`,
      },
    ];
  });
}

function markedPath({ config, slot }: SlottedPath, opened: ReadonlyMap<number, number>): MarkedPath {
  return {
    slot,
    kind: config.type === 'block' ? config.how : 'carry',
    sources: sourcesOf(config),
    hop:
      config.type === 'wireguard' ? { interfaceName: hopInterfaceOf(slot), mtu: config.hop.mtu } : undefined,
    opened: opened.get(slot) ?? 0,
  };
}

function markedRule(
  { match, use }: EgressRule,
  index: number,
  known: {
    readonly devices: readonly DeviceEntry[];
    readonly slotOf: (id: string) => number;
  },
): MarkedRule {
  return {
    index,
    from: prefixesFor(match, known.devices),
    cidr: match.cidr === undefined ? undefined : formatPrefix(match.cidr),
    port: match.port,
    isForHost: match.host !== undefined,
    use: use === 'auto' ? 'auto' : known.slotOf(use),
  };
}

/** Undefined: everybody. Empty: nobody has that name or tag now. */
function prefixesFor(
  match: { readonly device?: string | undefined; readonly tag?: string | undefined },
  devices: readonly DeviceEntry[],
): readonly string[] | undefined {
  const { device, tag } = match;
  if (device === undefined && tag === undefined) return undefined;
  return devices
    .filter((one) => device === undefined || one.name === device)
    .filter((one) => tag === undefined || one.tags?.includes(tag) === true)
    .flatMap((one) => one.prefixes.map(formatPrefix));
}

function pinnedSlot(device: DeviceEntry, slots: ReadonlyMap<string, number>): number | undefined {
  const { path, granted } = device;
  if (path === undefined || granted?.includes(path) === false) return undefined;
  return slots.get(path);
}
