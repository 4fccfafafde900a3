/**
 * HTTP/2 on the HTTPS ports: the same answers as over HTTP/1.1, and streams of datagrams by extended CONNECT (RFC 8441).
 * Listens nowhere: connections are given to it. Bounded against the ways in which HTTP/2 costs more than it looks.
 */

import type { RequestListener } from 'node:http';
import {
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Log } from '../../shared/core/base/ports.ts';
import { problemOf, problemType } from '../../shared/core/registration/problem.ts';
import { answerUdpConnect } from '../transport/udp-requests.ts';
import type { UdpStreams } from '../transport/udp-streams.ts';

export interface Http2Parts {
  readonly handler: RequestListener;
  readonly udpStreams?: UdpStreams;
  readonly maxHeaderBytes: number;
  readonly maxHeaders: number;
  /** Of a connection on which nothing moves. */
  readonly idleTimeoutMs: number;
  /** Of a request whose body does not come. */
  readonly requestTimeoutMs: number;
  readonly log: Log;
}

export const http2Protocol = 'h2';

const maxStreams = 32;
/** Of one connection, in MB: what is sent and not yet taken, headers included. */
const maxSessionMemory = 8;
const maxOutstandingPings = 4;
const maxSettings = 16;
/** Frames that make no sense, and streams beyond the limit: more end the connection. */
const maxBadFrames = 32;
/** Streams that the other side may open and cancel: so many at once, and a second. */
const resetBurst = 64;
const resetsPerSecond = 8;
/** Datagrams must not wait for permission to be sent: a megabyte is a fifth of a second at 40 Mbit/s. */
const windowBytes = 1024 * 1024;

export class Http2Side {
  readonly #parts: Http2Parts;
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(parts: Http2Parts) {
    this.#parts = parts;
    this.#server = createServer({
      maxSessionMemory,
      maxOutstandingPings,
      maxSettings,
      maxHeaderListPairs: parts.maxHeaders,
      maxSessionInvalidFrames: maxBadFrames,
      maxSessionRejectedStreams: maxBadFrames,
      streamResetBurst: resetBurst,
      streamResetRate: resetsPerSecond,
      settings: {
        enableConnectProtocol: parts.udpStreams !== undefined,
        enablePush: false,
        initialWindowSize: windowBytes,
        maxConcurrentStreams: maxStreams,
        maxHeaderListSize: parts.maxHeaderBytes,
      },
    });
    this.#server.on('session', (session) => this.#watch(session));
    this.#server.on('request', (request, response) => this.#answer(request, response));
    this.#server.on('connect', (request, response) => this.#connect(request, response));
    this.#server.on('checkExpectation', (_request, response) => refuse(response, 'expectation-failed'));
  }

  /** A connection whose other side chose HTTP/2. */
  take(socket: TLSSocket): void {
    this.#server.emit('connection', socket);
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
  }

  #watch(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.setLocalWindowSize(windowBytes * 2);
    session.setTimeout(this.#parts.idleTimeoutMs, () => session.destroy());
    session.on('error', (error) =>
      this.#parts.log.debug('a connection of HTTP/2 failed', { why: error.message }),
    );
    session.once('close', () => this.#sessions.delete(session));
  }

  /** The other end of Node's HTTP/1.1, as far as the API needs it. */
  #answer(request: Http2ServerRequest, response: Http2ServerResponse): void {
    request.setTimeout(this.#parts.requestTimeoutMs, () => {
      // An answer without an end is no request that does not come.
      if (!request.complete) request.stream.close();
    });
    this.#parts.handler(request as never, response as never);
  }

  #connect(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const { udpStreams } = this.#parts;
    const socket = request.stream.session?.socket;
    if (udpStreams === undefined || socket === undefined || request.headers[':protocol'] === undefined) {
      refuse(response, 'method-not-allowed');
      return;
    }
    void answerUdpConnect(udpStreams, request.stream, request.headers, socket as TLSSocket);
  }
}

function refuse(response: Http2ServerResponse, code: 'method-not-allowed' | 'expectation-failed'): void {
  const problem = problemOf(code);
  response.writeHead(problem.status, { 'content-type': problemType });
  response.end(JSON.stringify(problem));
}
