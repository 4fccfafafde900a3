// DNS servers on loopback for tests: DoT, DoH, plain TCP and UDP, doing what the test says.
import { createSocket } from 'node:dgram';
import { createSecureServer, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { readU16BE } from '../../shared/core/base/bytes.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { writeAddressAnswer } from '../../shared/core/dns/writer.ts';
import type { TestCertificate } from './test-ca.ts';

export type ServerKind = 'dot' | 'doh' | 'tcp';

/** What a server does with a query: bytes are the answer, undefined is silence, 'close' ends the connection. */
export type Behaviour = (
  query: Uint8Array,
  nth: number,
) => Uint8Array | 'close' | undefined | Promise<Uint8Array | 'close' | undefined>;

export interface TestServer {
  readonly port: number;
  /** Queries that came, oldest first. */
  readonly queries: Uint8Array[];
  behaviour: Behaviour;
  /** Connections now. */
  readonly connections: ReadonlySet<Socket>;
  /** All connections that there were. */
  accepted: number;
  readonly sessions: ReadonlySet<Http2Session>;
  /** Closes every connection as a server does that was idle for too long. */
  closeConnections(): void;
  /** Resolves when no connection is left. */
  allClosed(): Promise<void>;
  stop(): Promise<void>;
}

/** 192.0.2.1 for every name. */
export function answerAll(query: Uint8Array): Uint8Array {
  const message = readMessage(query);
  if (message === undefined) throw new Error('no query');
  return writeAddressAnswer(message, [Uint8Array.of(192, 0, 2, 1)], 300);
}

export async function startServer(
  kind: ServerKind,
  certificate: TestCertificate,
  port = 0,
): Promise<TestServer> {
  const connections = new Set<Socket>();
  const sessions = new Set<Http2Session>();
  const watchers = new Set<() => void>();
  const server: TestServer & { port: number } = {
    port,
    queries: [],
    behaviour: answerAll,
    connections,
    accepted: 0,
    sessions,
    closeConnections: () => {
      for (const session of sessions) session.close();
      if (kind !== 'doh') for (const socket of connections) socket.end();
    },
    allClosed: () =>
      new Promise((resolve) => {
        if (connections.size === 0) resolve();
        else watchers.add(resolve);
      }),
    stop: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const session of sessions) session.destroy();
        for (const socket of connections) socket.destroy();
      }),
  };
  const listener =
    kind === 'doh'
      ? createSecureServer({ ...certificate })
      : kind === 'dot'
        ? createTlsServer({ ...certificate, ALPNProtocols: ['dot'] })
        : createTcpServer();
  const opened = (socket: Socket): void => {
    server.accepted++;
    connections.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      connections.delete(socket);
      if (connections.size === 0) for (const watcher of watchers) watcher();
    });
  };
  listener.on('connection', kind === 'tcp' ? (socket: Socket) => serveStream(server, socket) : () => {});
  listener.on('connection', opened);
  listener.on('secureConnection', (socket: Socket) => {
    socket.on('error', () => {});
    if (kind === 'dot') serveStream(server, socket);
  });
  listener.on('session', (session: Http2Session) => {
    sessions.add(session);
    session.on('error', () => {});
    session.once('close', () => sessions.delete(session));
  });
  listener.on('stream', (stream: ServerHttp2Stream) => serveHttp(server, stream));
  listener.on('tlsClientError', () => {});
  listener.on('sessionError', () => {});
  await new Promise<void>((resolve) => listener.listen(port, '127.0.0.1', resolve));
  const address = listener.address();
  server.port = typeof address === 'object' && address !== null ? address.port : port;
  return server;
}

function serveStream(server: TestServer, socket: Socket): void {
  let partial = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    partial = Buffer.concat([partial, chunk]);
    while (partial.length >= 2 && partial.length >= 2 + readU16BE(partial, 0)) {
      const end = 2 + readU16BE(partial, 0);
      const query = Uint8Array.from(partial.subarray(2, end));
      partial = partial.subarray(end);
      server.queries.push(query);
      void answerStream(server, socket, query);
    }
  });
}

async function answerStream(server: TestServer, socket: Socket, query: Uint8Array): Promise<void> {
  const answer = await server.behaviour(query, server.queries.length);
  if (answer === 'close') socket.destroy();
  else if (answer !== undefined && !socket.destroyed) socket.write(framed(answer));
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(2 + message.length);
  frame.writeUInt16BE(message.length);
  frame.set(message, 2);
  return frame;
}

function serveHttp(server: TestServer, stream: ServerHttp2Stream): void {
  const chunks: Buffer[] = [];
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    const query = Uint8Array.from(Buffer.concat(chunks));
    server.queries.push(query);
    void answerHttp(server, stream, query);
  });
}

async function answerHttp(server: TestServer, stream: ServerHttp2Stream, query: Uint8Array): Promise<void> {
  const answer = await server.behaviour(query, server.queries.length);
  if (answer === 'close') stream.session?.destroy();
  else if (answer !== undefined && !stream.destroyed) {
    stream.respond({ ':status': 200, 'content-type': 'application/dns-message' });
    stream.end(answer);
  }
}

export interface FrozenRelay {
  readonly port: number;
  /** What goes through the connections of now is lost from here on; new ones work. */
  freeze(): void;
  stop(): Promise<void>;
}

/** TCP in between that can lose connections as a sleeping laptop or a NAT does: without a word. */
export async function startRelay(to: number): Promise<FrozenRelay> {
  const pairs = new Set<{ frozen: boolean; sockets: readonly Socket[] }>();
  const listener = createTcpServer((client) => {
    const server = connect(to, '127.0.0.1');
    const pair = { frozen: false, sockets: [client, server] };
    pairs.add(pair);
    for (const [from, into] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('error', () => {});
      from.on('data', (chunk) => pair.frozen || into.write(chunk));
      from.on('close', () => pair.frozen || into.destroy());
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    freeze: () => {
      for (const pair of pairs) pair.frozen = true;
    },
    stop: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const { sockets } of pairs) for (const socket of sockets) socket.destroy();
      }),
  };
}

export interface TestUdpServer {
  readonly port: number;
  readonly queries: Uint8Array[];
  behaviour: (query: Uint8Array, nth: number) => readonly Uint8Array[];
  stop(): Promise<void>;
}

export async function startUdpServer(port = 0): Promise<TestUdpServer> {
  const socket = createSocket('udp4');
  const server: TestUdpServer & { port: number } = {
    port,
    queries: [],
    behaviour: (query) => [answerAll(query)],
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  };
  socket.on('message', (bytes, from) => {
    const query = Uint8Array.from(bytes);
    server.queries.push(query);
    for (const answer of server.behaviour(query, server.queries.length)) {
      socket.send(answer, from.port, from.address);
    }
  });
  await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve));
  server.port = socket.address().port;
  return server;
}
