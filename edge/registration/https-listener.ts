/**
 * The HTTPS ports of an edge: TLS 1.3, HTTP/1.1 and HTTP/2, limits against slow and many connections, and problem+json
 * also for what is no HTTP at all. Who answers requests is given.
 */

import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type ProblemCode, problemOf, problemType } from '../../shared/core/registration/problem.ts';
import { STATUS_CODES } from '../../shared/node/http.ts';
import { proofProtocol } from '../acme/proofs.ts';
import { answerUdpUpgrade, asksForUdp } from '../transport/udp-requests.ts';
import type { UdpStreams } from '../transport/udp-streams.ts';
import type { EdgeCertificate } from './certificate.ts';
import { Http2Side, http2Protocol } from './http2-side.ts';
import { sourceOf } from './rate-limits.ts';

export interface HttpsParts {
  readonly handler: RequestListener;
  readonly certificate: EdgeCertificate;
  /** Certificates for an authority that looks whether we have a name, asked for by the protocol acme-tls/1. */
  readonly proofFor?: (name: string) => SecureContext | undefined;
  /** Carries the tunnel's datagrams for those who ask; absent: nobody's. */
  readonly udpStreams?: UdpStreams;
  /** 0 takes any free one. */
  readonly ports: readonly number[];
  /** Default: all addresses of both families. */
  readonly host?: string;
  readonly log: Log;
}

export interface HttpsListener {
  /** Those that could be had. */
  readonly ports: readonly number[];
  /** For new connections. */
  useCertificate(certificate: EdgeCertificate): void;
  close(): Promise<void>;
}

const headersTimeoutMs = 10_000;
const requestTimeoutMs = 20_000;
const idleTimeoutMs = 60_000;
const tlsTimeoutMs = 10_000;
const maxHeaderBytes = 8 * 1024;
const maxHeaders = 64;
const maxConnections = 2048;
const maxConnectionsPerSource = 128;

/** Opens every port it can and warns of the others. Throws 'port-in-use' where it can open none of those asked for. */
export async function listenHttps(parts: HttpsParts): Promise<HttpsListener> {
  const servers: Server[] = [];
  const http2 = new Http2Side({
    ...parts,
    maxHeaderBytes,
    maxHeaders,
    idleTimeoutMs,
    requestTimeoutMs,
  });
  let failure: unknown;
  for (const port of parts.ports) {
    try {
      servers.push(await listen(parts, http2, port));
    } catch (cause) {
      failure = cause;
      parts.log.warn('an HTTPS port is not served', { port, why: whyNot(cause) });
    }
  }
  if (servers.length === 0 && parts.ports.length > 0) {
    throw new CulvertError('port-in-use', {
      text: `No HTTPS port could be opened: ${whyNot(failure)}.`,
      remedy: 'Name others in listen.https of edge.yaml.',
      cause: failure,
    });
  }
  return {
    ports: servers.map((server) => (server.address() as AddressInfo).port),
    useCertificate: ({ key, certificate }) => {
      for (const server of servers)
        server.setSecureContext({ key, cert: certificate, minVersion: 'TLSv1.3' });
    },
    close: async () => {
      parts.udpStreams?.close();
      http2.close();
      await Promise.all(servers.map(close));
    },
  };
}

async function listen(parts: HttpsParts, http2: Http2Side, port: number): Promise<Server> {
  const server = createServer({
    key: parts.certificate.key,
    cert: parts.certificate.certificate,
    minVersion: 'TLSv1.3',
    ALPNCallback: chooseProtocol(parts.proofFor),
    handshakeTimeout: tlsTimeoutMs,
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: idleTimeoutMs,
    connectionsCheckingInterval: headersTimeoutMs / 2,
    // All others are answered as if they had not asked (RFC 9110 §7.8).
    shouldUpgradeCallback: (request: IncomingMessage) =>
      parts.udpStreams !== undefined && asksForUdp(request.headers),
  });
  server.maxConnections = maxConnections;
  server.maxHeadersCount = maxHeaders;
  limitSources(server);
  shareByProtocol(server, http2);
  server.on('request', parts.handler);
  server.on('upgrade', (request, socket: Duplex, head) => {
    if (parts.udpStreams === undefined) return refuse(socket, 'method-not-allowed');
    void answerUdpUpgrade(parts.udpStreams, request, { socket, head }, (code, headers) =>
      refuse(socket, code, headers),
    );
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuse(socket, problemOfFault(error)));
  server.on('connect', (_request, socket: Duplex) => refuse(socket, 'method-not-allowed'));
  server.on('checkExpectation', (_request, response) => {
    const problem = problemOf('expectation-failed');
    response.writeHead(problem.status, { 'content-type': problemType, connection: 'close' });
    response.end(JSON.stringify(problem));
  });
  server.listen(port, parts.host);
  await once(server, 'listening');
  return server;
}

/** What Node's server does with connections is HTTP/1.1, with all of its limits; others are not for it. */
function shareByProtocol(server: Server, http2: Http2Side): void {
  const asHttp1 = server.listeners('secureConnection');
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket) => {
    // Whoever looked has seen our certificate: there is nothing to say.
    if (socket.alpnProtocol === proofProtocol) socket.destroy();
    else if (socket.alpnProtocol === http2Protocol) http2.take(socket);
    else for (const listener of asHttp1) listener.call(server, socket);
  });
}

/** Called in the handshake, with the connection as `this`. */
function chooseProtocol(
  proofFor: HttpsParts['proofFor'],
): (this: TLSSocket, hello: { servername: string; protocols: string[] }) => string | undefined {
  return function choose({ servername, protocols }) {
    const context = protocols.includes(proofProtocol) ? proofFor?.(servername) : undefined;
    if (context === undefined) return [http2Protocol, 'http/1.1'].find((one) => protocols.includes(one));
    this.setKeyCert(context);
    return proofProtocol;
  };
}

/** One source cannot take all connections there are. */
function limitSources(server: Server): void {
  const counts = new Map<string, number>();
  server.on('connection', (socket) => {
    const source = sourceOf((socket as Socket).remoteAddress);
    const count = (counts.get(source) ?? 0) + 1;
    if (count > maxConnectionsPerSource) {
      socket.destroy();
      return;
    }
    counts.set(source, count);
    socket.once('close', () => {
      const left = (counts.get(source) ?? 1) - 1;
      if (left === 0) counts.delete(source);
      else counts.set(source, left);
    });
  });
}

function problemOfFault(error: NodeJS.ErrnoException): ProblemCode {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'headers-too-large';
  return error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'timeout' : 'bad-request';
}

/** By hand: there is no request to answer. */
function refuse(socket: Duplex, code: ProblemCode, headers: readonly string[] = []): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const problem = problemOf(code);
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    `content-type: ${problemType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...headers,
  ];
  socket.on('error', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** With the capability that is missing, where one is. */
function whyNot(cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'EACCES') return 'ports below 1024 need CAP_NET_BIND_SERVICE';
  if (code === 'EADDRINUSE') return 'another program has it';
  return reasonOf(cause);
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
