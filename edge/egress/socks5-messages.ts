/** The client's side of SOCKS5 (RFC 1928), its password method (RFC 1929) and the header of datagrams (§7). Pure. */

import { readU16BE } from '../../shared/core/base/bytes.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { PathError } from './path.ts';
import type { Parsed } from './upstream-dial.ts';

const version = 5;
const loginVersion = 1;
export const connectCommand = 1;
export const associateCommand = 3;
const methodNone = 0;
const methodPassword = 2;
const typeIpv4 = 1;
const typeName = 3;
const typeIpv6 = 4;
/** What a length in one byte can say. */
export const maxSocksText = 255;

export interface SocksReply {
  readonly code: number;
  /** Undefined where the proxy tells a name. */
  readonly bound: FlowEnd | undefined;
}

export function encodeGreeting(hasLogin: boolean): Uint8Array {
  return hasLogin
    ? Uint8Array.of(version, 2, methodNone, methodPassword)
    : Uint8Array.of(version, 1, methodNone);
}

/** Both of 1 to 255 bytes. */
export function encodeLogin(username: string, password: string): Uint8Array {
  const [name, secret] = [Buffer.from(username), Buffer.from(password)];
  return Uint8Array.of(loginVersion, name.length, ...name, secret.length, ...secret);
}

/** By name where one is given and fits. */
export function encodeRequest(command: number, end: FlowEnd, name?: string): Uint8Array {
  const isNamed = name !== undefined && name.length > 0 && name.length <= maxSocksText;
  return Uint8Array.of(version, command, 0, ...(isNamed ? encodeName(name, end.port) : encodeEnd(end)));
}

/** What stands before each datagram. */
export function encodeHeader(end: FlowEnd): Uint8Array {
  return Uint8Array.of(0, 0, 0, ...encodeEnd(end));
}

/** The content of a datagram that comes from the same end as `header` says; undefined: from elsewhere, or a part. */
export function payloadFrom(bytes: Uint8Array, header: Uint8Array): Uint8Array | undefined {
  if (bytes.length < header.length) return undefined;
  // The first two bytes are reserved; the third must be zero: no fragment.
  for (let i = 2; i < header.length; i++) if (bytes[i] !== header[i]) return undefined;
  return bytes.subarray(header.length);
}

export function parseMethod(bytes: Uint8Array): Parsed<'none' | 'password' | 'unacceptable'> {
  const [first, method] = bytes;
  if (first !== version) return 'bad';
  if (method === undefined) return 'more';
  if (method === methodNone) return { value: 'none', size: 2 };
  return { value: method === methodPassword ? 'password' : 'unacceptable', size: 2 };
}

export function parseLoginReply(bytes: Uint8Array): Parsed<boolean> {
  if (bytes[0] !== loginVersion) return 'bad';
  return bytes.length < 2 ? 'more' : { value: bytes[1] === 0, size: 2 };
}

export function parseReply(bytes: Uint8Array): Parsed<SocksReply> {
  if (bytes[0] !== version) return 'bad';
  const [, code, , type, length] = bytes;
  if (code === undefined || type === undefined || length === undefined) return 'more';
  const sizes: Readonly<Record<number, number>> = { [typeIpv4]: 4, [typeIpv6]: 16, [typeName]: length + 1 };
  const addressSize = sizes[type];
  if (addressSize === undefined) return 'bad';
  const size = 4 + addressSize + 2;
  if (bytes.length < size) return 'more';
  const port = readU16BE(bytes, size - 2);
  const bound = type === typeName ? undefined : { address: bytes.slice(4, 4 + addressSize), port };
  return { value: { code, bound }, size };
}

/** Throws PathError for anything but success (RFC 1928 §6). */
export function checkReply(code: number): void {
  switch (code) {
    case 0:
      return;
    case 2:
      throw new PathError('destination', 'unreachable', 'The upstream does not go there.');
    case 3:
    case 4:
      throw new PathError('destination', 'unreachable', 'The upstream cannot reach the destination.');
    case 5:
      throw new PathError('destination', 'refused', 'Nobody listens there.');
    case 6:
      throw new PathError('destination', 'timeout', 'The destination does not answer.');
    default:
      throw new PathError('path', 'unreachable', `The upstream answers with code ${code}.`);
  }
}

function encodeEnd({ address, port }: FlowEnd): Uint8Array {
  return Uint8Array.of(address.length === 4 ? typeIpv4 : typeIpv6, ...address, port >>> 8, port & 0xff);
}

function encodeName(name: string, port: number): Uint8Array {
  const bytes = Buffer.from(name, 'latin1');
  return Uint8Array.of(typeName, bytes.length, ...bytes, port >>> 8, port & 0xff);
}
