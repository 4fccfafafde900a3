/**
 * Single values as WireGuard's tools write them: keys in hex and base64, numbers, prefixes,
 * endpoints. Strict: anything else is undefined. Pure.
 */

import { decodeBase64Key, decodeHex, encodeBase64, encodeHex } from '../base/bytes.ts';
import type { Endpoint } from '../base/endpoint.ts';
import {
  formatAddress,
  formatEndpoint,
  formatPrefix,
  parseAddress,
  parseEndpoint,
  parsePrefix,
} from '../base/ip.ts';
import type { PrefixText } from '../tunnel/config.ts';

/** An interface's own address with its prefix length, host bits kept: '10.7.0.2/24'. */
export type AddressText = string;

/** A place that may still have to be resolved. `host` is a name or a numeric address, without brackets. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** The number of the interface of that name, for link-local IPv6 endpoints. */
export type ScopeOf = (interfaceName: string) => number | undefined;

export const keySize = 32;
export const maxPort = 0xffff;
export const maxSeconds = 0xffff;
export const maxUint32 = 0xffff_ffff;

/** A key of no bits: "none" in the protocol. */
export function zeroKey(): Uint8Array {
  return new Uint8Array(keySize);
}

/** 64 hexadecimal digits. */
export function parseHexKey(text: string): Uint8Array | undefined {
  return text.length === 2 * keySize ? decodeHex(text) : undefined;
}

/** Lowercase. */
export function formatHexKey(key: Uint8Array): string {
  return encodeHex(key);
}

/** 44 characters of base64, in the one spelling that 32 bytes have. */
export function parseBase64Key(text: string): Uint8Array | undefined {
  return decodeBase64Key(text);
}

export function formatBase64Key(key: Uint8Array): string {
  return encodeBase64(key);
}

/** Decimal digits only, 0 to `max`. */
export function parseDecimal(text: string, max: number): number | undefined {
  if (!/^\d{1,20}$/.test(text)) return undefined;
  const value = Number(text);
  return value > max ? undefined : value;
}

/** A firewall mark: decimal, hexadecimal after 0x, or off, which is 0. */
export function parseMark(text: string): number | undefined {
  if (text.toLowerCase() === 'off') return 0;
  if (/^0x[0-9a-f]{1,8}$/i.test(text)) return Number(text);
  return parseDecimal(text, maxUint32);
}

/** A prefix in its one usual spelling, host bits cleared. A bare address only where that is asked for. */
export function parsePrefixText(
  text: string,
  options: { bareAddress?: boolean } = {},
): PrefixText | undefined {
  if (options.bareAddress !== true && !text.includes('/')) return undefined;
  const prefix = parsePrefix(text);
  return prefix === undefined ? undefined : formatPrefix(prefix);
}

/** An address in its one usual spelling. */
export function parseAddressText(text: string): string | undefined {
  const address = parseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}

/** An address with its prefix length, host bits kept; a bare address is the whole of its prefix. */
export function parseInterfaceAddress(text: string): AddressText | undefined {
  const prefix = parsePrefix(text);
  const address = parseAddressText(text.split('/')[0] ?? '');
  return prefix === undefined || address === undefined ? undefined : `${address}/${prefix.bits}`;
}

/**
 * A numeric endpoint. `scopeOf` tells the number of the interface in '[fe80::1%eth0]:51820'; without
 * it only numbers are taken there.
 */
export function parseNumericEndpoint(text: string, scopeOf?: ScopeOf): Endpoint | undefined {
  const named = /^(\[[0-9a-f:.]+%)([a-z][\w.-]{0,14})(\]:\d+)$/i.exec(text);
  if (named === null) return parseEndpoint(text);
  const [, before = '', name = '', behind = ''] = named;
  const scope = scopeOf?.(name);
  return scope === undefined ? undefined : parseEndpoint(`${before}${scope}${behind}`);
}

/** Text of an endpoint, or undefined where its address is not numeric or its port no port. */
export function formatNumericEndpoint(endpoint: Endpoint): string | undefined {
  const text = formatEndpoint(endpoint);
  return parseEndpoint(text) === undefined ? undefined : text;
}

const hostNamePattern = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/** 'name:port', '192.0.2.1:port' or '[2001:db8::1]:port'. Port 1 to 65535. */
export function parseHostPort(text: string): HostPort | undefined {
  const numeric = parseEndpoint(text);
  if (numeric !== undefined) return { host: numeric.address, port: numeric.port };
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, Math.max(0, colon));
  const port = parseDecimal(text.slice(colon + 1), maxPort);
  if (port === undefined || port === 0 || !isHostName(host)) return undefined;
  return { host, port };
}

/** The reverse of parseHostPort. */
export function formatHostPort(place: HostPort): string {
  return place.host.includes(':') ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`;
}

/** True for what may be a name in the DNS. Digits and dots alone are a mistyped address. */
export function isHostName(text: string): boolean {
  return text.length <= 253 && hostNamePattern.test(text) && !/^[\d.]+$/.test(text);
}

/** The lines of a message, without the empty line that ends it. An empty line before that is an empty line. */
export function* messageLines(text: string): Generator<string, void, undefined> {
  const end = text.length - (text.endsWith('\n\n') ? 2 : text.endsWith('\n') ? 1 : 0);
  for (let at = 0; at <= end; ) {
    const next = text.indexOf('\n', at);
    const stop = next < 0 || next > end ? end : next;
    yield text.slice(at, stop);
    at = stop + 1;
  }
}
