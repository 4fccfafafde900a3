/**
 * What leaves HTTP: CONNECT (RFC 9110 §9.3.6), and the upgrade of a plain request to WebSocket
 * (RFC 9110 §7.8, RFC 6455). Both end as two joined streams.
 */

import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { breakOff, pump } from '../../shared/node/flows/splice.ts';
import type { ClientConnection } from './connection.ts';
import { asDialError } from './failures.ts';
import { failureAnswer, rejection } from './http-forward.ts';
import { encodeAnswer, encodeHead, endToEnd, outboundHeaders, tokensOf } from './http-head.ts';
import type { HttpSession } from './http-session.ts';
import { type HttpTarget, parseAuthority } from './target.ts';

const upgradeHeaders = ['Connection', 'Upgrade', 'Upgrade', 'websocket'];

/** Only WebSocket is carried over. Other upgrades, h2c above all, are offers that may be overheard. */
export function wantsWebSocket(inbound: IncomingMessage): boolean {
  return inbound.method === 'GET' && tokensOf(inbound.rawHeaders, 'upgrade').includes('websocket');
}

/** `early` are bytes that came behind the head. */
export async function serveConnect(
  connection: ClientConnection,
  inbound: IncomingMessage,
  early: Buffer,
): Promise<void> {
  const target = parseAuthority(inbound.url ?? '');
  if (target === undefined) {
    const sentence = 'CONNECT needs a host and a port.';
    return connection.leaveMalformed(encodeAnswer({ status: 400, sentence }));
  }
  if (early.length > 0) connection.stream.unshift(early);
  try {
    const upstream = await connection.dial(target);
    connection.stream.write(encodeHead(200, 'Connection established', []));
    connection.join(upstream);
  } catch (error) {
    connection.leave(encodeAnswer(failureAnswer(asDialError(error))));
  }
}

/** Asks the origin; what it agrees to is a tunnel from then on, what it says else is passed on. */
export function serveUpgrade(
  session: HttpSession,
  inbound: IncomingMessage,
  target: HttpTarget,
  early: Buffer,
): void {
  const { connection } = session;
  if (early.length > 0) connection.stream.unshift(early);
  let outbound: ClientRequest;
  try {
    const headers = [...outboundHeaders(inbound.rawHeaders, target, 'GET'), ...upgradeHeaders];
    outbound = session.requestOrigin({ target, method: 'GET', headers });
  } catch (error) {
    return connection.leave(encodeAnswer(rejection(error)));
  }
  outbound.once('upgrade', (origin, stream, first) => joinUpgraded(connection, origin, stream, first));
  outbound.once('response', (origin) => relayRefusal(connection, origin));
  outbound.once('error', (error) => connection.leave(encodeAnswer(rejection(error))));
  outbound.end();
}

function joinUpgraded(
  connection: ClientConnection,
  origin: IncomingMessage,
  stream: Duplex,
  first: Buffer,
): void {
  if (first.length > 0) stream.unshift(first);
  const headers = [...endToEnd(origin.rawHeaders), ...upgradeHeaders];
  connection.stream.write(encodeHead(101, origin.statusMessage ?? '', headers));
  connection.join(stream);
}

/** The origin stays with HTTP. Its answer is ended by the end of the connection (RFC 9112 §6.3). */
function relayRefusal(connection: ClientConnection, origin: IncomingMessage): void {
  const headers = [...endToEnd(origin.rawHeaders), 'Connection', 'close'];
  connection.stream.write(encodeHead(origin.statusCode ?? 502, origin.statusMessage ?? '', headers));
  connection.hold();
  origin.once('error', () => breakOff(connection.stream));
  origin.once('close', () => {
    if (!origin.complete) breakOff(connection.stream);
  });
  pump(origin, connection.stream, (bytes) => connection.countDown(bytes));
  connection.stream.resume();
}
