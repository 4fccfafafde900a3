/**
 * What people write for an upstream → where it is and who it must be. `https://` is DoH, `tls://` is DoT,
 * `udp://` is plain and has to be asked for. Resolves nothing.
 */

import { formatAddress, parseAddress } from '../../core/base/ip.ts';
import { CulvertError } from '../../core/control/codes.ts';
import { canonicalText, encodeName } from '../../core/dns/name.ts';
import { cloudflare, type Family, findWellKnown, type WellKnownService } from './well-known.ts';

export type Transport = 'doh' | 'dot' | 'plain';

export interface UpstreamSpec {
  /** In its one usual spelling. */
  readonly text: string;
  readonly transport: Transport;
  /** What the URL names: a name in lower case, or an address. */
  readonly host: string;
  readonly port: number;
  /** DoH: with query, without the template's `{?dns}`. Else ''. */
  readonly path: string;
  /** Name that the certificate must cover instead of `host`, from `#name`. */
  readonly tlsName: string | undefined;
  readonly service: WellKnownService | undefined;
}

/** One place where a spec can be asked. */
export interface SpecAddress {
  readonly address: string;
  /** Name or address that the certificate must cover. */
  readonly identity: string;
}

const ports: Readonly<Record<Transport, number>> = { doh: 443, dot: 853, plain: 53 };
const schemes: Readonly<Record<string, Transport>> = { https: 'doh', tls: 'dot', udp: 'plain' };
const defaultPath = '/dns-query';
const maxTextLength = 1024;

/**
 * 'https://1.1.1.1/dns-query', 'tls://dns.example:8853', 'tls://192.0.2.1#dns.example', 'udp://192.168.1.1', or
 * an address: one that is built in is asked in `preferred` form; any other over TLS, unless its port says
 * something else (53 and odd ones: plain). Throws CulvertError 'bad-setting'.
 */
export function parseUpstream(text: string, preferred: 'doh' | 'dot' = 'dot'): UpstreamSpec {
  const trimmed = text.trim();
  if (trimmed.length > maxTextLength) throw bad(text.slice(0, 64), 'it is too long');
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed)?.[1]?.toLowerCase();
  if (scheme === undefined) return parseBare(trimmed, preferred);
  const transport = schemes[scheme];
  if (transport === undefined) throw bad(text, `${scheme}:// is not known`);
  const rest = trimmed.slice(scheme.length + 3);
  const parts = /^(\[[^\]]*\]|[^/:#?[\]@]*)(?::([0-9]{1,5}))?((?:\/|\?)[^#\s]*)?(?:#(.*))?$/.exec(rest);
  if (parts === null) throw bad(text, 'that is no address or name with a port');
  const [, host = '', port, path, tlsName] = parts;
  if (transport !== 'doh' && path !== undefined && path !== '/') throw bad(text, 'only https:// has a path');
  return makeSpec(text, {
    transport,
    host: parseHost(text, host),
    port: port === undefined ? ports[transport] : parsePort(text, port),
    path: transport === 'doh' ? parsePath(path) : '',
    tlsName: tlsName === undefined ? undefined : parseTlsName(text, tlsName, transport),
  });
}

function parseBare(text: string, preferred: 'doh' | 'dot'): UpstreamSpec {
  const whole = parseAddress(text);
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text);
  const address = whole ?? parseAddress(parts?.[1] ?? parts?.[2] ?? '');
  if (address === undefined) throw bad(text, 'that is no address; a name needs https:// or tls://');
  const host = formatAddress(address);
  const wellKnown = findWellKnown(host) !== undefined;
  const port = whole === undefined ? parsePort(text, parts?.[3] ?? '') : undefined;
  const transport = transportOf(port, wellKnown ? preferred : 'dot');
  const path = transport === 'doh' ? defaultPath : '';
  return makeSpec(text, { transport, host, port: port ?? ports[transport], path, tlsName: undefined });
}

function transportOf(port: number | undefined, unsaid: 'doh' | 'dot'): Transport {
  if (port === undefined) return unsaid;
  if (port === ports.doh) return 'doh';
  return port === ports.dot ? 'dot' : 'plain';
}

interface SpecParts {
  readonly transport: Transport;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly tlsName: string | undefined;
}

function makeSpec(text: string, parts: SpecParts): UpstreamSpec {
  const { transport, host, port, path, tlsName } = parts;
  const isNumeric = parseAddress(host) !== undefined;
  const service = findWellKnown(host);
  if (transport === 'plain' && !isNumeric) throw bad(text, 'udp:// needs an address');
  const scheme = Object.keys(schemes).find((name) => schemes[name] === transport) ?? '';
  const place = port === ports[transport] ? '' : `:${port}`;
  const shown = host.includes(':') ? `[${host}]` : host;
  const suffix = tlsName === undefined ? '' : `#${tlsName}`;
  return { text: `${scheme}://${shown}${place}${path}${suffix}`, ...parts, service };
}

function parseHost(text: string, host: string): string {
  const bracketed = host.startsWith('[');
  const address = parseAddress(bracketed ? host.slice(1, -1) : host);
  if (address !== undefined && bracketed === (address.length === 16)) return formatAddress(address);
  // What looks like an address and is none must not be taken for a name.
  if (bracketed || /^[0-9.]*$/.test(host)) throw bad(text, 'that is no address');
  return parseName(text, host);
}

function parseName(text: string, name: string): string {
  const ascii = canonicalText(name);
  if (!/^[a-z0-9_.-]+$/.test(ascii) || encodeName(ascii) === undefined) throw bad(text, 'that is no name');
  return ascii;
}

function parsePort(text: string, port: string): number {
  const value = Number(port);
  if (!(value >= 1 && value <= 65_535)) throw bad(text, 'ports are 1 to 65535');
  return value;
}

/** RFC 8484 §4.1.1: a template may end in `{?dns}`, which POST does not use. */
function parsePath(path: string | undefined): string {
  const plain = (path ?? '').replace(/\{\?dns\}$/, '');
  if (plain === '' || plain === '/') return defaultPath;
  return plain.startsWith('/') ? plain : `/${plain}`;
}

function parseTlsName(text: string, name: string, transport: Transport): string {
  if (transport === 'plain') throw bad(text, 'udp:// has no certificate to check');
  return parseName(text, name);
}

function bad(text: string, why: string): CulvertError {
  return new CulvertError('bad-setting', {
    text: `${text} is no DNS upstream: ${why}.`,
    remedy: 'Write for example https://1.1.1.1/dns-query, tls://dns.example or udp://192.168.1.1.',
  });
}

/** Where `spec` can be asked without resolving anything; empty for a name that is not built in. */
export function addressesOf(spec: UpstreamSpec): readonly SpecAddress[] {
  const { host, service, tlsName } = spec;
  const isNumeric = parseAddress(host) !== undefined;
  // Somebody who names a port or a certificate means this one address.
  const isUsual = spec.port === ports[spec.transport] && tlsName === undefined;
  if (service === undefined || spec.transport === 'plain' || !isUsual) {
    return isNumeric ? [{ address: host, identity: tlsName ?? host }] : [];
  }
  const named = isNumeric
    ? [host, ...service.addresses.filter((other) => other !== host)]
    : service.addresses;
  return named.map((address) => ({ address, identity: identityOf(spec, service, address) }));
}

function identityOf(spec: UpstreamSpec, service: WellKnownService, address: string): string {
  if (spec.host !== address && parseAddress(spec.host) === undefined) return spec.host;
  return service.coversAddresses ? address : (service.names[0] ?? address);
}

/**
 * The upstreams with `family` put in force: those of 1.1.1.1 become the ones of the filter. `unfiltered` are
 * those that can't be filtered, because somebody else runs them.
 */
export function withFamily(
  specs: readonly UpstreamSpec[],
  family: Family,
): { readonly specs: readonly UpstreamSpec[]; readonly unfiltered: readonly UpstreamSpec[] } {
  const filtered: UpstreamSpec[] = [];
  const unfiltered: UpstreamSpec[] = [];
  for (const spec of specs) {
    if (spec.service?.family === undefined || spec.transport === 'plain') {
      filtered.push(spec);
      if (family !== 'off') unfiltered.push(spec);
    } else if (family === 'off' || spec.service.family === family) filtered.push(spec);
    else filtered.push(moved(spec, spec.service, cloudflare[family]));
  }
  return { specs: filtered, unfiltered };
}

/** The same transport at the same place of another service's list of addresses, or at its name. */
function moved(spec: UpstreamSpec, from: WellKnownService, to: WellKnownService): UpstreamSpec {
  const index = from.addresses.indexOf(spec.host);
  const host = (index < 0 ? to.names[0] : to.addresses[index]) ?? spec.host;
  const { transport, port, path } = spec;
  return makeSpec(spec.text, { transport, host, port, path, tlsName: undefined });
}

/** Whether the upstream is a resolver of the Internet at large, that knows no private names. */
export function isPublicService(spec: UpstreamSpec): boolean {
  return spec.service !== undefined;
}
