/**
 * The link that enrols a device (product.md §6):
 * `culvert://HOST:PORT/join?t=TOKEN&pin=sha256/…&k=EDGE-PUBLIC-KEY`. Build, parse, refuse with a
 * reason. The bytes of pin and key are base64url without padding. A link is a secret until it is used.
 */

import { formatAddress, parseAddress } from '../base/ip.ts';
import { decodeBase64Url, encodeBase64Url } from './base64url.ts';
import { isToken } from './tokens.ts';

export interface Invite {
  /** Host name or numeric address of the API, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Opens one enrolment. */
  readonly token: string;
  /** SHA-256 of the public key (SPKI) in the edge's certificate, 32 bytes. */
  readonly pin: Uint8Array;
  /** The edge's WireGuard public key, 32 bytes. */
  readonly edgeKey: Uint8Array;
}

export type InviteRefusal =
  | 'too-long'
  | 'not-culvert'
  | 'bad-host'
  | 'bad-port'
  | 'bad-path'
  | 'bad-token'
  | 'bad-pin'
  | 'bad-key'
  | 'repeated';

export type ParsedInvite =
  | { readonly kind: 'invite'; readonly invite: Invite }
  | { readonly kind: 'refused'; readonly why: InviteRefusal; readonly text: string };

/** Longest link that is looked at. */
export const maxInviteLength = 1024;
const hashSize = 32;
const maxPort = 0xffff;
const maxParameters = 16;

const reasons: Readonly<Record<InviteRefusal, string>> = {
  'too-long': 'The link is too long to be an invitation.',
  'not-culvert': 'That is no invitation: it must begin with culvert://',
  'bad-host': 'The invitation names no usable host.',
  'bad-port': 'The invitation names no usable port.',
  'bad-path': 'The link is for something other than joining; a newer culvert may know it.',
  'bad-token': 'The invitation is incomplete: its token (t=) is missing or damaged.',
  'bad-pin': 'The invitation is incomplete: the fingerprint of the edge (pin=) is missing or damaged.',
  'bad-key': 'The invitation is incomplete: the key of the edge (k=) is missing or damaged.',
  repeated: 'The invitation says the same thing twice.',
};

export function formatInvite(invite: Invite): string {
  const host = invite.host.includes(':') ? `[${invite.host}]` : invite.host;
  const query = `t=${invite.token}&pin=${formatPin(invite.pin)}&k=${encodeBase64Url(invite.edgeKey)}`;
  return `culvert://${host}:${invite.port}/join?${query}`;
}

/** White space around the link is forgiven, for people copy; parameters that are not known are ignored. */
export function parseInvite(link: string): ParsedInvite {
  if (link.length > maxInviteLength) return refused('too-long');
  const parts = /^culvert:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i.exec(link.trim());
  if (parts === null) return refused('not-culvert');
  const [, authority = '', path = '', query = ''] = parts;
  const place = /^(.*):([0-9]{1,5})$/.exec(authority);
  const port = place === null ? 0 : Number(place[2]);
  const host = parseHost(place === null ? authority : (place[1] ?? ''));
  if (host === undefined) return refused('bad-host');
  if (port === 0 || port > maxPort) return refused('bad-port');
  if (path !== '/join') return refused('bad-path');
  const parameters = readQuery(query);
  if (parameters === undefined) return refused('repeated');
  const token = parameters.get('t') ?? '';
  if (!isToken('invite', token)) return refused('bad-token');
  const pin = parsePin(parameters.get('pin') ?? '');
  if (pin === undefined) return refused('bad-pin');
  const edgeKey = decodeBase64Url(parameters.get('k') ?? '', hashSize);
  if (edgeKey === undefined) return refused('bad-key');
  return { kind: 'invite', invite: { host, port, token, pin, edgeKey } };
}

/** 'sha256/…' */
export function formatPin(pin: Uint8Array): string {
  return `sha256/${encodeBase64Url(pin)}`;
}

export function parsePin(text: string): Uint8Array | undefined {
  return text.startsWith('sha256/') ? decodeBase64Url(text.slice('sha256/'.length), hashSize) : undefined;
}

/** Names in lower case, addresses in their one usual spelling; undefined for anything else. */
function parseHost(text: string): string | undefined {
  const bracketed = /^\[(.*)\]$/.exec(text);
  if (bracketed !== null) {
    const address = parseAddress(bracketed[1] ?? '');
    return address?.length === 16 ? formatAddress(address) : undefined;
  }
  // Digits and dots alone are meant as an address.
  if (/^[0-9.]+$/.test(text)) return parseAddress(text) === undefined ? undefined : text;
  const isName = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?)+$/i.test(text);
  return isName && !text.includes('..') ? text.toLowerCase() : undefined;
}

/** Undefined where a name comes twice, or there are too many. */
function readQuery(query: string): ReadonlyMap<string, string> | undefined {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&', maxParameters + 1)) {
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (parameters.has(name) || parameters.size === maxParameters) return undefined;
    // The one character of ours that programs like to escape.
    parameters.set(name, equals < 0 ? '' : pair.slice(equals + 1).replace(/%2f/gi, '/'));
  }
  return parameters;
}

function refused(why: InviteRefusal): ParsedInvite {
  return { kind: 'refused', why, text: reasons[why] };
}
