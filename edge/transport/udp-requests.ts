/**
 * Requests for UDP over HTTP (RFC 9298): extended CONNECT of HTTP/2 (§3.4) and Upgrade of HTTP/1.1 (§3.2). Answers
 * those that are for the edge's own ports and refuses all others, saying why (RFC 9209).
 */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import {
  capsuleHeader,
  capsuleHeaderValue,
  connectUdpToken,
  parseUdpRequestPath,
} from '../../shared/core/masque/request.ts';
import { type ProblemCode, problemOf, problemType } from '../../shared/core/registration/problem.ts';
import { sourceOf } from '../registration/rate-limits.ts';
import type { UdpAsker, UdpOpening, UdpRefusal, UdpStreams } from './udp-streams.ts';

const { HTTP2_HEADER_STATUS, NGHTTP2_NO_ERROR } = constants;

interface Refusal {
  readonly code: ProblemCode;
  /** RFC 9209 §2.3. */
  readonly error: string;
}

const refusals: Readonly<Record<UdpRefusal | 'bad-path' | 'broken', Refusal>> = {
  elsewhere: { code: 'udp-elsewhere', error: 'destination_ip_prohibited' },
  full: { code: 'no-room', error: 'connection_limit_reached' },
  'bad-path': { code: 'bad-request', error: 'http_request_error' },
  broken: { code: 'no-room', error: 'proxy_internal_error' },
};

export function asksForUdp(headers: IncomingHttpHeaders): boolean {
  return headers.upgrade?.toLowerCase() === connectUdpToken;
}

/** A request of HTTP/1.1 whose Upgrade names us. `refuse` writes the answer and ends the connection. */
export async function answerUdpUpgrade(
  streams: UdpStreams,
  request: IncomingMessage,
  connection: { readonly socket: Duplex; readonly head: Uint8Array },
  refuse: (code: ProblemCode, headers: readonly string[]) => void,
): Promise<void> {
  const { socket, head } = connection;
  // Whoever hangs up while we open ours is missed by nobody.
  socket.on('error', () => socket.destroy());
  const { host } = request.headers;
  const opening = await openFor(streams, request.url, askerOf(request.socket as TLSSocket, host));
  if ('code' in opening) return refuse(opening.code, [`proxy-status: ${proxyStatus(opening)}`]);
  if (!socket.writable) return opening.abandon();
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      'connection: Upgrade',
      `upgrade: ${connectUdpToken}`,
      `${capsuleHeader}: ${capsuleHeaderValue}`,
      '\r\n',
    ].join('\r\n'),
  );
  opening.join(socket, head);
}

/** An extended CONNECT of HTTP/2, of whatever protocol. */
export async function answerUdpConnect(
  streams: UdpStreams,
  stream: ServerHttp2Stream,
  headers: Readonly<Record<string, unknown>>,
  socket: TLSSocket,
): Promise<void> {
  stream.on('error', () => undefined);
  const opening =
    headers[':protocol'] === connectUdpToken
      ? await openFor(streams, headers[':path'], askerOf(socket, headers[':authority']))
      : undefined;
  if (opening !== undefined && !('code' in opening)) {
    if (stream.destroyed) return opening.abandon();
    stream.respond({ [HTTP2_HEADER_STATUS]: 200, [capsuleHeader]: capsuleHeaderValue });
    opening.join(stream);
    return;
  }
  if (stream.destroyed) return;
  const problem = problemOf(opening?.code ?? 'method-not-allowed');
  stream.respond({
    [HTTP2_HEADER_STATUS]: problem.status,
    'content-type': problemType,
    ...(opening === undefined ? {} : { 'proxy-status': proxyStatus(opening) }),
  });
  stream.end(JSON.stringify(problem), () => stream.close(NGHTTP2_NO_ERROR));
}

async function openFor(streams: UdpStreams, path: unknown, asker: UdpAsker): Promise<UdpOpening | Refusal> {
  const target = typeof path === 'string' ? parseUdpRequestPath(path) : undefined;
  if (target === undefined) return refusals['bad-path'];
  try {
    const opening = await streams.open(target, asker);
    return typeof opening === 'string' ? refusals[opening] : opening;
  } catch {
    // No socket is to be had now: our trouble, not theirs.
    return refusals.broken;
  }
}

function askerOf(socket: TLSSocket, authority: unknown): UdpAsker {
  const { remoteAddress, localAddress } = socket;
  const named = typeof authority === 'string' ? hostOf(authority) : undefined;
  return { source: sourceOf(remoteAddress), names: [localAddress?.replace(/^::ffff:/, ''), named] };
}

/** 'edge.example.com:8443' → 'edge.example.com'; '[::1]:443' → '::1' */
function hostOf(authority: string): string {
  return authority.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
}

function proxyStatus({ error }: Refusal): string {
  return `culvert-edge; error=${error}`;
}
