/**
 * Who may use the proxy, and what no request may reach: only this machine's own programs, with the
 * password where one is set, and never the proxy itself. Pure.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { parseAddress } from '../../shared/core/base/ip.ts';
import type { Target } from './target.ts';

/** For machines with other users: loopback belongs to all of them. */
export interface Credentials {
  /** 1 to 255 bytes of UTF-8 each (RFC 1929); the name has no colon (RFC 7617). */
  readonly username: string;
  readonly password: string;
}

/** 127.0.0.0/8, ::1, and the former written as IPv6. */
export function isLoopback(address: string): boolean {
  const bytes = parseAddress(address);
  return bytes !== undefined && isLoopbackAddress(bytes);
}

/** The same of 4 or 16 bytes. */
export function isLoopbackAddress(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return bytes[0] === 127;
  const mapped =
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (mapped) return bytes[12] === 127;
  return bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15] === 1;
}

/** Whether a target is the proxy's own port, under any name that means this machine. */
export function isSelf(target: Target, ownPort: number): boolean {
  if (target.port !== ownPort) return false;
  const name = target.host.replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  return name === '0.0.0.0' || name === '::' || isLoopback(name);
}

/** Compares in a time that tells nothing about the secret. */
export function credentialsMatch(wanted: Credentials, username: string, password: string): boolean {
  const name = timingSafeEqual(digest(wanted.username), digest(username));
  const secret = timingSafeEqual(digest(wanted.password), digest(password));
  return name && secret;
}

/** Whether a Proxy-Authorization header carries the credentials (RFC 7617). */
export function basicMatches(wanted: Credentials, header: string | undefined): boolean {
  const match = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header ?? '');
  if (match === null) return false;
  const text = Buffer.from(match[1] ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon >= 0 && credentialsMatch(wanted, text.slice(0, colon), text.slice(colon + 1));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
