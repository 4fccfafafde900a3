/**
 * The part of the nftables table of paths where the edge chooses: places that leave by a path of their own, then the
 * usual path of the family; and the paths that answer nobody. Pure: text in, text out.
 */

import { hex, markOfSlot, pathMarkMask } from './kernel-marks.ts';
import { families, type RouteFamily } from './kernel-path-routes.ts';

/** Where new flows go, by family; `nowhereSlot` where nothing can carry it. */
export type AutomaticSlots = Readonly<Record<RouteFamily, number>>;

/** New flows to the prefix leave by this path. */
export interface PlaceSlot {
  readonly prefix: string;
  readonly slot: number;
}

/** Slots of paths that answer nobody, by family: new flows there are refused. */
export type SilentSlots = Readonly<Record<RouteFamily, readonly number[]>>;

export interface AutomaticRules {
  readonly automatic: AutomaticSlots;
  readonly places: readonly PlaceSlot[];
}

/** A set or a map of our table, without its name: `map places_v4`, and its lines. */
export type NamedBlock = readonly [head: string, lines: readonly string[]];

export function automaticBlocks({ automatic, places }: AutomaticRules): readonly NamedBlock[] {
  return [
    ['map automatic', ['type nf_proto : verdict', elements(automaticElements(automatic))]],
    ...families.map((family): NamedBlock => {
      const type = family === 'v4' ? 'ipv4_addr' : 'ipv6_addr';
      const list = elements(placeElements(places, family));
      return [`map places_${family}`, [`type ${type} : verdict`, 'flags interval', list]];
    }),
  ];
}

/** Where it ends, the flow has its path. */
export const byPlaceBlock: NamedBlock = [
  'chain by_place',
  ['ip daddr vmap @places_v4', 'ip6 daddr vmap @places_v6', 'meta nfproto vmap @automatic'],
];

export function silentBlocks(silent: SilentSlots): readonly NamedBlock[] {
  const asked = `meta mark & ${hex(pathMarkMask)} vmap`;
  return [
    ...families.map((family): NamedBlock => {
      const list = elements(silentElements(silent[family]));
      return [`map silent_${family}`, ['type mark : verdict', list]];
    }),
    ['chain silent', families.map((family) => `meta nfproto ip${family} ${asked} @silent_${family}`)],
  ];
}

/** From one choice of the edge to the next, places and all, in one step. */
export function automaticScript(table: string, before: AutomaticSlots, after: AutomaticRules): string {
  return [
    `delete element ${table} automatic { ${automaticElements(before).join(', ')} }`,
    `add element ${table} automatic { ${automaticElements(after.automatic).join(', ')} }`,
    ...families.flatMap((family) => filled(table, `places_${family}`, placeElements(after.places, family))),
    '',
  ].join('\n');
}

/** The paths that are silent now, in one step. */
export function silentScript(table: string, silent: SilentSlots): string {
  const lines = families.flatMap((family) =>
    filled(table, `silent_${family}`, silentElements(silent[family])),
  );
  return [...lines, ''].join('\n');
}

function filled(table: string, map: string, list: readonly string[]): readonly string[] {
  const added = list.length === 0 ? [] : [`add element ${table} ${map} { ${list.join(', ')} }`];
  return [`flush map ${table} ${map}`, ...added];
}

/** '' where there are none: nft takes no empty list. */
export function elements(list: readonly string[]): string {
  return list.length === 0 ? '' : `elements = { ${list.join(', ')} }`;
}

function automaticElements({ v4, v6 }: AutomaticSlots): readonly string[] {
  return [`ipv4 : goto take_${v4}`, `ipv6 : goto take_${v6}`];
}

function placeElements(places: readonly PlaceSlot[], family: RouteFamily): readonly string[] {
  return places
    .filter(({ prefix }) => prefix.includes(':') === (family === 'v6'))
    .map(({ prefix, slot }) => `${prefix} : goto take_${slot}`);
}

function silentElements(slots: readonly number[]): readonly string[] {
  return slots.map((slot) => `${hex(markOfSlot(slot))} : goto refuse`);
}
