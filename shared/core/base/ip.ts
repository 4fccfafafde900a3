/**
 * IP addresses and prefixes as bytes in network order: 4 bytes are IPv4, 16 are IPv6. Strict
 * parsing, formatting by RFC 5952, and endpoint records (layout: endpoint.ts). Never resolves names.
 */

import { type Endpoint, endpointSize } from './endpoint.ts';

/** Longest text that any parser here looks at; longer is refused unread. */
const maxTextLength = 96;

/** An address prefix. Bits of `address` behind `bits` are zero. */
export interface Prefix {
  readonly address: Uint8Array;
  readonly bits: number;
}

/** A numeric address with the interface number that an IPv6 link-local address needs, else 0. */
export interface ScopedAddress {
  readonly address: Uint8Array;
  readonly scope: number;
}

/** Bytes of '10.0.0.1' or 'fd00::1'. No leading zeros in IPv4, no scope, no spaces, no brackets. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (text.length > maxTextLength) return undefined;
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Like parseAddress, and '%N' with a number may follow an IPv6 address. */
export function parseScopedAddress(text: string): ScopedAddress | undefined {
  if (text.length > maxTextLength) return undefined;
  const percent = text.indexOf('%');
  const address = parseAddress(percent < 0 ? text : text.slice(0, percent));
  if (address === undefined) return undefined;
  if (percent < 0) return { address, scope: 0 };
  const scope = parseDecimal(text.slice(percent + 1), 0xffff_ffff);
  return scope === undefined || address.length !== 16 ? undefined : { address, scope };
}

/** Text of `size` bytes (4 or 16) at `offset`, as RFC 5952 wants it. */
export function formatAddress(bytes: Uint8Array, offset = 0, size: number = bytes.length): string {
  return size === 4 ? formatIpv4(bytes, offset) : formatIpv6(bytes, offset);
}

/** '10.1.2.3/8' → 10.0.0.0 and 8. Without a slash the prefix is the one address. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const full = address.length * 8;
  const bits = slash < 0 ? full : parseDecimal(text.slice(slash + 1), full);
  if (bits === undefined) return undefined;
  maskAddress(address, bits);
  return { address, bits };
}

/** '10.0.0.0/8'. The length is always written. */
export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.bits}`;
}

/** Sets every bit behind the first `bits` to zero, in place. */
export function maskAddress(address: Uint8Array, bits: number): void {
  for (let i = 0; i < address.length; i++) {
    const kept = Math.min(8, Math.max(0, bits - i * 8));
    address[i] = (address[i] ?? 0) & (0xff00 >> kept) & 0xff;
  }
}

/** True when `address` lies inside `prefix`. Different families never match. */
export function prefixContains(prefix: Prefix, address: Uint8Array): boolean {
  if (prefix.address.length !== address.length) return false;
  for (let i = 0; i * 8 < prefix.bits; i++) {
    const mask = (0xff00 >> Math.min(8, prefix.bits - i * 8)) & 0xff;
    if ((((prefix.address[i] ?? 0) ^ (address[i] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}

/** Order for lists: IPv4 before IPv6, then by value. Negative, 0 or positive. */
export function compareAddresses(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Order for lists: by address, then the shorter prefix first. */
export function comparePrefixes(a: Prefix, b: Prefix): number {
  return compareAddresses(a.address, b.address) || a.bits - b.bits;
}

/**
 * '1.2.3.4:51820', '[fd00::1]:51820' or '[fe80::1%2]:51820'. The address comes back in its one
 * usual spelling. Ports are 1 to 65535.
 */
export function parseEndpoint(text: string): Endpoint | undefined {
  if (text.length > maxTextLength) return undefined;
  const colon = text.lastIndexOf(':');
  if (colon < 0) return undefined;
  const host = text.slice(0, colon);
  const port = parseDecimal(text.slice(colon + 1), 0xffff);
  if (port === undefined || port === 0) return undefined;
  const bracketed = host.startsWith('[') && host.endsWith(']');
  const scoped = parseScopedAddress(bracketed ? host.slice(1, -1) : host);
  if (scoped === undefined || bracketed !== (scoped.address.length === 16)) return undefined;
  return { address: formatScoped(scoped.address, 0, scoped.address.length, scoped.scope), port };
}

/** The reverse of parseEndpoint. */
export function formatEndpoint(endpoint: Endpoint): string {
  const { address, port } = endpoint;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * Writes the whole record (48 bytes) at `offset`, with our own side unknown. Returns false, and
 * writes nothing, where the address is not numeric or the port no port.
 */
export function writeEndpoint(record: Uint8Array, offset: number, endpoint: Endpoint): boolean {
  const { port } = endpoint;
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) return false;
  const scoped = parseScopedAddress(endpoint.address);
  if (scoped === undefined || offset + endpointSize > record.length) return false;
  record.fill(0, offset, offset + endpointSize);
  record[offset] = scoped.address.length === 4 ? 4 : 6;
  record[offset + 2] = port >>> 8;
  record[offset + 3] = port & 0xff;
  record.set(scoped.address, offset + 4);
  for (let i = 0; i < 4; i++) record[offset + 20 + i] = (scoped.scope >>> (24 - 8 * i)) & 0xff;
  return true;
}

/** The remote side of the record at `offset`; undefined where its family is none. */
export function readEndpoint(record: Uint8Array, offset: number): Endpoint | undefined {
  const family = record[offset];
  if (family !== 4 && family !== 6) return undefined;
  const port = readU16(record, offset + 2);
  if (family === 4) return { address: formatIpv4(record, offset + 4), port };
  const scope = readU16(record, offset + 20) * 0x10000 + readU16(record, offset + 22);
  return { address: formatScoped(record, offset + 4, 16, scope), port };
}

function formatScoped(bytes: Uint8Array, offset: number, size: number, scope: number): string {
  const text = formatAddress(bytes, offset, size);
  return scope === 0 ? text : `${text}%${scope}`;
}

function readU16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

/** Digits only, no leading zeros, 0 to `max`. */
function parseDecimal(text: string, max: number): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value > max ? undefined : value;
}

const longestIpv4 = 15;
const dot = 0x2e;
const zero = 0x30;

function parseIpv4(text: string): Uint8Array | undefined {
  if (text.length > longestIpv4) return undefined;
  const address = new Uint8Array(4);
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? dot : text.charCodeAt(i);
    if (code === dot) {
      if (digits === 0 || part > 3) return undefined;
      address[part++] = value;
      digits = 0;
      value = 0;
      continue;
    }
    // No leading zeros: some programs read them as octal.
    if (code < zero || code > zero + 9 || (digits > 0 && value === 0)) return undefined;
    value = value * 10 + code - zero;
    digits++;
    if (value > 255) return undefined;
  }
  return part === 4 ? address : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const gap = text.indexOf('::');
  if (gap < 0) {
    const groups = parseGroups(text, true);
    return groups?.length === 16 ? Uint8Array.from(groups) : undefined;
  }
  const head = gap === 0 ? [] : parseGroups(text.slice(0, gap), false);
  const tail = gap + 2 === text.length ? [] : parseGroups(text.slice(gap + 2), true);
  // '::' stands for at least one group.
  if (head === undefined || tail === undefined || head.length + tail.length > 14) return undefined;
  const address = new Uint8Array(16);
  address.set(head, 0);
  address.set(tail, 16 - tail.length);
  return address;
}

/** Bytes of colon-separated groups; the last may be an IPv4 address where `endsAddress`. */
function parseGroups(text: string, endsAddress: boolean): number[] | undefined {
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [i, group] of groups.entries()) {
    if (endsAddress && i === groups.length - 1 && group.includes('.')) {
      const embedded = parseIpv4(group);
      if (embedded === undefined) return undefined;
      bytes.push(...embedded);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >>> 8, value & 0xff);
    }
  }
  return bytes;
}

function formatIpv4(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

function formatIpv6(bytes: Uint8Array, offset: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 8; i++) groups.push(readU16(bytes, offset + 2 * i));
  // IPv4-mapped addresses are written with dots (RFC 5952 §5).
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${formatIpv4(bytes, offset + 12)}`;
  }
  const [start, length] = longestZeros(groups);
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return length < 2 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`;
}

/** Start and length of the longest run of zero groups, the first of equals. */
function longestZeros(groups: readonly number[]): readonly [start: number, length: number] {
  let best = 0;
  let bestLength = 0;
  let length = 0;
  for (let i = 0; i < groups.length; i++) {
    length = groups[i] === 0 ? length + 1 : 0;
    if (length > bestLength) {
      bestLength = length;
      best = i - length + 1;
    }
  }
  return [best, bestLength];
}
