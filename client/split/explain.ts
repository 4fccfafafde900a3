/**
 * `culvert route explain`: which way a packet goes, by which rule, and why, in words. Pure: it follows the order of
 * host/routes/plan.ts and the firewall's scope, so that what it says is what happens.
 */

import {
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from '../../shared/core/base/ip.ts';
import type { PrefixText } from '../../shared/core/tunnel/config.ts';
import type { Reach } from '../connection/state.ts';
import { scopeOf } from '../host/firewall/policy.ts';
import { includedBy, tunnelRoutes } from './effective.ts';
import type { LearnedAddresses } from './learned.ts';
import { covers, narrowest } from './prefix-set.ts';
import { formatRule, isIncludeOnly, ruleForAddress, ruleForName, type SplitRule } from './rules.ts';

/** Everything that decides, as of now. */
export interface RouteView {
  /** Undefined while the tunnel is off. */
  readonly reach: Reach | undefined;
  readonly interfaceName: string;
  /** Of the edge in use. */
  readonly allowedIps: readonly PrefixText[];
  readonly rules: readonly SplitRule[];
  /** The networks around us that may be opened (local-networks.ts). */
  readonly hostRoutes: readonly { readonly prefix: PrefixText; readonly interfaceName: string }[];
  /** What may be reached around the tunnel for now: culvert lan allow. */
  readonly granted: readonly PrefixText[];
  /** Addresses of this machine. */
  readonly own: readonly string[];
  /** In proxy mode: names and addresses that are excluded are dialled directly. */
  readonly proxyGoesAround: boolean;
  readonly learned?: LearnedAddresses;
}

export type PathTaken = 'tunnel' | 'outside' | 'refused' | 'machine';

export interface Explanation {
  /** Absent where only the name was known. */
  readonly address?: string;
  readonly path: PathTaken;
  /** The rule in the words of the list, or where the decision comes from. */
  readonly rule: string;
  /** One sentence. */
  readonly why: string;
}

const maxExplained = 32;

/**
 * One line for each address. `host` as the user wrote it: a name, an address or a URL; `addresses`: what the name
 * stands for, as asked of the resolver in use. In proxy mode the name decides first, without looking it up.
 */
export function explainHost(
  view: RouteView,
  host: string,
  addresses: readonly string[],
): readonly Explanation[] {
  const name = hostIn(host);
  const direct = parseAddress(name);
  if (direct !== undefined) return [explainAddress(view, direct, undefined)];
  if (view.reach === 'proxy') {
    const rule = ruleForName(view.rules, name);
    if (rule?.mode === 'exclude' && view.proxyGoesAround) {
      const why = 'The proxy knows the name itself, and dials it directly.';
      return [{ path: 'outside', rule: formatRule(rule), why }];
    }
    if (addresses.length === 0) {
      const why = 'The proxy sends the name into the tunnel, where it is looked up.';
      return [{ path: 'tunnel', rule: rule === undefined ? 'mode proxy' : formatRule(rule), why }];
    }
  }
  return addresses.slice(0, maxExplained).flatMap((text) => {
    const address = parseAddress(text);
    return address === undefined ? [] : [explainAddress(view, address, name)];
  });
}

/** The host in what people paste: 'https://user@[fd00::1]:443/x' → 'fd00::1'. */
export function hostIn(text: string): string {
  const rest = text.trim().replace(/^[a-z][a-z0-9+.-]*:\/\//i, '');
  const authority = (rest.split(/[/?#]/, 1)[0] ?? '').replace(/^[^@]*@/, '');
  const bracketed = /^\[([^\]]*)\]/.exec(authority)?.[1];
  if (bracketed !== undefined) return bracketed;
  // More than one colon is an IPv6 address without brackets.
  return /^[^:]*:\d+$/.test(authority) ? authority.slice(0, authority.lastIndexOf(':')) : authority;
}

function explainAddress(view: RouteView, bytes: Uint8Array, name: string | undefined): Explanation {
  const address = formatAddress(bytes);
  const say = (path: PathTaken, rule: string, why: string): Explanation => ({ address, path, rule, why });
  if (covers(loopback, bytes) || view.own.includes(address)) {
    return say('machine', 'this machine', 'It is this machine itself; nothing leaves.');
  }
  if (view.reach === undefined) return say('outside', 'off', 'culvert is off.');
  if (view.reach === 'dns')
    return say('outside', 'mode', 'This mode protects names only; there is no tunnel.');
  const verdict = splitVerdict(view, bytes, name);
  return view.reach === 'proxy' ? byProxy(view, bytes, verdict, say) : byDevice(view, bytes, verdict, say);
}

type Say = (path: PathTaken, rule: string, why: string) => Explanation;

interface SplitVerdict {
  readonly excludedBy: string | undefined;
  readonly includedBy: string | undefined;
  readonly note: string;
}

/** What the list says about an address, by itself or as the address of a name. */
function splitVerdict(view: RouteView, bytes: Uint8Array, name: string | undefined): SplitVerdict {
  const byAddress = ruleForAddress(view.rules, bytes);
  const learned = view.learned?.find(bytes);
  const asked = name === undefined ? undefined : ruleForName(view.rules, name);
  // Packets carry no names: on the device only what was learned from an answer counts.
  const byName = view.reach === 'proxy' ? asked : learned?.rule;
  const shared =
    learned !== undefined && learned.name !== name && view.reach === 'device'
      ? ` It is also an address of ${learned.name}; all names there go the same way.`
      : '';
  const pending =
    asked !== undefined && learned === undefined && view.reach === 'device'
      ? ` The rule '${formatRule(asked)}' holds once a program asks for the name.`
      : '';
  const excluding = [byAddress, byName].find((rule) => rule?.mode === 'exclude');
  const including = [byAddress, byName].find((rule) => rule?.mode === 'include');
  return {
    excludedBy: excluding === undefined ? undefined : formatRule(excluding),
    includedBy: including === undefined ? undefined : formatRule(including),
    note: shared + pending,
  };
}

function byProxy(view: RouteView, bytes: Uint8Array, verdict: SplitVerdict, say: Say): Explanation {
  const { excludedBy, includedBy } = verdict;
  if (excludedBy !== undefined && view.proxyGoesAround) {
    return say('outside', excludedBy, 'It is excluded, so the proxy dials it directly.');
  }
  if (isIncludeOnly(view.rules) && includedBy === undefined && view.proxyGoesAround) {
    return say('outside', 'not included', 'Only what is included goes through; the proxy dials it directly.');
  }
  const prefix = narrowest(parsed(view.allowedIps), bytes);
  if (prefix === undefined) {
    return say('refused', 'AllowedIPs', 'The edge does not carry it, and the proxy goes nowhere else.');
  }
  return say(
    'tunnel',
    includedBy ?? allowedText(prefix),
    'Programs that use the proxy reach it by the edge.',
  );
}

function byDevice(view: RouteView, bytes: Uint8Array, verdict: SplitVerdict, say: Say): Explanation {
  const { excludedBy, includedBy, note } = verdict;
  const local = localRoute(view, bytes);
  const localText = local === undefined ? '' : ` by ${local.interfaceName}`;
  if (excludedBy !== undefined) {
    return say(
      'outside',
      excludedBy,
      `It is excluded, so it leaves${localText} as if there were no tunnel.${note}`,
    );
  }
  const tunnel = parsed(tunnelPrefixes(view));
  const wide = tunnel.some((prefix) => prefix.bits <= 1 && prefix.address.length === bytes.length);
  const best = narrowest(tunnel, bytes);
  const intoTunnel = (prefix: Prefix, why: string): Explanation =>
    say('tunnel', includedBy ?? allowedText(prefix), `${why}${note}`);
  if (best !== undefined && (best.bits > 1 || !wide)) {
    return intoTunnel(best, `The edge carries this range, and it goes before routes of this network.`);
  }
  if (local !== undefined) {
    const rule = `route ${local.prefix} dev ${local.interfaceName}`;
    if (isClosed(view, bytes)) {
      return say(
        'refused',
        rule,
        `It belongs to the network around you, which is closed: culvert lan allow.${note}`,
      );
    }
    return say('outside', rule, `It belongs to the network around you, which may be reached.${note}`);
  }
  if (best !== undefined) return intoTunnel(best, 'Everything goes through the tunnel.');
  if (isClosed(view, bytes)) {
    return say(
      'refused',
      'AllowedIPs',
      `The edge does not carry it, and around the tunnel nothing may leave.${note}`,
    );
  }
  const rule = isIncludeOnly(view.rules) ? 'not included' : 'AllowedIPs';
  const why = isIncludeOnly(view.rules)
    ? 'Only what is included goes through the tunnel.'
    : 'The edge carries only some addresses, and this is none of them.';
  return say('outside', rule, `${why}${note}`);
}

/** Routes of the tunnel's table; what is excluded is taken out by `throw` and judged before. */
function tunnelPrefixes(view: RouteView): readonly PrefixText[] {
  return tunnelRoutes(view.allowedIps, view.rules, learnedIn(view)).routes;
}

/** The firewall lets nothing there out around the tunnel. */
function isClosed(view: RouteView, bytes: Uint8Array): boolean {
  if (covers(parsed(view.granted), bytes)) return false;
  const included = isIncludeOnly(view.rules) ? includedBy(view.rules, learnedIn(view)) : undefined;
  if (included !== undefined && !covers(included, bytes)) return false;
  const scope = scopeOf(view.allowedIps);
  return scope === 'everything' || covers(parsed(scope), bytes);
}

function learnedIn({ learned }: RouteView): { include: readonly Prefix[]; exclude: readonly Prefix[] } {
  return { include: learned?.prefixes('include') ?? [], exclude: learned?.prefixes('exclude') ?? [] };
}

function localRoute(view: RouteView, bytes: Uint8Array): RouteView['hostRoutes'][number] | undefined {
  const mine = view.hostRoutes.filter((route) => route.interfaceName !== view.interfaceName);
  const best = narrowest(parsed(mine.map((route) => route.prefix)), bytes);
  if (best === undefined || best.bits === 0) return undefined;
  const text = formatPrefix(best);
  return mine.find((route) => route.prefix === text);
}

function allowedText(prefix: Prefix): string {
  return `AllowedIPs ${formatPrefix(prefix)}`;
}

function parsed(prefixes: readonly PrefixText[]): readonly Prefix[] {
  return prefixes.map(parsePrefix).filter((prefix) => prefix !== undefined);
}

const loopback: readonly Prefix[] = parsed(['127.0.0.0/8', '::1/128']);
