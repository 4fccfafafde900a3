// The Internet's resolvers in a namespace of a test: DoH on 443, DoT on 853 and plain DNS on 53, on every address there.
// Each transport answers with an address of its own, so that an answer tells how it came. Words: CERTIFICATE KEY.
// Lines of JSON on standard input tell it what to do; each is answered by one line. It ends where its input ends.
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createSecureServer, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { createServer as createTlsServer } from 'node:tls';
import { encodeName } from '../../../shared/core/dns/name.ts';
import { type DnsMessage, readMessage } from '../../../shared/core/dns/reader.ts';
import { extendedError, rcode, recordType } from '../../../shared/core/dns/types.ts';
import { fitAnswer, type OwnRecord, writeAnswer } from '../../../shared/core/dns/writer.ts';
import { serveDnsStream } from '../../../shared/node/resolver/dns-stream.ts';

type Way = 'doh' | 'dot' | 'plain';

interface Command {
  /** Closes every connection as a server does that was idle for too long. */
  readonly idleClose?: true;
  readonly stop?: Way;
  readonly start?: Way;
  /** Tells what was asked since the last time. */
  readonly take?: true;
}

const [certFile = '', keyFile = ''] = process.argv.slice(2);
const certificate = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
const lastByte: Readonly<Record<Way, number>> = { doh: 1, dot: 2, plain: 3 };
/** Filtered by 1.1.1.2 and 1.1.1.3, as the real ones say it. */
const filtered: Readonly<Record<string, readonly string[]>> = {
  'malware.example': ['1.1.1.2', '1.1.1.3'],
  'adult.example': ['1.1.1.3'],
};
const ttl = 300;
const bigText = Uint8Array.from([99, ...new TextEncoder().encode('x'.repeat(99))]);

let asked: { way: Way; name: string; type: number; at: string; edns: readonly number[] }[] = [];
const servers = new Map<Way, Server>();
const sockets = new Map<Way, Set<Socket>>([
  ['doh', new Set()],
  ['dot', new Set()],
  ['plain', new Set()],
]);
/** With the address that was asked; the session forgets it when it ends. */
const sessions = new Map<Http2Session, string>();

function answer(bytes: Uint8Array, way: Way, at: string): Uint8Array | undefined {
  const query = readMessage(bytes);
  const { question } = query ?? {};
  if (query === undefined || question === undefined) return undefined;
  const name = question.name.toLowerCase();
  const edns = query.options().map(({ code }) => code);
  asked.push({ way, name, type: question.type, at, edns });
  if (name.startsWith('missing.')) return writeAnswer(query, { rcode: rcode.nxDomain, authority: [soa()] });
  const isFiltered = filtered[name]?.includes(at);
  return writeAnswer(query, {
    rcode: rcode.noError,
    answers: recordsFor(query, name, way, at),
    ...(isFiltered ? { extendedError: { code: extendedError.censored } } : {}),
  });
}

function recordsFor(query: DnsMessage, name: string, way: Way, at: string): readonly OwnRecord[] {
  const type = query.question?.type ?? 0;
  const address = (...rdata: number[]): OwnRecord => ({
    type: recordType.a,
    ttl,
    rdata: Uint8Array.from(rdata),
  });
  if (name === 'big.example' && type === recordType.txt) {
    return Array.from({ length: 30 }, (_, i) => ({ type, ttl, rdata: bigText.with(1, 65 + i) }));
  }
  if (name === 'alias.example' && type === recordType.a) {
    const target = encodeName('tracker.example') ?? new Uint8Array(1);
    return [
      { type: recordType.cname, ttl, rdata: target },
      { ...address(198, 51, 100, 99), name: target },
    ];
  }
  if (name === '_dns.resolver.arpa' && type === recordType.svcb) {
    const path = new TextEncoder().encode('/dns-query{?dns}');
    // Priority 1, the name itself, alpn h2, dohpath.
    const rdata = [0, 1, 0, 0, 1, 0, 3, 2, 104, 50, 0, 7, 0, path.length, ...path];
    return [{ type, ttl, rdata: Uint8Array.from(rdata) }];
  }
  if (type !== recordType.a) return [];
  if (filtered[name]?.includes(at)) return [address(0, 0, 0, 0)];
  // Where a test's edge is.
  if (name === 'edge.example') return [address(192, 0, 2, 1)];
  if (name === 'inside.example') return [address(192, 168, 1, 1)];
  return [address(198, 51, 100, lastByte[way])];
}

function soa(): OwnRecord {
  const name = encodeName('example') ?? new Uint8Array(1);
  const numbers = new Uint8Array(20);
  numbers.set([0, 0, 0, 60], 16);
  return { name, type: 6, ttl: 60, rdata: Uint8Array.from([...name, ...name, ...numbers]) };
}

function start(way: Way): Promise<void> {
  const server = newServer(way);
  const open = sockets.get(way) ?? new Set();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => open.delete(socket));
  });
  servers.set(way, server);
  const port = { doh: 443, dot: 853, plain: 53 }[way];
  return new Promise((resolve) => server.listen(port, '0.0.0.0', () => resolve()));
}

function newServer(way: Way): Server {
  if (way === 'plain') return createTcpServer((socket) => serveStream(socket, way));
  if (way === 'dot') {
    const server = createTlsServer({ ...certificate, ALPNProtocols: ['dot'] }, (socket) => {
      socket.on('error', () => undefined);
      serveStream(socket, way);
    });
    return server.on('tlsClientError', () => undefined);
  }
  const server = createSecureServer(certificate);
  server.on('session', (session) => {
    sessions.set(session, session.socket.localAddress ?? '');
    session.on('error', () => undefined);
    session.once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream) => serveHttp(stream, sessions.get(stream.session as Http2Session) ?? ''));
  server.on('sessionError', () => undefined);
  return server as unknown as Server;
}

function serveStream(socket: Socket, way: Way): void {
  const at = socket.localAddress ?? '';
  serveDnsStream(socket, (query) => Promise.resolve(answer(query, way, at)));
}

function serveHttp(stream: ServerHttp2Stream, at: string): void {
  const chunks: Buffer[] = [];
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    const reply = answer(Uint8Array.from(Buffer.concat(chunks)), 'doh', at);
    if (stream.destroyed) return;
    stream.respond({ ':status': reply === undefined ? 400 : 200, 'content-type': 'application/dns-message' });
    stream.end(reply);
  });
}

function stop(way: Way): Promise<void> {
  const server = servers.get(way);
  return new Promise((resolve) => {
    server?.close(() => resolve());
    if (way === 'doh') for (const session of sessions.keys()) session.destroy();
    for (const socket of sockets.get(way) ?? []) socket.destroy();
  });
}

function idleClose(): void {
  for (const session of sessions.keys()) session.close();
  for (const socket of sockets.get('dot') ?? []) socket.end();
}

/** One socket an address: an answer from another address is no answer. */
for (const address of ['192.0.2.1', '203.0.113.53']) {
  const udp = createSocket('udp4');
  udp.on('message', (bytes, from) => {
    const reply = answer(bytes, 'plain', address);
    const message = reply === undefined ? undefined : readMessage(reply);
    if (message !== undefined) udp.send(fitAnswer(message, 1232), from.port, from.address);
  });
  udp.bind(53, address);
}
for (const way of ['doh', 'dot', 'plain'] as const) await start(way);
process.stdout.write('{"ready":true}\n');

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  if (command.idleClose === true) idleClose();
  if (command.stop !== undefined) await stop(command.stop);
  if (command.start !== undefined) await start(command.start);
  const told = command.take === true ? asked : [];
  if (command.take === true) asked = [];
  process.stdout.write(`${JSON.stringify({ asked: told })}\n`);
}
process.exit(0);
