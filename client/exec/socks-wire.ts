/**
 * The client's half of SOCKS5 (RFC 1928, RFC 1929): requests with names or addresses, and the replies. Pure.
 * The other half is proxy/socks5-wire.ts.
 */

import { concat } from '../../shared/core/base/bytes.ts';
import { parseAddress } from '../../shared/core/base/ip.ts';
import type { DialFailure } from '../proxy/dialer.ts';
import { bad, more, type Parsed } from '../proxy/message.ts';
import { methodNone, methodPassword, parseRequest, version } from '../proxy/socks5-wire.ts';

const loginVersion = 1;
const typeV4 = 1;
const typeName = 3;
const typeV6 = 4;
const longest = 255;

export function encodeGreeting(withPassword: boolean): Uint8Array {
  return Uint8Array.of(version, 1, withPassword ? methodPassword : methodNone);
}

/** Texts of at most 255 bytes; longer ones are cut, and refused by the other side. */
export function encodeLogin(username: string, password: string): Uint8Array {
  const [name, secret] = [username, password].map((text) => Buffer.from(text, 'utf8').subarray(0, longest));
  const parts = [name ?? Buffer.alloc(0), secret ?? Buffer.alloc(0)];
  return Buffer.concat([Buffer.of(loginVersion), ...parts.flatMap((part) => [Buffer.of(part.length), part])]);
}

/** CONNECT or UDP ASSOCIATE. `host` is a numeric address or a name of at most 255 characters. */
export function encodeRequest(command: number, host: string, port: number): Uint8Array {
  return concat(Uint8Array.of(version, command, 0), encodePlace(host, port));
}

/** The header before a datagram for `host`. */
export function encodeRelayHeader(host: string, port: number): Uint8Array {
  return concat(Uint8Array.of(0, 0, 0), encodePlace(host, port));
}

/** The method that the server chose. */
export function parseMethod(bytes: Uint8Array): Parsed<number> {
  return parsePair(bytes, version);
}

/** 0: the login was accepted. */
export function parseLoginReply(bytes: Uint8Array): Parsed<number> {
  return parsePair(bytes, loginVersion);
}

export interface SocksReply {
  readonly code: number;
  readonly host: string | undefined;
  readonly port: number;
}

/** Replies have the shape of requests, with a code in place of the command (RFC 1928 §6). */
export function parseReply(bytes: Uint8Array): Parsed<SocksReply> {
  const parsed = parseRequest(bytes);
  if (parsed.kind !== 'complete') return parsed;
  if (parsed.value === 'bad-address-type') return bad;
  const { command, host, port } = parsed.value;
  return { ...parsed, value: { code: command, host, port } };
}

const failures: Readonly<Record<number, DialFailure>> = {
  2: 'denied',
  3: 'tunnel-down',
  5: 'refused',
  6: 'timeout',
};

/** What a reply that is not 0 means. For a name, "host unreachable" nearly always is: no such name. */
export function failureOf(code: number, isName: boolean): DialFailure {
  return failures[code] ?? (isName ? 'name-not-found' : 'unreachable');
}

function parsePair(bytes: Uint8Array, first: number): Parsed<number> {
  if (bytes[0] !== undefined && bytes[0] !== first) return bad;
  const value = bytes[1];
  return value === undefined ? more : { kind: 'complete', value, size: 2 };
}

function encodePlace(host: string, port: number): Uint8Array {
  const address = parseAddress(host);
  const ports = Uint8Array.of(port >>> 8, port & 0xff);
  if (address !== undefined) {
    return concat(Uint8Array.of(address.length === 4 ? typeV4 : typeV6), address, ports);
  }
  const name = Buffer.from(host, 'latin1').subarray(0, longest);
  return concat(Uint8Array.of(typeName, name.length), name, ports);
}
