/**
 * The DNS stub: UDP and TCP on exact loopback addresses, for the programs of this machine. Knows nothing about
 * names; the pipeline answers. An odd packet costs a packet.
 */

import { createSocket, type RemoteInfo, type Socket, type SocketOptions } from 'node:dgram';
import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { maxMessageSize } from '../../shared/core/dns/types.ts';
import { serveDnsStream } from '../../shared/node/resolver/dns-stream.ts';

/** The answer, or undefined for silence; at once where it is known. Never rejects. `query` may be kept. */
export type AnswerQuery = (
  query: Uint8Array,
  about: AskedHow,
) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

export interface AskedHow {
  readonly overTcp: boolean;
  /** Largest answer that the transport carries; the query's own size is the pipeline's to respect. */
  readonly maxBytes: number;
}

export interface StubPlace {
  readonly address: string;
  readonly port: number;
}

export interface StubOptions {
  readonly answer: AnswerQuery;
  readonly log: Log;
}

/** Questions under way over UDP; more are lost, as a full queue would lose them. */
const maxUnderWay = 4096;
const maxConnections = 256;
/** Loopback carries it in one piece. */
const maxUdpAnswer = 4096;
/** Bytes that a port may owe before answers are dropped. */
const maxOwedBytes = 4 * 1024 * 1024;
const overUdp: AskedHow = { overTcp: false, maxBytes: maxUdpAnswer };
const overStream: AskedHow = { overTcp: true, maxBytes: maxMessageSize };
/** Askers come with numeric addresses: without this every answer would wait for a turn of its own. */
const numericLookup: SocketOptions['lookup'] = (address, _options, found) =>
  found(null, address, address.includes(':') ? 6 : 4);

export class Stub {
  readonly #options: StubOptions;
  #udp: Socket | undefined;
  #tcp: Server | undefined;
  readonly #connections = new Set<TcpSocket>();
  #underWay = 0;
  #place: StubPlace | undefined;

  constructor(options: StubOptions) {
    this.#options = options;
  }

  /** Where it listens, undefined while it does not. */
  get place(): StubPlace | undefined {
    return this.#place;
  }

  /**
   * Listens on the first of `places` that can be had, with both transports. Rejects with the last one's
   * CulvertError where none can.
   */
  async listen(places: readonly StubPlace[]): Promise<StubPlace> {
    let problem: unknown;
    for (const place of places) {
      try {
        this.#udp = await this.#bindUdp(place);
        const { port } = this.#udp.address();
        this.#tcp = await this.#bindTcp({ ...place, port });
        this.#place = { address: place.address, port };
        return this.#place;
      } catch (error) {
        problem = error;
        await this.close();
      }
    }
    throw problem;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const { place } = this;
    this.#place = undefined;
    for (const connection of this.#connections) connection.destroy();
    const udp = this.#udp;
    const tcp = this.#tcp;
    this.#udp = undefined;
    this.#tcp = undefined;
    await Promise.all([
      udp === undefined ? undefined : new Promise<void>((resolve) => udp.close(() => resolve())),
      tcp === undefined ? undefined : new Promise<void>((resolve) => tcp.close(() => resolve())),
    ]);
    if (place !== undefined) this.#options.log.debug('the stub is closed', {});
  }

  #bindUdp(place: StubPlace): Promise<Socket> {
    const type = place.address.includes(':') ? 'udp6' : 'udp4';
    const socket = createSocket({ type, lookup: numericLookup });
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close();
        reject(listenError(error, place));
      });
      socket.bind({ address: place.address, port: place.port, exclusive: true }, () => {
        socket.removeAllListeners('error');
        // Loopback reports askers that left before their answer.
        socket.on('error', () => undefined);
        socket.on('message', (bytes, from) => this.#handle(socket, bytes, from));
        resolve(socket);
      });
    });
  }

  #bindTcp(place: StubPlace): Promise<Server> {
    const { answer } = this.#options;
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    server.maxConnections = maxConnections;
    server.on('connection', (connection) => {
      this.#connections.add(connection);
      connection.once('close', () => this.#connections.delete(connection));
      serveDnsStream(connection, async (query) => answer(query, overStream));
    });
    return new Promise((resolve, reject) => {
      server.once('error', (error) => reject(listenError(error, place)));
      server.listen({ host: place.address, port: place.port, exclusive: true }, () => {
        server.removeAllListeners('error');
        server.on('error', () => undefined); // A connection that could not be accepted.
        resolve(server);
      });
    });
  }

  #handle(socket: Socket, bytes: Uint8Array, from: RemoteInfo): void {
    if (this.#underWay >= maxUnderWay) return;
    const reply = this.#options.answer(bytes, overUdp);
    if (!(reply instanceof Promise)) {
      this.#send(socket, reply, from);
      return;
    }
    void this.#sendLater(socket, reply, from);
  }

  async #sendLater(socket: Socket, reply: Promise<Uint8Array | undefined>, from: RemoteInfo): Promise<void> {
    this.#underWay++;
    const bytes = await reply;
    this.#underWay--;
    this.#send(socket, bytes, from);
  }

  #send(socket: Socket, reply: Uint8Array | undefined, from: RemoteInfo): void {
    if (reply === undefined || this.#udp !== socket) return;
    if (socket.getSendQueueSize() > maxOwedBytes) return;
    // A buffer of Node's pool: sending a small array of its own makes the engine move it first, which costs more.
    const bytes = Buffer.allocUnsafe(reply.length);
    bytes.set(reply);
    // Without a callback: what goes wrong is an 'error' of the socket, and forgotten there.
    socket.send(bytes, from.port, from.address);
  }
}

function listenError(error: NodeJS.ErrnoException, place: StubPlace): CulvertError {
  const where = `${place.address}:${place.port}`;
  if (error.code === 'EADDRINUSE') {
    return new CulvertError('port-in-use', {
      text: `Another program answers DNS on ${where} already.`,
      remedy: 'End it, or choose another place: culvert settings set dns.listen ADDRESS:PORT',
      cause: error,
    });
  }
  if (error.code === 'EACCES') {
    return new CulvertError('no-permission', {
      text: `Port ${place.port} on ${place.address} may not be used by this account.`,
      remedy: 'Run the daemon as root, or choose a port above 1023 with dns.listen.',
      cause: error,
    });
  }
  return new CulvertError('internal', {
    text: `The stub cannot listen on ${where}: ${error.message}`,
    cause: error,
  });
}
