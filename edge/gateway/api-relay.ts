/**
 * The device API inside the tunnel: the gateway, in whatever thread it runs, hands requests on over a unix
 * socket that only this program's user can open, and says from which address in the tunnel they came. That
 * address proves the device: the tunnel lets nobody send from another's (cryptokey routing).
 */

import { chmodSync, rmSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { createServer, request as sendRequest } from '../../shared/node/http.ts';

/** Lower case. Whatever a device writes there itself is thrown away. */
const addressHeader = 'x-culvert-tunnel-address';
/** Of one connection only, or none of the device's business (RFC 9110 §7.6.1). */
const connectionHeaders: readonly string[] = ['connection', 'keep-alive', 'te', 'trailer', 'upgrade', 'host'];
const answerTimeoutMs = 10_000;
/** An answer without an end that says nothing for so long has ended: it says something every half minute. */
const eventIdleMs = 90_000;

export function isForApi(target: string | undefined): boolean {
  return /^\/(?:v1\/|openapi\.json(?:\?|$))/.test(target ?? '');
}

/** `onEvents`: called while an answer without an end comes; it may be silent for that long. */
export type RelayResponse = ServerResponse & { onEvents?: (idleMs: number) => void };

/** Answers 502 where nobody serves the API. */
export function relayToApi(
  socketPath: string,
  address: string,
  request: IncomingMessage,
  response: RelayResponse,
): void {
  const onward = sendRequest({
    socketPath,
    method: request.method ?? 'GET',
    path: request.url ?? '/',
    headers: { ...passable(request.headers), host: 'edge.culvert', [addressHeader]: address },
    agent: false,
    timeout: answerTimeoutMs,
  });
  onward.on('timeout', () => onward.destroy(new Error('no answer in time')));
  onward.on('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { 'content-length': 0, connection: 'close' }).end();
  });
  onward.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, passable(answer.headers));
    if (answer.headers['content-type'] === 'text/event-stream') {
      onward.setTimeout(eventIdleMs);
      response.flushHeaders();
      response.onEvents?.(eventIdleMs);
      answer.on('data', () => response.onEvents?.(eventIdleMs));
    }
    answer.pipe(response);
  });
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}

function passable(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const entries = Object.entries(headers).filter(
    ([name]) => !connectionHeaders.includes(name) && name !== addressHeader,
  );
  return Object.fromEntries(entries);
}

/** The other end: tells the API which device a connection is from. */
export class ApiRelay {
  readonly #idAt: (address: string) => string | undefined;
  readonly #devices = new WeakMap<Duplex, string>();

  /** `idAt`: the id of the device that has an address now. */
  constructor(idAt: (address: string) => string | undefined) {
    this.#idAt = idAt;
  }

  deviceOf(connection: Duplex): string | undefined {
    return this.#devices.get(connection);
  }

  /** Replaces a socket that an ended edge left. Returns what ends it. */
  async serve(path: string, handler: RequestListener): Promise<() => Promise<void>> {
    const server = createServer((request, response) => {
      const address = request.headers[addressHeader];
      delete request.headers[addressHeader];
      const id = typeof address === 'string' ? this.#idAt(address) : undefined;
      if (id === undefined) this.#devices.delete(request.socket);
      else this.#devices.set(request.socket, id);
      handler(request, response);
    });
    rmSync(path, { force: true });
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(path, resolve);
      });
    } finally {
      process.umask(mask);
    }
    chmodSync(path, 0o600);
    return () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
  }
}
