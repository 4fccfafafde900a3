/**
 * The gateway's web server. Serves connections that it is handed, from the userspace stack or from a socket
 * on the tunnel's interface; opens no port itself. What to answer is decided by pages.ts.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { createServer } from '../../shared/node/http.ts';
import type { CarriedBy } from '../transport/carried-by.ts';
import { isForApi, relayToApi } from './api-relay.ts';
import type { ExitOf } from './exit-address.ts';
import { asksForTrace, challengeHeader, gatewayPage, type TraceFacts } from './pages.ts';
import { pourZeros, speedBytes } from './speed.ts';

export interface GatewayHttpParts {
  readonly edgeName: () => string;
  /** The device that has the address, asked for each request. */
  readonly deviceOf: (address: string) => string | undefined;
  /** Where the flows of a device go unless a rule says otherwise; absent: directly. */
  readonly pathOf?: (device: string | undefined) => string;
  /** What carries the tunnel of the device at an address; absent: UDP. */
  readonly carriedBy?: CarriedBy;
  /** By which address a path leaves; absent: nobody knows. */
  readonly exitOf?: ExitOf;
  readonly unixNow: () => UnixMs;
  readonly apiSocket?: string | undefined;
}

/** Connections at a time; further ones are closed at once. */
const maxConnections = 1024;
/** A connection without a whole request for this long is closed. */
const idleMs = 15_000;
const maxHeaderBytes = 8 * 1024;
const maxRequestsPerConnection = 1000;

export class GatewayHttp {
  readonly #parts: GatewayHttpParts;
  readonly #server: Server;
  /** Address of each asker and its time limit. */
  readonly #open: Map<Duplex, { readonly address: string; timer: NodeJS.Timeout }> = new Map();

  constructor(parts: GatewayHttpParts) {
    this.#parts = parts;
    this.#server = createServer(
      { maxHeaderSize: maxHeaderBytes, requireHostHeader: false, insecureHTTPParser: false },
      (request, response) => this.#answer(request, response),
    );
    this.#server.maxRequestsPerSocket = maxRequestsPerConnection;
    // Whoever has said all he wants to say is still answered: some answers take a moment.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    this.#server.on('clientError', (_cause, stream) => stream.destroy());
    // Nobody here speaks another protocol, and whoever asks to change gets his connection closed.
    this.#server.on('upgrade', (_request, stream) => stream.destroy());
    this.#server.on('connect', (_request, stream) => stream.destroy());
  }

  /** `address`: of the asker. The stream is ours from here on. */
  serve(stream: Duplex, address: string): void {
    if (this.#open.size >= maxConnections) {
      stream.destroy();
      return;
    }
    this.#open.set(stream, { address, timer: this.#limit(stream) });
    stream.once('close', () => {
      clearTimeout(this.#open.get(stream)?.timer);
      this.#open.delete(stream);
    });
    stream.on('error', () => undefined); // The asker is gone; 'close' follows.
    this.#server.emit('connection', stream);
  }

  /** Ends the connections of those askers. */
  cut(addresses: ReadonlySet<string>): void {
    for (const [stream, { address }] of this.#open) if (addresses.has(address)) stream.destroy();
  }

  close(): void {
    for (const stream of this.#open.keys()) stream.destroy();
  }

  #limit(stream: Duplex, forMs: number = idleMs): NodeJS.Timeout {
    const timer = setTimeout(() => stream.destroy(), forMs);
    return timer.unref();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const stream: Duplex = request.socket;
    const asker = this.#open.get(stream);
    if (asker === undefined) return;
    clearTimeout(asker.timer);
    asker.timer = this.#limit(stream);
    const bytes = speedBytes(request.method, request.url);
    if (bytes !== undefined) {
      pourZeros(response, bytes, () => asker.timer.refresh());
      request.resume();
      return;
    }
    const { apiSocket } = this.#parts;
    if (apiSocket !== undefined && isForApi(request.url)) {
      const onEvents = (idleForMs: number): void => {
        clearTimeout(asker.timer);
        asker.timer = this.#limit(stream, idleForMs);
      };
      relayToApi(apiSocket, asker.address, request, Object.assign(response, { onEvents }));
      return;
    }
    const facts = this.#facts(asker.address);
    if (asksForTrace(request.url)) void this.#trace(request, response, facts);
    else this.#show(request, response, facts);
  }

  async #trace(request: IncomingMessage, response: ServerResponse, facts: TraceFacts): Promise<void> {
    const { carriedBy, exitOf } = this.#parts;
    const [transport = facts.transport, exit] = await Promise.all([
      carriedBy?.(facts.ip).catch(() => undefined),
      exitOf?.(facts.path).catch(() => undefined),
    ]);
    this.#show(request, response, { ...facts, transport, exit });
  }

  #show(request: IncomingMessage, response: ServerResponse, facts: TraceFacts): void {
    const challenge = request.headers[challengeHeader];
    const page = gatewayPage(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        challenge: typeof challenge === 'string' ? challenge : undefined,
      },
      facts,
    );
    // A body that nobody reads would keep the connection for the next request.
    if (request.headers['content-length'] ?? request.headers['transfer-encoding']) {
      response.setHeader('connection', 'close');
    }
    response.writeHead(page.status, page.headers);
    response.end(page.body);
    request.resume();
  }

  #facts(address: string): TraceFacts {
    const { edgeName, deviceOf, pathOf, unixNow } = this.#parts;
    const device = deviceOf(address);
    return {
      device,
      edge: edgeName(),
      path: pathOf?.(device) ?? 'direct',
      transport: 'udp',
      ip: address,
      now: unixNow(),
    };
  }
}
