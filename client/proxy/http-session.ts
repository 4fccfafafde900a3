/**
 * What one client's HTTP connection keeps between requests: the one connection to the last origin, and
 * whether an exchange is under way. One exchange at a time; a second origin replaces the first.
 */

import type { ClientRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import { assert } from '../../shared/core/base/assert.ts';
import { Agent, request } from '../../shared/node/http.ts';
import type { ClientConnection } from './connection.ts';
import { asDialError } from './failures.ts';
import { maxHttpHeadBytes } from './limits.ts';
import { formatAuthority, type HttpTarget, type Target } from './target.ts';

export interface OriginRequest {
  readonly target: HttpTarget;
  readonly method: string;
  readonly headers: readonly string[];
}

export class HttpSession {
  readonly connection: ClientConnection;
  /** An exchange is under way. */
  isBusy = false;
  /** The client sent a request before it had the answer to the last one: the connection ends after this one. */
  isPipelined = false;
  #agent: Agent | undefined;
  #origin = '';
  /** What the agent uses or keeps. */
  #stream: Duplex | undefined;

  constructor(connection: ClientConnection) {
    this.connection = connection;
    connection.stream.once('close', () => this.#agent?.destroy());
  }

  /** A request to the origin, on its kept connection where there is one. The dialer's errors come as 'error'. */
  requestOrigin(wanted: OriginRequest): ClientRequest {
    const { target, method, headers } = wanted;
    const origin = formatAuthority(target);
    // Words that nobody asked for would be taken for the answer to this request; an end is no answer either.
    const kept = this.#stream;
    const isSpoilt = kept !== undefined && (kept.readableLength > 0 || kept.readableEnded);
    if (origin !== this.#origin || isSpoilt) {
      this.#agent?.destroy();
      this.#agent = this.#newAgent(target);
      this.#origin = origin;
    }
    const outbound = request({
      agent: this.#agent,
      host: target.host,
      port: target.port,
      method,
      path: target.path,
      headers: [...headers],
      setHost: false,
      maxHeaderSize: maxHttpHeadBytes,
    });
    outbound.maxHeadersCount = 0; // Bounded by their bytes; a number would drop the rest in silence.
    return outbound;
  }

  /** Node's client with our dialer below it: no name is looked up, no socket of this machine is opened. */
  #newAgent(target: Target): Agent {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
    agent.createConnection = (_options, deliver) => {
      assert(deliver !== undefined, 'the agent waits for its stream');
      void this.#openFor(target, deliver);
      return undefined;
    };
    return agent;
  }

  async #openFor(target: Target, deliver: (error: Error | null, stream: Duplex) => void): Promise<void> {
    let stream: Duplex;
    try {
      stream = await this.connection.dial(target);
    } catch (error) {
      return deliver(asDialError(error), noStream);
    }
    this.#stream = stream;
    deliver(null, withSocketMethods(stream));
  }
}

/** Node's agent calls these on what it keeps, but only sockets have them. */
function withSocketMethods(stream: Duplex): Duplex {
  for (const name of ['ref', 'unref', 'setKeepAlive', 'setTimeout']) {
    if (!(name in stream)) Object.defineProperty(stream, name, { value: () => stream });
  }
  return stream;
}

/** Beside an error nobody looks at it, but the type asks for one. */
const noStream = undefined as unknown as Duplex;
