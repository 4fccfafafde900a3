/**
 * The HTTPS ports of an edge: TLS 1.3, limits against slow and many connections, and problem+json also for
 * what is no HTTP at all. Who answers requests is given.
 */

import { once } from 'node:events';
import { type RequestListener, STATUS_CODES } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type ProblemCode, problemOf, problemType } from '../../shared/core/registration/problem.ts';
import type { EdgeCertificate } from './certificate.ts';
import { sourceOf } from './rate-limits.ts';

export interface HttpsParts {
  readonly handler: RequestListener;
  readonly certificate: EdgeCertificate;
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
  let failure: unknown;
  for (const port of parts.ports) {
    try {
      servers.push(await listen(parts, port));
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
      await Promise.all(servers.map(close));
    },
  };
}

async function listen(parts: HttpsParts, port: number): Promise<Server> {
  const server = createServer({
    key: parts.certificate.key,
    cert: parts.certificate.certificate,
    minVersion: 'TLSv1.3',
    handshakeTimeout: tlsTimeoutMs,
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: idleTimeoutMs,
    connectionsCheckingInterval: headersTimeoutMs / 2,
  });
  server.maxConnections = maxConnections;
  server.maxHeadersCount = maxHeaders;
  limitSources(server);
  server.on('request', parts.handler);
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
function refuse(socket: Duplex, code: ProblemCode): void {
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
