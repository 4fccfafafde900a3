/**
 * Reads from `ip` what this host has, and makes the rules and routes of paths, each journalled before. What leads
 * where is decided in kernel-path-routes.ts.
 */

import { readFileSync } from 'node:fs';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { firstLine, type Run } from '../../shared/node/run.ts';
import type { KernelSettings } from './forwarding.ts';
import type { HostChange, HostJournal } from './journal.ts';
import { hex, isPathTable, markOfSlot, pathMarkMask, priorityOfSlot, tableOfSlot } from './kernel-marks.ts';
import {
  families,
  type HostAddress,
  type HostFacts,
  type HostRoute,
  lastRoute,
  type RouteFamily,
} from './kernel-path-routes.ts';

/** A rule and a routing table of our own. */
export type PathRouteChange = Extract<HostChange, { kind: 'path-route' }>;

/** As `ip -json` prints them; only what is read. */
interface RouteText {
  readonly type?: string;
  readonly dst?: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly metric?: number;
  readonly table?: string;
  readonly flags?: readonly string[];
}

interface LinkText {
  readonly ifname?: string;
  readonly flags?: readonly string[];
  readonly addr_info?: readonly { readonly local?: string; readonly scope?: string }[];
}

const flag: Readonly<Record<RouteFamily, string>> = { v4: '-4', v6: '-6' };
/** What `ip` complains of where there is nothing to remove, or no such family on this host. */
const nothingThere = /No such|does not exist|not supported|Cannot find/;

export async function readHostFacts(run: Run): Promise<HostFacts> {
  const [v4, v6, links] = await Promise.all([
    readRoutes('v4', run),
    readRoutes('v6', run),
    readJson<LinkText>(['address', 'show'], run),
  ]);
  const addresses: HostAddress[] = links.flatMap(({ ifname = '', addr_info: list = [] }) =>
    list.flatMap(({ local, scope }) =>
      local === undefined || scope === 'link' ? [] : [{ interfaceName: ifname, address: local }],
    ),
  );
  const isDead = ({ flags = [] }: LinkText): boolean => !flags.includes('UP') || flags.includes('NO-CARRIER');
  const dead = links.flatMap((link) => (isDead(link) ? [link.ifname ?? ''] : []));
  return { addresses, routes: [...v4, ...v6], dead: new Set(dead) };
}

/** Changes whenever routes of this host do; '' where they cannot be seen so. Costs two reads of small files. */
export function routesSignature(): string {
  return ['/proc/net/route', '/proc/net/ipv6_route', '/proc/net/if_inet6'].map(signatureOf).join('\n');
}

/** What makes the kernel send marked packets to the path's table. */
export function pathRouteOf(slot: number): PathRouteChange {
  return {
    kind: 'path-route',
    mark: `${hex(markOfSlot(slot))}/${hex(pathMarkMask)}`,
    table: tableOfSlot(slot),
    priority: priorityOfSlot(slot),
  };
}

/** Journals the rule and the table, and makes the rule. */
export async function addPathRule(
  slot: number,
  wanted: readonly RouteFamily[],
  tools: { readonly run: Run; readonly journal: HostJournal },
): Promise<void> {
  const { run, journal } = tools;
  const change = pathRouteOf(slot);
  const isKnown = journal.pending.some((one) => one.kind === 'path-route' && one.table === change.table);
  if (!isKnown) journal.record(change);
  for (const family of wanted) await run('ip', [flag[family], 'rule', 'add', ...ruleWords(change)]);
}

/** Both may be gone already. Throws where they cannot be removed. */
export async function removePathRoute(change: PathRouteChange, run: Run): Promise<void> {
  for (const family of families) {
    await quietly([flag[family], 'rule', 'delete', ...ruleWords(change)], run);
    await quietly([flag[family], 'route', 'flush', 'table', String(change.table)], run);
    // A flush passes over a route of IPv6 that refuses.
    await quietly([flag[family], 'route', 'delete', ...lastRoute(change.table).split(' ')], run);
  }
}

/** Makes the table have these routes: what is there already is replaced, what is no longer wanted goes. */
export async function applyPathRoutes(
  family: RouteFamily,
  lines: readonly string[],
  before: readonly string[],
  run: Run,
): Promise<void> {
  const gone = before.filter((line) => !lines.includes(line));
  if (gone.length > 0) {
    // The kernel has removed some of them itself, with their interface.
    const stdin = gone.map((line) => `route delete ${line}\n`).join('');
    await run('ip', [flag[family], '-force', '-batch', '-'], { stdin, allowFailure: true });
  }
  if (lines.length === 0) return;
  const stdin = lines.map((line) => `route replace ${line}\n`).join('');
  const result = await run('ip', [flag[family], '-batch', '-'], { stdin, allowFailure: true });
  if (result.exitCode === 0) return;
  throw new CulvertError('command-failed', {
    text: `A route of a path cannot be set: ${firstLine(result.stderr)}`,
    remedy: 'Look at "ip route" and at egress.paths in edge.yaml.',
  });
}

/** The uplink takes answers whose way back is another interface (RFC 3704 §2.4: loose). */
export function loosenReversePath(
  interfaceName: string,
  journal: HostJournal,
  settings: KernelSettings,
): void {
  const path = strictFilter(interfaceName, settings);
  if (path === undefined) return;
  journal.record({ kind: 'sysctl', path, before: settings.read(path) ?? '0', after: '2' });
  settings.write(path, '2');
}

/** The setting that drops answers which come by this interface though the main table leads elsewhere; undefined: none. */
export function strictFilter(interfaceName: string, settings: KernelSettings): string | undefined {
  const path = `net/ipv4/conf/${interfaceName}/rp_filter`;
  const own = settings.read(path);
  const isStrict = own === '1' || (own === '0' && settings.read('net/ipv4/conf/all/rp_filter') === '1');
  return isStrict ? path : undefined;
}

function ruleWords({ mark, table, priority }: PathRouteChange): readonly string[] {
  return ['fwmark', mark, 'lookup', String(table), 'priority', String(priority)];
}

async function quietly(words: readonly string[], run: Run): Promise<void> {
  const { exitCode, stderr } = await run('ip', words, { allowFailure: true });
  if (exitCode === 0 || nothingThere.test(stderr)) return;
  throw new CulvertError('command-failed', { text: `ip ${words.join(' ')}: ${firstLine(stderr)}` });
}

async function readRoutes(family: RouteFamily, run: Run): Promise<readonly HostRoute[]> {
  const list = await readJson<RouteText>([flag[family], 'route', 'show', 'table', 'all'], run);
  return list.flatMap((one): readonly HostRoute[] => {
    const { dst, dev, type = 'unicast', table = 'main', flags = [] } = one;
    const isOurs = isPathTable(Number(table));
    const isUseless =
      flags.includes('linkdown') || flags.includes('dead') || dst?.startsWith('fe80:') === true;
    if (dst === undefined || dev === undefined || type !== 'unicast' || isOurs || isUseless) return [];
    if (table === 'local') return [];
    const { gateway, metric } = one;
    return [{ family, to: dst, interfaceName: dev, gateway, metric, isMain: table === 'main' }];
  });
}

/** [] where the host does not have the family. */
async function readJson<T>(words: readonly string[], run: Run): Promise<readonly T[]> {
  const { exitCode, stdout, stderr } = await run('ip', ['-json', ...words], { allowFailure: true });
  if (exitCode !== 0 && !nothingThere.test(stderr)) {
    throw new CulvertError('command-failed', { text: `ip ${words.join(' ')}: ${firstLine(stderr)}` });
  }
  try {
    return stdout.trim() === '' ? [] : (JSON.parse(stdout) as readonly T[]);
  } catch (cause) {
    throw new CulvertError('command-failed', { text: `ip ${words.join(' ')} said nonsense.`, cause });
  }
}

function signatureOf(path: string): string {
  try {
    const text = readFileSync(path, 'latin1');
    // Two columns count uses of a route of IPv6.
    const isSix = path.endsWith('ipv6_route');
    return isSix ? text.replace(/ [0-9a-f]{8} [0-9a-f]{8} ([0-9a-f]{8} +\S+\n)/g, ' $1') : text;
  } catch {
    return '';
  }
}
