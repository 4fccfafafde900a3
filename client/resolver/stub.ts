/**
 * The DNS stub: UDP and TCP on exact loopback addresses, for the programs of this machine. Knows nothing about
 * names; the pipeline answers. An odd packet costs a packet.
 */

import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import type { Log } from '../../shared/core/base/ports.ts';
import type { Span } from '../../shared/core/base/span.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { maxMessageSize } from '../../shared/core/dns/types.ts';
import { serveDnsStream } from '../../shared/node/resolver/dns-stream.ts';
import { openReplyPort } from '../../shared/node/udp/open-reply.ts';
import { maxReplyBytes, type ReplyPort } from '../../shared/node/udp/reply-port.ts';

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

/** Over UDP, before `answer` is asked: what is known needs no promise and no array. */
export interface AtOnce {
  /** Questions follow: the moment to look at a clock. */
  beginRound(): void;
  /** As answerAtOnce of ReplyHandler (shared/node/udp/reply-port.ts). */
  answer(question: Span, answer: Span): boolean;
}

export interface StubOptions {
  readonly answer: AnswerQuery;
  readonly atOnce?: AtOnce;
  readonly log: Log;
}

const maxConnections = 256;
/** Loopback carries it in one piece. */
const overUdp: AskedHow = { overTcp: false, maxBytes: maxReplyBytes };
const overStream: AskedHow = { overTcp: true, maxBytes: maxMessageSize };

export class Stub {
  readonly #options: StubOptions;
  #udp: ReplyPort | undefined;
  #tcp: Server | undefined;
  readonly #connections = new Set<TcpSocket>();
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
        const { port } = this.#udp;
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
      udp?.close(),
      tcp === undefined ? undefined : new Promise<void>((resolve) => tcp.close(() => resolve())),
    ]);
    if (place !== undefined) this.#options.log.debug('the stub is closed', {});
  }

  async #bindUdp(place: StubPlace): Promise<ReplyPort> {
    const { answer, atOnce } = this.#options;
    const handler = { answer: (query: Uint8Array) => answer(query, overUdp) };
    const quick =
      atOnce === undefined
        ? {}
        : {
            beginRound: () => atOnce.beginRound(),
            answerAtOnce: (question: Span, to: Span) => atOnce.answer(question, to),
          };
    try {
      return await openReplyPort(place, { ...handler, ...quick });
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, place);
    }
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
