/**
 * Where the paths of edge.yaml lead on this host: from what the host has now to the routes of each path's own table.
 * Each table ends in a route that refuses, so that a path without its uplink leads nowhere, and never elsewhere. Pure.
 */

import { tableOfSlot } from './kernel-marks.ts';

export type RouteFamily = 'v4' | 'v6';

/** One address of an interface of this host. */
export interface HostAddress {
  readonly interfaceName: string;
  /** Numeric, without a prefix length. */
  readonly address: string;
}

/** A route to somewhere else, of whatever table. */
export interface HostRoute {
  readonly family: RouteFamily;
  /** 'default' or a prefix. */
  readonly to: string;
  readonly interfaceName: string;
  readonly gateway: string | undefined;
  readonly metric: number | undefined;
  readonly isMain: boolean;
}

export interface HostFacts {
  readonly addresses: readonly HostAddress[];
  readonly routes: readonly HostRoute[];
  /** Interfaces whose link is down: a cable that was pulled. */
  readonly dead: ReadonlySet<string>;
}

/** What leads a path out. */
export type PathWay =
  | { readonly kind: 'direct' }
  | {
      readonly kind: 'source';
      readonly address: string | undefined;
      readonly interfaceName: string | undefined;
    }
  | { readonly kind: 'hop'; readonly interfaceName: string; readonly allowed: readonly string[] };

export interface PathRoutes {
  /** Lines for `ip route replace`, without the verb; undefined: the path follows the main table. */
  readonly lines: Readonly<Record<RouteFamily, readonly string[]>> | undefined;
  /** Families that can leave by it now. */
  readonly families: ReadonlySet<RouteFamily>;
  /** The interface by which it leaves; undefined where that is not one. */
  readonly interfaceName: string | undefined;
  /** Half a sentence where nothing can go this way now. */
  readonly trouble: string | undefined;
}

export const families: readonly RouteFamily[] = ['v4', 'v6'];
/** Most routes of one interface that a path takes over. */
const maxRoutes = 256;
const lastMetric = 4_294_967_295;

export function planPathRoutes(way: PathWay, slot: number, facts: HostFacts): PathRoutes {
  switch (way.kind) {
    case 'direct':
      return planDirect(facts);
    case 'source':
      return planSource(way, slot, facts);
    default:
      return planHop(way, slot);
  }
}

/** The route that refuses, which stands at the end of every table. */
export function lastRoute(table: number): string {
  return `unreachable default table ${table} metric ${lastMetric}`;
}

function planDirect({ routes, dead }: HostFacts): PathRoutes {
  const defaults = routes.filter((route) => route.isMain && route.to === 'default');
  const live = defaults.filter((route) => !dead.has(route.interfaceName));
  const known = new Set(live.map((route) => route.family));
  const trouble =
    defaults.length > 0 && live.length === 0 ? 'the interface of the default route has no link' : undefined;
  // Without a default route there may still be routes to what devices ask for.
  const open = defaults.length === 0 ? new Set(families) : known;
  return { lines: undefined, families: open, interfaceName: undefined, trouble };
}

function planSource(way: Extract<PathWay, { kind: 'source' }>, slot: number, facts: HostFacts): PathRoutes {
  const { address } = way;
  const holder = facts.addresses.find((one) => one.address === address)?.interfaceName;
  const interfaceName = way.interfaceName ?? holder;
  const none = { lines: emptyLines(slot), families: new Set<RouteFamily>(), interfaceName };
  if (interfaceName === undefined) return { ...none, trouble: `this machine does not have ${address}` };
  const own = facts.addresses.filter((one) => one.interfaceName === interfaceName);
  if (own.length === 0) return { ...none, trouble: `there is no interface ${interfaceName} with an address` };
  if (address !== undefined && holder === undefined) {
    return { ...none, trouble: `this machine does not have ${address}` };
  }
  if (facts.dead.has(interfaceName)) return { ...none, trouble: `${interfaceName} has no link` };
  const wanted = address === undefined ? families : [familyOf(address)];
  const byFamily = wanted.map((family) => [family, routesOf(interfaceName, family, facts)] as const);
  const led = byFamily.filter(([, routes]) => routes.some((route) => route.to === 'default'));
  if (led.length === 0) {
    // An address that stands on no uplink: the host's own routing says where it leaves.
    if (way.interfaceName === undefined) {
      return { lines: undefined, families: new Set(wanted), interfaceName: undefined, trouble: undefined };
    }
    return { ...none, trouble: `there is no default route by ${interfaceName}` };
  }
  const linesOf = (family: RouteFamily): readonly string[] => [
    lastRoute(tableOfSlot(slot)),
    ...(led.find(([one]) => one === family)?.[1] ?? []).map((route) => routeLine(route, slot, address)),
  ];
  return {
    lines: { v4: linesOf('v4'), v6: linesOf('v6') },
    families: new Set(led.map(([family]) => family)),
    interfaceName,
    trouble: undefined,
  };
}

function planHop({ interfaceName, allowed }: Extract<PathWay, { kind: 'hop' }>, slot: number): PathRoutes {
  const linesOf = (family: RouteFamily): readonly string[] => [
    lastRoute(tableOfSlot(slot)),
    ...allowed
      .filter((prefix) => familyOf(prefix) === family)
      .slice(0, maxRoutes)
      .map((prefix) => `${prefix} dev ${interfaceName} table ${tableOfSlot(slot)}`),
  ];
  const lines = { v4: linesOf('v4'), v6: linesOf('v6') };
  const open = families.filter((family) => lines[family].length > 1);
  return { lines, families: new Set(open), interfaceName, trouble: undefined };
}

/** The interface's routes of the main table; a default route of another one where the main table has none. */
function routesOf(interfaceName: string, family: RouteFamily, facts: HostFacts): readonly HostRoute[] {
  const own = facts.routes.filter((one) => one.interfaceName === interfaceName && one.family === family);
  const main = own.filter((one) => one.isMain).slice(0, maxRoutes);
  if (main.some((one) => one.to === 'default')) return main;
  const other = own.find((one) => one.to === 'default');
  return other === undefined ? main : [...main, other];
}

function routeLine(route: HostRoute, slot: number, address: string | undefined): string {
  const { to, gateway, interfaceName, metric, family } = route;
  const source = address !== undefined && familyOf(address) === family ? ` src ${address}` : '';
  // 'onlink': the gateway is the host's own, and need not be found in this table again.
  const by = gateway === undefined ? `dev ${interfaceName}` : `via ${gateway} dev ${interfaceName} onlink`;
  const weight = metric === undefined ? '' : ` metric ${metric}`;
  return `${to} ${by}${source} table ${tableOfSlot(slot)}${weight}`;
}

function emptyLines(slot: number): Readonly<Record<RouteFamily, readonly string[]>> {
  return { v4: [lastRoute(tableOfSlot(slot))], v6: [lastRoute(tableOfSlot(slot))] };
}

export function familyOf(text: string): RouteFamily {
  return text.includes(':') ? 'v6' : 'v4';
}
