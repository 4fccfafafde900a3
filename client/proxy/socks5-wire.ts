/**
 * The messages of SOCKS5 (RFC 1928) and its password method (RFC 1929), and the header of relayed
 * datagrams (RFC 1928 §7). Pure; parsers take what has come so far and say whether it is enough.
 */

import { readU16BE } from '../../shared/core/base/bytes.ts';
import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import { bad, more, type Parsed } from './message.ts';
import { parseHost } from './target.ts';

export const version = 5;
export const methodNone = 0x00;
export const methodPassword = 0x02;
export const methodUnacceptable = 0xff;
export const commandConnect = 0x01;
export const commandAssociate = 0x03;

/** RFC 1928 §6; the replies for failed dials are in failures.ts. */
export const reply = {
  succeeded: 0x00,
  generalFailure: 0x01,
  badCommand: 0x07,
  badAddressType: 0x08,
} as const;

const passwordVersion = 1;
const addressIpv4 = 0x01;
const addressName = 0x03;
const addressIpv6 = 0x04;

export interface Socks5Request {
  readonly command: number;
  /** Undefined: a text that cannot be a host. */
  readonly host: string | undefined;
  /** 0 is allowed: an association's client may not know its port yet. */
  readonly port: number;
}

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** The methods that the client offers. */
export function parseGreeting(bytes: Uint8Array): Parsed<Uint8Array> {
  const [first, count] = bytes;
  if (first !== undefined && first !== version) return bad;
  if (count === undefined) return more;
  if (count === 0) return bad;
  const size = 2 + count;
  return bytes.length < size ? more : { kind: 'complete', value: bytes.slice(2, size), size };
}

/** User name and password (RFC 1929 §2). */
export function parseLogin(bytes: Uint8Array): Parsed<Login> {
  const [first, nameLength] = bytes;
  if (first !== undefined && first !== passwordVersion) return bad;
  if (nameLength === undefined) return more;
  const passwordLength = bytes[2 + nameLength];
  if (passwordLength === undefined) return more;
  const passwordAt = 3 + nameLength;
  const size = passwordAt + passwordLength;
  if (bytes.length < size) return more;
  const username = utf8(bytes.subarray(2, 2 + nameLength));
  const password = utf8(bytes.subarray(passwordAt, size));
  return { kind: 'complete', value: { username, password }, size };
}

/** An unknown address type cannot be read over, so it completes at once as 'bad-address-type'. */
export function parseRequest(bytes: Uint8Array): Parsed<Socks5Request | 'bad-address-type'> {
  const [first, command, reserved] = bytes;
  if (first !== undefined && first !== version) return bad;
  if (command === undefined || reserved === undefined) return more;
  const address = parseTyped(bytes, 3);
  if (address.kind !== 'complete') return address;
  if (address.value === 'bad-address-type') return { ...address, value: 'bad-address-type' };
  const { host, port } = address.value;
  return { kind: 'complete', value: { command, host, port }, size: address.size };
}

/** The reply to a request. `address` is numeric; by default nothing is told. */
export function encodeReply(code: number, address = '0.0.0.0', port = 0): Uint8Array {
  return Uint8Array.of(version, code, 0, ...encodeAddress(address, port));
}

export function encodeMethod(method: number): Uint8Array {
  return Uint8Array.of(version, method);
}

export function encodeLoginReply(accepted: boolean): Uint8Array {
  return Uint8Array.of(passwordVersion, accepted ? 0 : 1);
}

export type Datagram =
  | { readonly kind: 'whole'; readonly host: string; readonly port: number; readonly payload: Uint8Array }
  | { readonly kind: 'fragment' }
  | { readonly kind: 'malformed' };

/** What a client wants relayed. The payload is a view of `bytes`. */
export function parseDatagram(bytes: Uint8Array): Datagram {
  if (bytes.length < 4) return { kind: 'malformed' };
  if (bytes[2] !== 0) return { kind: 'fragment' };
  const address = parseTyped(bytes, 3);
  if (address.kind !== 'complete' || address.value === 'bad-address-type') return { kind: 'malformed' };
  const { host, port } = address.value;
  if (host === undefined || port === 0) return { kind: 'malformed' };
  return { kind: 'whole', host, port, payload: bytes.subarray(address.size) };
}

/** The header before an answer from `address`, which is numeric. */
export function encodeDatagramHeader(address: string, port: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, ...encodeAddress(address, port));
}

interface Typed {
  readonly host: string | undefined;
  readonly port: number;
}

/** Address type, address and port. `size` counts from the start of `bytes`. */
function parseTyped(bytes: Uint8Array, at: number): Parsed<Typed | 'bad-address-type'> {
  const type = bytes[at];
  if (type === undefined) return more;
  if (type !== addressIpv4 && type !== addressIpv6 && type !== addressName) {
    return { kind: 'complete', value: 'bad-address-type', size: bytes.length };
  }
  const hostAt = type === addressName ? at + 2 : at + 1;
  const hostSize = type === addressIpv4 ? 4 : type === addressIpv6 ? 16 : bytes[at + 1];
  if (hostSize === undefined) return more;
  const portAt = hostAt + hostSize;
  const size = portAt + 2;
  if (bytes.length < size) return more;
  const raw = bytes.subarray(hostAt, portAt);
  // Many clients send numeric addresses as names: parseHost takes both.
  const host = type === addressName ? parseHost(Buffer.from(raw).toString('latin1')) : formatAddress(raw);
  return { kind: 'complete', value: { host, port: readU16BE(bytes, portAt) }, size };
}

function encodeAddress(address: string, port: number): Uint8Array {
  const bytes = parseAddress(address) ?? new Uint8Array(4);
  const type = bytes.length === 4 ? addressIpv4 : addressIpv6;
  return Uint8Array.of(type, ...bytes, port >>> 8, port & 0xff);
}

function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
