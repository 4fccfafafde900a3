/**
 * The settings of private DNS: names, defaults, what fits, and what the resolver is given. Lists are texts with
 * commas, so that they travel like every other setting. Pure.
 */

import type { SettingValue } from '../../shared/core/control/api.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { canonicalText, encodeName } from '../../shared/core/dns/name.ts';
import { parseAddressText, parseHostPort } from '../../shared/core/uapi/values.ts';
import { parseUpstream } from '../../shared/node/resolver/parse-upstream.ts';
import type { Family } from '../../shared/node/resolver/well-known.ts';
import { type DnsChoice, dnsChoices } from '../host/dns/detect.ts';
import type { FallbackRule } from '../resolver/local-domains.ts';
import type { PrivateDnsSettings } from '../resolver/private-dns.ts';
import type { StubPlace } from '../resolver/stub.ts';

export interface DnsSettings {
  readonly 'dns.families': Family;
  /** Empty: 1.1.1.1 in the way that the mode says. */
  readonly 'dns.upstreams': string;
  /** 'auto', or ADDRESS:PORT. */
  readonly 'dns.listen': string;
  readonly 'dns.system': DnsChoice;
  /** NAME, NAME=ADDRESS+ADDRESS, NAME=ADDRESS@tunnel. */
  readonly 'dns.fallback': string;
  readonly 'dns.caFile': string;
  readonly 'dns.blockFiles': string;
  readonly 'dns.block': string;
  readonly 'dns.allow': string;
  readonly 'dns.rebindProtection': boolean;
  readonly 'dns.rebindAllow': string;
  readonly 'dns.queryLog': boolean;
  readonly 'dns.guardPort53': boolean;
}

export const defaultDnsSettings: DnsSettings = {
  'dns.families': 'off',
  'dns.upstreams': '',
  'dns.listen': 'auto',
  'dns.system': 'auto',
  'dns.fallback': '',
  'dns.caFile': '',
  'dns.blockFiles': '',
  'dns.block': '',
  'dns.allow': '',
  'dns.rebindProtection': false,
  'dns.rebindAllow': '',
  'dns.queryLog': false,
  'dns.guardPort53': true,
};

export const families: readonly Family[] = ['off', 'malware', 'full'];
const maxListItems = 100;

type Rule<Value> = readonly [string, (value: SettingValue) => Value | undefined];

/** For each setting what it is, and the value that was meant, or undefined where it does not fit. */
export const dnsRules: { readonly [Name in keyof DnsSettings]: Rule<DnsSettings[Name]> } = {
  'dns.families': [
    'what names are filtered: off, malware, or full (malware and adult content)',
    (value) => families.find((family) => family === value),
  ],
  'dns.upstreams': [
    'who is asked, with commas between them: https://…, tls://…, an address; empty: 1.1.1.1',
    (value) => listOf(value, (item) => parsedUpstream(item)),
  ],
  'dns.listen': [
    'where the stub answers, ADDRESS:PORT; auto: 127.0.83.53:53, without the right to that 127.0.0.1:5053',
    (value) => (value === 'auto' || placeOf(value) !== undefined ? String(value) : undefined),
  ],
  'dns.system': [
    'how this system is told: auto, resolved, resolvconf, file, or off, which leaves it alone',
    (value) => dnsChoices.find((choice) => choice === value),
  ],
  'dns.fallback': [
    'names that belong to the network, with commas: NAME, NAME=ADDRESS, NAME=ADDRESS@tunnel',
    (value) => listOf(value, (item) => (fallbackOf(item) === undefined ? undefined : item)),
  ],
  'dns.caFile': ['certificates that upstreams may have besides the usual ones, PEM', asText],
  'dns.blockFiles': ['files with names that are not answered, with commas', asText],
  'dns.block': ['names that are not answered, with commas', (value) => listOf(value, nameOf)],
  'dns.allow': [
    'names that are answered whatever a list says, with commas',
    (value) => listOf(value, nameOf),
  ],
  'dns.rebindProtection': ['refuse names of the Internet that lead into this network', asBoolean],
  'dns.rebindAllow': ['names that may lead into this network, with commas', (value) => listOf(value, nameOf)],
  'dns.queryLog': ['keep the last names that were looked up, in memory; off forgets them', asBoolean],
  'dns.guardPort53': [
    'in doh and dot, as root: refuse other programs that ask a server of their own on port 53',
    asBoolean,
  ],
};

/** What the resolver is given. Throws CulvertError where an upstream makes no sense. */
export function privateDnsSettings(settings: DnsSettings, transport: 'doh' | 'dot'): PrivateDnsSettings {
  return {
    transport,
    upstreams: itemsOf(settings['dns.upstreams']),
    families: settings['dns.families'],
    fallback: fallbackRules(settings),
    blockFiles: itemsOf(settings['dns.blockFiles']),
    block: itemsOf(settings['dns.block']),
    allow: itemsOf(settings['dns.allow']),
    rebindProtection: settings['dns.rebindProtection'],
    rebindAllow: itemsOf(settings['dns.rebindAllow']),
    caFile: settings['dns.caFile'],
    queryLog: settings['dns.queryLog'],
  };
}

/**
 * For mode `tunnel`, whose names the edge's resolver answers: the same, with the user's rules before it and nothing else
 * of ours. Undefined where there is no rule, and so nothing to do for a stub.
 */
export function edgeDnsSettings(
  settings: DnsSettings,
  edgeServers: readonly string[],
): PrivateDnsSettings | undefined {
  const fallback = fallbackRules(settings);
  if (fallback.length === 0) return undefined;
  return {
    transport: 'edge',
    upstreams: edgeServers.map((server) => (server.includes(':') ? `udp://[${server}]` : `udp://${server}`)),
    families: 'off',
    fallback,
    blockFiles: [],
    block: [],
    allow: [],
    rebindProtection: false,
    rebindAllow: [],
    caFile: '',
    queryLog: settings['dns.queryLog'],
  };
}

export function fallbackRules(settings: DnsSettings): readonly FallbackRule[] {
  return itemsOf(settings['dns.fallback']).flatMap((item) => fallbackOf(item) ?? []);
}

/** As it stands in the setting. */
export function formatFallback({ name, servers, via }: FallbackRule): string {
  const asked = servers.length === 0 ? '' : `=${servers.join('+')}`;
  return `${name}${asked}${via === 'tunnel' ? '@tunnel' : ''}`;
}

/** The rule that one item of the setting means. */
export function fallbackOf(item: string): FallbackRule | undefined {
  const [, text = '', asked, via] = /^([^=@]+)(?:=([^@]+))?(?:@(tunnel|network))?$/.exec(item) ?? [];
  const name = nameOf(text);
  const servers = (asked ?? '').split('+').filter((one) => one !== '');
  const addresses = servers.flatMap((server) => parseAddressText(server) ?? []);
  if (name === undefined || addresses.length < servers.length) return undefined;
  return { name, servers: addresses, via: via === 'tunnel' ? 'tunnel' : 'network' };
}

export function itemsOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** Where the stub tries to listen, in order (product.md §3). */
export function stubPlaces(settings: DnsSettings): readonly StubPlace[] {
  const place = placeOf(settings['dns.listen']);
  if (place !== undefined) return [place];
  return [
    { address: '127.0.83.53', port: 53 },
    { address: '127.0.0.1', port: 5053 },
  ];
}

function placeOf(value: SettingValue): StubPlace | undefined {
  const parsed = typeof value === 'string' ? parseHostPort(value) : undefined;
  const address = parsed === undefined ? undefined : parseAddressText(parsed.host);
  return parsed === undefined || address === undefined ? undefined : { address, port: parsed.port };
}

/** The list in its usual spelling, undefined where an item does not fit. */
function listOf(value: SettingValue, read: (item: string) => string | undefined): string | undefined {
  if (typeof value !== 'string') return undefined;
  const items = itemsOf(value);
  if (items.length > maxListItems) return undefined;
  const good = items.flatMap((item) => read(item) ?? []);
  return good.length === items.length ? good.join(',') : undefined;
}

function parsedUpstream(item: string): string | undefined {
  try {
    parseUpstream(item);
    return item;
  } catch (error) {
    if (error instanceof CulvertError) return undefined; // The setting's own words say what fits.
    throw error;
  }
}

function nameOf(text: string): string | undefined {
  const name = canonicalText(text.replace(/^\*\./, ''));
  return encodeName(name) === undefined || name === '.' ? undefined : name;
}

function asText(value: SettingValue): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function asBoolean(value: SettingValue): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === 'on') return true;
  return value === 'false' || value === 'off' ? false : undefined;
}
