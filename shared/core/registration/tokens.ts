/**
 * The form of the three secrets that are handed out: 256 random bits behind a prefix that says what
 * they open, so that people and scanners of leaked secrets know one. How they are kept is not known here.
 */

import type { Entropy } from '../base/ports.ts';
import { encodeBase64Url } from './base64url.ts';

/** Enrols a device; opens the API as a device; opens the API as an administrator. */
export type TokenKind = 'invite' | 'device' | 'admin';

const prefixes: Readonly<Record<TokenKind, string>> = { invite: 'cve_', device: 'cvd_', admin: 'cva_' };
const secretBytes = 32;

/** What a token looks like, as a JSON schema's pattern. */
export function tokenPattern(kind: TokenKind): string {
  return `^${prefixes[kind]}[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$`;
}

const shapes: Readonly<Record<TokenKind, RegExp>> = {
  invite: new RegExp(tokenPattern('invite')),
  device: new RegExp(tokenPattern('device')),
  admin: new RegExp(tokenPattern('admin')),
};

export function makeToken(kind: TokenKind, entropy: Entropy): string {
  const secret = new Uint8Array(secretBytes);
  entropy.fill(secret);
  return prefixes[kind] + encodeBase64Url(secret);
}

export function isToken(kind: TokenKind, text: string): boolean {
  return shapes[kind].test(text);
}

/** Which kind the text has the form of. Says nothing about whether anybody issued it. */
export function tokenKindOf(text: string): TokenKind | undefined {
  return (['invite', 'device', 'admin'] as const).find((kind) => isToken(kind, text));
}
