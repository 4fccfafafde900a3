/**
 * The local proxy: one loopback port that speaks SOCKS5, SOCKS4a and HTTP, told apart by the first byte
 * (product.md §3). It carries nothing itself: a Dialer does. Fails closed: it begins with the gate
 * closed, and while closed every request is refused in the client's own protocol.
 */

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { breakOff } from '../../shared/node/flows/splice.ts';
import { Waits } from '../../shared/node/flows/wait-queue.ts';
import { type Credentials, isLoopback } from './access.ts';
import { ClientConnection, type ConnectionAddresses } from './connection.ts';
import type { Gate, ProxyContext } from './context.ts';
import { newCounters, type ProxyCounters } from './counters.ts';
import type { Dialer } from './dialer.ts';
import { HttpFront } from './http.ts';
import { defaultLimits, listenBacklog, type ProxyLimits } from './limits.ts';
import { sniff } from './sniff.ts';
import { serveSocks4 } from './socks4.ts';
import { serveSocks5 } from './socks5.ts';

export interface ProxyServerOptions {
  readonly dialer: Dialer;
  readonly log: Log;
  /** Absent: every program on this machine may use the port. */
  readonly credentials?: Credentials;
  /** For tests; what is absent is the default. */
  readonly limits?: Partial<ProxyLimits>;
}

const addresses = ['127.0.0.1', '::1'] as const;
/** Tries to find one number that is free in both families, where the system chooses. */
const maxPortTries = 8;

export class ProxyServer {
  readonly #context: ProxyContext;
  readonly #limits: ProxyLimits;
  readonly #counters: ProxyCounters = newCounters();
  readonly #connections = new Set<ClientConnection>();
  readonly #http: HttpFront;
  #gate: Gate = { kind: 'closed', reason: 'The tunnel is not up yet.' };
  #servers: readonly Server[] = [];
  #port = 0;
  #sweeps = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: ProxyServerOptions) {
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#context = {
      dialer: options.dialer,
      limits: this.#limits,
      credentials: options.credentials,
      counters: this.#counters,
      log: options.log,
      waits: new Waits(),
      gate: () => this.#gate,
      ownPort: () => this.#port,
      sweeps: () => this.#sweeps,
    };
    this.#http = new HttpFront(this.#context);
  }

  /** 0 while not listening. */
  get port(): number {
    return this.#port;
  }

  /** Live: the same object all the time. Borrowed, not to be written. */
  get counters(): Readonly<ProxyCounters> {
    return this.#counters;
  }

  /**
   * Listens on 127.0.0.1 and, where this machine has it, ::1; port 0 takes a free one. Rejects with
   * 'port-in-use', also when only one of the two is taken: another program there could pose as us.
   */
  async listen(port: number): Promise<void> {
    this.#servers = await this.#bind(port, port === 0 ? maxPortTries : 1);
    this.#port = portOf(this.#servers);
  }

  /**
   * Opens or closes. Closing ends all that runs, at once; clients that can still be answered are told
   * `reason`, one sentence for people. Idempotent.
   */
  setGate(gate: Gate): void {
    const carries = this.#gate.kind === 'open' || this.#gate.keeps === true;
    this.#gate = gate;
    if (gate.kind !== 'closed' || gate.keeps === true || !carries) return;
    for (const connection of this.#connections) connection.cut(gate.reason);
  }

  /** Takes a connection over. Public for other ways in than our own port, and for tests. */
  accept(stream: Duplex, addresses: ConnectionAddresses): void {
    const { turnedAway } = this.#counters;
    if (!isLoopback(addresses.peer)) turnedAway.notLocal++;
    else if (this.#connections.size >= this.#limits.maxConnections) turnedAway.full++;
    else return this.#begin(stream, addresses);
    stream.on('error', () => {}); // It is on its way out.
    breakOff(stream);
  }

  /** Ends idle connections. Called by itself every `sweepMs` while there are any. */
  sweep(): void {
    if (this.#connections.size === 0) this.#sweepNoMore();
    this.#sweeps++;
    for (const connection of this.#connections) connection.sweep();
  }

  /** Stops listening and breaks every connection. Idempotent. */
  async close(): Promise<void> {
    this.#sweepNoMore();
    const closed = this.#servers.map((server) => closeServer(server));
    this.#servers = [];
    this.#port = 0;
    for (const connection of this.#connections) connection.cut('The proxy ends.');
    for (const connection of this.#connections) breakOff(connection.stream);
    await Promise.all(closed);
  }

  #begin(stream: Duplex, addresses: ConnectionAddresses): void {
    const connection = new ClientConnection(stream, addresses, this.#context, () => {
      if (this.#connections.delete(connection)) this.#counters.connections--;
    });
    this.#connections.add(connection);
    this.#sweeper ??= setInterval(() => this.sweep(), this.#limits.sweepMs).unref();
    this.#counters.connections++;
    this.#converse(connection).catch((error: unknown) => {
      this.#context.log.error('a proxy connection met a bug', { reason: String(error) });
      breakOff(connection.stream);
    });
  }

  #sweepNoMore(): void {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  async #converse(connection: ClientConnection): Promise<void> {
    const protocol = await connection.read(sniff);
    if (protocol.kind === 'bad') return connection.leaveMalformed();
    if (protocol.kind === 'gone') return connection.leave();
    switch (protocol.value) {
      case 'socks5':
        return serveSocks5(connection, this.#context);
      case 'socks4':
        return serveSocks4(connection, this.#context);
      case 'http':
        return this.#http.serve(connection);
    }
  }

  async #bind(port: number, tries: number): Promise<readonly Server[]> {
    const servers: Server[] = [];
    try {
      for (const address of addresses) {
        const server = await this.#listenOn(address, portOf(servers) || port);
        if (server !== undefined) servers.push(server);
      }
      return servers;
    } catch (error) {
      await Promise.all(servers.map((server) => closeServer(server)));
      if (tries > 1) return this.#bind(port, tries - 1);
      throw error;
    }
  }

  /** Undefined where this machine has no such address. */
  #listenOn(address: string, port: number): Promise<Server | undefined> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.on('connection', (socket) => this.accept(socket, addressesOf(socket)));
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        if (address.includes(':') && (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT')) {
          resolve(undefined);
        } else reject(listenError(error, port));
      });
      server.listen({ host: address, port, backlog: listenBacklog }, () => resolve(server));
    });
  }
}

function addressesOf(socket: Socket): ConnectionAddresses {
  // Undefined where the client is gone already: then no address is right.
  return {
    peer: socket.remoteAddress ?? '',
    get local(): string {
      return socket.localAddress ?? '';
    },
  };
}

function portOf(servers: readonly Server[]): number {
  const address = servers[0]?.address() as AddressInfo | null | undefined;
  return address?.port ?? 0;
}

function listenError(error: NodeJS.ErrnoException, port: number): CulvertError {
  if (error.code === 'EADDRINUSE') {
    return new CulvertError('port-in-use', {
      text: `Port ${port} for the proxy is in use by another program.`,
      remedy: 'Choose another: culvert proxy port N',
      cause: error,
    });
  }
  if (error.code === 'EACCES') {
    const text = `Port ${port} for the proxy may not be used by this account.`;
    return new CulvertError('no-permission', {
      text,
      remedy: 'Choose another: culvert proxy port N',
      cause: error,
    });
  }
  return new CulvertError('internal', { text: `The proxy cannot listen: ${error.message}`, cause: error });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
