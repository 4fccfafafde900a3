// What `culvert exec` needs around it: a control socket that tells a status, the real local proxy, and a far end on
// this machine: a web server for every address on port 80, echo on UDP port 7, one resolver inside the tunnel.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Dialer, UdpFlow } from '../../../client/proxy/dialer.ts';
import { ProxyServer } from '../../../client/proxy/server.ts';
import type { Status } from '../../../shared/core/control/status.ts';
import { silentLog } from '../../../shared/node/silent-log.ts';
import { DirectDialer } from '../../support/direct-dialer.ts';

export const farAddress = '203.0.113.5';
export const otherAddress = '203.0.113.6';
export const farAddress6 = '2001:db8::5';
export const knownName = 'known.example';
export const resolver = '10.83.0.1';
export const blobBytes = 50_000_000;
const refusedPort = 9;

export interface ExecWorld {
  readonly socket: string;
  readonly folder: string;
  readonly proxy: ProxyServer;
  /** A web server on this machine's loopback, which the program must not reach. */
  readonly hostPort: number;
  /** What the far end was asked for, `host:port`, in order. */
  readonly dialled: string[];
  /** What the far web server was sent by POST. */
  readonly posted: string[];
  status: Partial<Status>;
  close(): Promise<void>;
}

export async function openExecWorld(): Promise<ExecWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-exec-'));
  chmodSync(folder, 0o755);
  const posted: string[] = [];
  const web = newWeb(posted);
  const names = createSocket('udp4');
  // One for each address, so that an answer tells who gave it.
  const echoes = [farAddress, otherAddress, farAddress6].map((address) => [address, newEcho()] as const);
  names.on('message', (bytes, from) => names.send(answerTo(bytes), from.port, from.address));
  const dialled: string[] = [];
  const ports = new Map<string, number>([
    ['80', await listen(web)],
    ['53', await bind(names)],
  ]);
  for (const [address, echo] of echoes) ports.set(`${address}:7`, await bind(echo));
  const proxy = new ProxyServer({ dialer: farDialer(ports, dialled), log: silentLog });
  await proxy.listen(0);
  proxy.setGate({ kind: 'open' });
  const socket = join(folder, 'control.sock');
  const world: ExecWorld = {
    socket,
    folder,
    proxy,
    hostPort: ports.get('80') ?? 0,
    dialled,
    posted,
    status: connectedStatus(proxy.port),
    close: async () => {
      control.close();
      await proxy.close();
      for (const server of [web, names, ...echoes.map(([, echo]) => echo)]) server.close();
      rmSync(folder, { recursive: true });
    },
  };
  const control = createHttpServer((_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(world.status));
  }).listen(socket);
  await once(control, 'listening');
  chmodSync(socket, 0o666);
  return world;
}

/** As the daemon tells it. */
export function connectedStatus(proxyPort: number): Partial<Status> {
  const status = {
    state: 'connected',
    mode: 'proxy',
    since: '2026-01-01T00:00:00Z',
    addresses: ['10.83.0.2', 'fd7c::2'],
    traffic: { rxBytes: 0, txBytes: 0 },
    health: [],
    version: '0.0.0',
    proxy: { address: `127.0.0.1:${proxyPort}`, resolvers: [resolver] },
  };
  return status as Partial<Status>;
}

/** Where something far lies on this machine: by its place or by its port; what is not known refuses. */
type LocalPort = (host: string, port: number) => number;

function farDialer(ports: ReadonlyMap<string, number>, dialled: string[]): Dialer {
  const direct = new DirectDialer();
  const local: LocalPort = (host, port) =>
    ports.get(`${host}:${port}`) ?? ports.get(String(port)) ?? refusedPort;
  return {
    dialTcp: (request) => {
      const { host, port } = request;
      dialled.push(`${host}:${port}`);
      return direct.dialTcp({ ...request, host: '127.0.0.1', port: local(host, port) });
    },
    openUdp: () => farFlow(direct.openUdp(), local),
  };
}

function farFlow(flow: UdpFlow, local: LocalPort): UdpFlow {
  const asked = new Map<number, { host: string; port: number }>();
  return {
    send: (host, port, bytes) => {
      asked.set(local(host, port), { host, port });
      flow.send('127.0.0.1', local(host, port), bytes);
    },
    onMessage: (listener) =>
      flow.onMessage((message) => {
        const place = asked.get(message.port);
        if (place !== undefined) listener({ ...message, ...place });
      }),
    close: () => flow.close(),
  };
}

function newEcho(): UdpSocket {
  const echo = createSocket('udp4');
  return echo.on('message', (bytes, from) => echo.send(`echo ${bytes.toString()}`, from.port, from.address));
}

function newWeb(posted: string[]): HttpServer {
  return createHttpServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.method === 'POST') posted.push(Buffer.concat(chunks).toString());
      if (request.url === '/blob') response.end(Buffer.alloc(blobBytes, 'culvert '));
      else response.end(`hello ${request.headers.host ?? ''}\n`);
    });
  });
}

/** One A record for `knownName`, nothing for other types, no such name otherwise. */
function answerTo(query: Buffer): Buffer {
  let at = 12;
  const labels: string[] = [];
  while ((query[at] ?? 0) > 0) {
    const size = query[at] ?? 0;
    labels.push(query.toString('latin1', at + 1, at + 1 + size));
    at += size + 1;
  }
  const type = query.readUInt16BE(at + 1);
  const isKnown = labels.join('.').toLowerCase() === knownName;
  const record = isKnown && type === 1;
  const head = Buffer.from([0x81, isKnown ? 0x80 : 0x83, 0, 1, 0, record ? 1 : 0, 0, 0, 0, 0]);
  const address = farAddress.split('.').map(Number);
  const answer = record
    ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, ...address])
    : Buffer.alloc(0);
  return Buffer.concat([query.subarray(0, 2), head, query.subarray(12, at + 5), answer]);
}

async function listen(server: HttpServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function bind(socket: UdpSocket): Promise<number> {
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket.address().port;
}
