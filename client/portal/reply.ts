/**
 * What came back from a plain HTTP question (RFC 9112), judged against what an honest network answers. Hostile input:
 * bounded, never trusted, never followed. Pure.
 */

import type { HonestAnswer } from './endpoints.ts';
import { isHostText, type SignInPlace } from './places.ts';

/** What one question led to. */
export type ProbeAnswer =
  /** Exactly what it should be. Anybody on the way could have said so, too. */
  | { readonly kind: 'honest' }
  /** The edge itself, known by its key: nobody else could have said so. */
  | { readonly kind: 'edge' }
  /** Sent elsewhere, or another page put in its place. */
  | { readonly kind: 'sign-in'; readonly places: readonly SignInPlace[] }
  /** Refused by a filter: 4xx, 5xx, without a way to sign in. */
  | { readonly kind: 'refused' }
  /** No HTTP at all. */
  | { readonly kind: 'garbage' }
  /** TLS of somebody who is not the edge. */
  | { readonly kind: 'impostor'; readonly issuer?: string }
  /** Nothing in time, or no way there. */
  | { readonly kind: 'silent' }
  /** The network's DNS knows no such name, or does not answer. */
  | { readonly kind: 'unresolved' };

/** Of a reply so much is read. */
export const maxReplyBytes: number = 16 * 1024;
const maxHeaders = 64;
/** Hosts that one page may name. */
const maxPlaces = 4;

/** `text`: the reply as Latin-1, perhaps cut. `asked`: whom we meant to talk to. */
export function judgeReply(text: string, expect: HonestAnswer, asked: string): ProbeAnswer {
  const head = /^HTTP\/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n/.exec(text);
  if (head === null) return text === '' ? { kind: 'silent' } : { kind: 'garbage' };
  const status = Number(head[1]);
  const end = /\r?\n\r?\n/.exec(text);
  const headers = text
    .slice(head[0].length, end?.index ?? text.length)
    .split(/\r?\n/)
    .slice(0, maxHeaders);
  const body = end === null ? '' : text.slice(end.index + end[0].length);
  if (isHonest(status, body, expect)) return { kind: 'honest' };
  const places = placesNamed(headerIn(headers, 'location'), body, asked);
  if (status >= 300 && status < 400) return { kind: 'sign-in', places };
  // RFC 6585 §6: "network authentication required" says it in so many words.
  if (status === 511 || (status >= 200 && status < 300)) return { kind: 'sign-in', places };
  return { kind: 'refused' };
}

function isHonest(status: number, body: string, expect: HonestAnswer): boolean {
  if (status !== expect.status) return false;
  return expect.status === 204 ? body === '' : body.length < maxHonestPage && body.includes(expect.text);
}

/** The honest pages are short; one that quotes their word among much else is another page. */
const maxHonestPage = 1024;

function headerIn(headers: readonly string[], name: string): string | undefined {
  const line = headers.find((one) => one.toLowerCase().startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim();
}

/** Where the page wants to have us: its redirect, in header or page, and where its form goes. */
function placesNamed(location: string | undefined, body: string, asked: string): readonly SignInPlace[] {
  const found = [
    location,
    /http-equiv=["']?refresh["']?[^>]{0,200}url=["']?([^"'>\s]{1,500})/i.exec(body)?.[1],
    /<form[^>]{0,500}action=["']?([^"'>\s]{1,500})/i.exec(body)?.[1],
    /location(?:\.href)?\s*=\s*["']([^"']{1,500})["']/i.exec(body)?.[1],
    // WISPr, the phones' way of signing in.
    /<LoginURL>\s*([^<\s]{1,500})/i.exec(body)?.[1],
  ];
  const places = found.flatMap((one) => (one === undefined ? [] : (placeOf(one) ?? [])));
  const own: SignInPlace = { host: asked, port: 80 };
  return unique(places.length === 0 ? [own] : places).slice(0, maxPlaces);
}

function placeOf(text: string): SignInPlace | undefined {
  if (!/^https?:\/\//i.test(text)) return undefined;
  try {
    const url = new URL(text);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (!isHostText(host)) return undefined;
    return { host, port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port) };
  } catch {
    return undefined; // Not an address.
  }
}

function unique(places: readonly SignInPlace[]): readonly SignInPlace[] {
  return places.filter(
    (one, i) => places.findIndex(({ host, port }) => host === one.host && port === one.port) === i,
  );
}
