/**
 * The HTTP side of the port (RFC 9110, 9112). Node's own server parses, on connections that are handed
 * to it; it never listens. Tells the four kinds of requests apart: CONNECT, WebSocket, absolute form,
 * and the port's own page.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { breakOff } from '../../shared/node/flows/splice.ts';
import { createServer } from '../../shared/node/http.ts';
import { basicMatches, isSelf } from './access.ts';
import type { ClientConnection } from './connection.ts';
import type { ProxyContext } from './context.ts';
import { answer, forward } from './http-forward.ts';
import { type Answer, encodeAnswer, valuesOf } from './http-head.ts';
import { HttpSession } from './http-session.ts';
import { serveConnect, serveUpgrade, wantsWebSocket } from './http-upgrade.ts';
import { maxHttpHeadBytes } from './limits.ts';
import { answerOwn, ownTarget } from './own-page.ts';
import { type HttpTarget, parseHttpTarget } from './target.ts';

const unauthorized: Answer = {
  status: 407,
  sentence: 'This proxy needs a user name and a password.',
  headers: { 'Proxy-Authenticate': 'Basic realm="culvert", charset="UTF-8"' },
};
const notForUs: Answer = {
  status: 421,
  sentence: 'This is a proxy: requests name their origin, http://host/path, or use CONNECT.',
};
const badTarget: Answer = {
  status: 400,
  sentence: 'The proxy takes http:// targets without a password in them; for https use CONNECT.',
};

export class HttpFront {
  readonly #context: ProxyContext;
  readonly #server: Server;
  /** By stream, as Node's server knows nothing else of a connection. */
  readonly #sessions = new WeakMap<Duplex, HttpSession>();

  constructor(context: ProxyContext) {
    this.#context = context;
    this.#server = createServer({
      maxHeaderSize: maxHttpHeadBytes,
      insecureHTTPParser: false,
      // The connection's own deadlines hold; these would only run on a server that listens.
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
      shouldUpgradeCallback: wantsWebSocket,
    });
    this.#server.maxHeadersCount = 0; // Bounded by their bytes; a number would drop the rest in silence.
    this.#server.on('request', (inbound, response) => this.#handleRequest(inbound, response));
    this.#server.on('checkContinue', (inbound, response) => this.#handleRequest(inbound, response));
    this.#server.on('connect', (inbound, stream, early) => this.#handleConnect(inbound, stream, early));
    this.#server.on('upgrade', (inbound, stream, early) => this.#handleUpgrade(inbound, stream, early));
    this.#server.on('clientError', (error, stream) => this.#handleNonsense(error, stream));
  }

  serve(connection: ClientConnection): void {
    this.#context.counters.accepted.http++;
    this.#sessions.set(connection.stream, new HttpSession(connection));
    connection.release();
    this.#server.emit('connection', connection.stream);
  }

  #handleRequest(inbound: IncomingMessage, response: ServerResponse): void {
    const session = this.#sessions.get(inbound.socket);
    if (session === undefined) return void inbound.socket.destroy();
    if (inbound.socket.writableEnded) return; // Too late: the last answer ended the connection.
    if (session.isBusy) {
      // Refused by ending after the answer under way: the client then sends it again (RFC 9112 §9.3.2).
      session.isPipelined = true;
      inbound.socket.pause();
      return;
    }
    this.#begin(session, response);
    const refusal = this.#refusal(inbound);
    const target = parseHttpTarget(inbound.url ?? '');
    if (inbound.url?.startsWith('/') === true || inbound.url === '*') this.#serveOwn(inbound, response);
    else if (target === undefined) answer(response, badTarget);
    else if (isSelf(target, this.#context.ownPort())) {
      const own = { method: inbound.method ?? '', path: target.path, host: target };
      answer(response, answerOwn(own, this.#context.gate()));
    } else if (refusal !== undefined) answer(response, refusal);
    else forward({ session, target, inbound, response });
  }

  #begin(session: HttpSession, response: ServerResponse): void {
    const { connection } = session;
    session.isBusy = true;
    connection.expectNothing();
    connection.touch();
    response.once('finish', () => {
      session.isBusy = false;
      if (session.isPipelined) connection.leave();
      else if (!connection.stream.destroyed) connection.expectWithin(this.#context.limits.keepAliveMs);
    });
  }

  #serveOwn(inbound: IncomingMessage, response: ServerResponse): void {
    const host = ownTarget(inbound.headers.host, this.#context.ownPort());
    if (host === undefined) return answer(response, notForUs);
    const own = { method: inbound.method ?? '', path: inbound.url ?? '', host };
    answer(response, answerOwn(own, this.#context.gate()));
  }

  #handleConnect(inbound: IncomingMessage, stream: Duplex, early: Buffer): void {
    const connection = this.#takeOver(stream)?.connection;
    if (connection === undefined) return;
    const refusal = this.#refusal(inbound);
    if (refusal !== undefined) return connection.leave(encodeAnswer(refusal));
    serveConnect(connection, inbound, early).catch((error: unknown) => this.#fail(stream, error));
  }

  #handleUpgrade(inbound: IncomingMessage, stream: Duplex, early: Buffer): void {
    const session = this.#takeOver(stream);
    if (session === undefined) return;
    const { connection } = session;
    const target: HttpTarget | undefined = parseHttpTarget(inbound.url ?? '');
    const refusal = target === undefined ? badTarget : this.#refusal(inbound);
    if (target === undefined || refusal !== undefined) {
      return connection.leave(encodeAnswer(refusal ?? badTarget));
    }
    serveUpgrade(session, inbound, target, early);
  }

  /** The session of a stream that Node's server has let go of; undefined where an answer is under way. */
  #takeOver(stream: Duplex): HttpSession | undefined {
    const session = this.#sessions.get(stream);
    if (session === undefined || session.isBusy) {
      stream.destroy();
      return undefined;
    }
    session.connection.expectNothing();
    session.connection.touch();
    return session;
  }

  /** Why this client gets nothing, whatever it asks for. */
  #refusal(inbound: IncomingMessage): Answer | undefined {
    const { credentials, counters } = this.#context;
    if (credentials === undefined) return undefined;
    const [header] = valuesOf(inbound.rawHeaders, 'proxy-authorization');
    if (basicMatches(credentials, header)) return undefined;
    counters.unauthorized++;
    return unauthorized;
  }

  #handleNonsense(error: Error, stream: Duplex): void {
    const session = this.#sessions.get(stream);
    const code = 'code' in error ? String(error.code) : '';
    if (session === undefined || session.isBusy || !code.startsWith('HPE_')) return breakOff(stream);
    session.connection.leaveMalformed(encodeAnswer(nonsenseAnswer(code)));
  }

  #fail(stream: Duplex, error: unknown): void {
    this.#context.log.error('a proxy connection met a bug', { reason: String(error) });
    stream.destroy();
  }
}

function nonsenseAnswer(code: string): Answer {
  if (code === 'HPE_HEADER_OVERFLOW') return { status: 431, sentence: 'The headers are too long.' };
  if (code === 'HPE_INVALID_METHOD') return { status: 501, sentence: 'That method is not known here.' };
  return { status: 400, sentence: 'That is no HTTP request.' };
}
