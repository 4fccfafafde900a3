/**
 * Heads of HTTP messages on their way through a proxy: which headers are for us alone (RFC 9110 §7.6.1),
 * how a body is framed, and answers of our own. Pure. No Via, no Forwarded: nobody is told of us.
 */

import { STATUS_CODES } from '../../shared/node/http.ts';
import type { HttpTarget } from './target.ts';

/** Names and values in turn, in the order and spelling they came. */
export type RawHeaders = readonly string[];

const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** Never taken away because Connection names it: the framing of a body stands on it. */
const indispensable: ReadonlySet<string> = new Set(['content-length', 'host']);

/** The values of one header, in order. `name` in lower case. */
export function valuesOf(headers: RawHeaders, name: string): string[] {
  const values: string[] = [];
  forEachHeader(headers, (key, value) => {
    if (key.toLowerCase() === name) values.push(value);
  });
  return values;
}

/** The members of a header that is a list of tokens, in lower case. */
export function tokensOf(headers: RawHeaders, name: string): string[] {
  const members = valuesOf(headers, name).flatMap((value) => value.split(','));
  return members.map((member) => member.trim().toLowerCase()).filter((member) => member !== '');
}

/** What both sides of a proxy see: everything but hop-by-hop headers and those that Connection names. */
export function endToEnd(headers: RawHeaders): string[] {
  const named = tokensOf(headers, 'connection').filter((token) => !indispensable.has(token));
  const kept: string[] = [];
  forEachHeader(headers, (key, value) => {
    const lower = key.toLowerCase();
    if (!hopByHop.has(lower) && !named.includes(lower)) kept.push(key, value);
  });
  return kept;
}

/** 'unknown': a transfer coding that we cannot take off and put on again. */
export function framingOf(headers: RawHeaders): 'none' | 'length' | 'chunked' | 'unknown' {
  const codings = tokensOf(headers, 'transfer-encoding');
  if (codings.length > 0) return codings.length === 1 && codings[0] === 'chunked' ? 'chunked' : 'unknown';
  return valuesOf(headers, 'content-length').length > 0 ? 'length' : 'none';
}

/** The headers that go to the destination. Host comes from the target (RFC 9112 §3.2.2). */
export function outboundHeaders(headers: RawHeaders, target: HttpTarget, method: string): string[] {
  const sent = ['Host', target.authority];
  forEachHeader(endToEnd(headers), (key, value) => {
    if (key.toLowerCase() !== 'host') sent.push(key, value);
  });
  const framing = framingOf(headers);
  if (framing === 'chunked') sent.push('Transfer-Encoding', 'chunked');
  // Said, because HTTP's client of Node would announce a chunked body for these methods.
  if (framing === 'none' && !/^(?:GET|HEAD|DELETE|OPTIONS|TRACE)$/.test(method)) {
    sent.push('Content-Length', '0');
  }
  return sent;
}

export interface Answer {
  readonly status: number;
  /** One sentence for people; the body is it and a line end. */
  readonly sentence: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The headers of an answer of our own. */
export function answerHeaders(answer: Answer): Record<string, string> {
  return {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(answerBody(answer))),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...answer.headers,
  };
}

export function answerBody(answer: Answer): string {
  return `${answer.sentence}\n`;
}

/** The whole answer as bytes, for a connection that no HTTP server holds any more. It ends the connection. */
export function encodeAnswer(answer: Answer): Buffer {
  const headers = Object.entries({ ...answerHeaders(answer), Connection: 'close' }).flat();
  const head = encodeHead(answer.status, STATUS_CODES[answer.status] ?? '', headers);
  return Buffer.concat([head, Buffer.from(answerBody(answer))]);
}

/** Status line and headers as they go over the wire. */
export function encodeHead(status: number, reason: string, headers: RawHeaders): Buffer {
  const lines = [`HTTP/1.1 ${status} ${reason}`];
  forEachHeader(headers, (key, value) => lines.push(`${key}: ${value}`));
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

function forEachHeader(headers: RawHeaders, visit: (key: string, value: string) => void): void {
  for (let i = 0; i + 1 < headers.length; i += 2) visit(headers[i] ?? '', headers[i + 1] ?? '');
}
