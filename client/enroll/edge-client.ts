/**
 * HTTP client of the registration API (core/registration/api.ts), over one pinned connection that is made
 * when it is needed and used again. Answers are checked against the table before anybody sees them; what
 * the edge refuses comes as CulvertError 'edge-refused' with the edge's own words.
 */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { Value } from '@sinclair/typebox/value';
import { CulvertError } from '../../shared/core/control/codes.ts';
import {
  type ApiRoute,
  type DeviceBody,
  type DeviceResult,
  type DeviceRouteName,
  deviceRoutes,
} from '../../shared/core/registration/api.ts';
import {
  isProblemCode,
  type Problem,
  type ProblemCode,
  problemShape,
} from '../../shared/core/registration/problem.ts';
import { request as sendRequest } from '../../shared/node/http.ts';
import { connectAnyPort } from './any-port.ts';
import { type PinnedOptions, unreachableEdge } from './pinned-connection.ts';

export interface EdgeClientOptions extends Omit<PinnedOptions, 'timeoutMs'> {
  /** Opens the API as a device; absent before enrolment. */
  readonly bearer?: string;
  /**
   * The edge's address in a tunnel that all traffic of this machine takes: calls go there, in the open inside
   * the tunnel, which says who we are. The edge's other addresses cannot be reached from in there.
   */
  readonly gateway?: string | undefined;
  /** Further HTTPS ports of the edge, tried where the usual one does not answer. */
  readonly morePorts?: readonly number[];
  /** Of one call, the connection included. Default: ten seconds. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 10_000;
/** Of the pages on the edge's own address in the tunnel. */
const gatewayPort = 80;
const maxReplyBytes = 1024 * 1024;

export class EdgeClient {
  readonly #options: EdgeClientOptions;
  #socket: Socket | undefined;

  constructor(options: EdgeClientOptions) {
    this.#options = options;
  }

  /** One call. Calls of one client follow each other: wait for one before the next. */
  async call<Name extends DeviceRouteName>(
    name: Name,
    ...[body]: DeviceBody<Name> extends undefined ? [] : [DeviceBody<Name>]
  ): Promise<DeviceResult<Name>> {
    const route = deviceRoutes[name] as unknown as ApiRoute<unknown, DeviceResult<Name>>;
    const { status, text } = await this.#exchange(route, body);
    if (status >= 400) throw refusal(status, text);
    if (status !== route.status) throw nonsense(`an answer with status ${status}`);
    if (route.result === undefined) return undefined as DeviceResult<Name>;
    const result = parseJson(text);
    if (!Value.Check(route.result, result)) throw nonsense(`something else to ${route.method} ${route.path}`);
    return result;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #exchange(
    route: ApiRoute<unknown, unknown>,
    body: unknown,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const signal = AbortSignal.timeout(this.#options.timeoutMs ?? defaultTimeoutMs);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const known = this.#usableSocket();
    if (known !== undefined) {
      try {
        return await this.#request(known, route, payload, signal);
      } catch (error) {
        // The edge may have hung up while nothing was said. Every call may be repeated: so the API is made.
        if (!(error instanceof CulvertError) || error.code !== 'edge-unreachable' || signal.aborted)
          throw error;
      }
    }
    return this.#request(await this.#connect(), route, payload, signal);
  }

  async #request(
    socket: Socket,
    route: ApiRoute<unknown, unknown>,
    payload: string | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { host, port } = this.#options;
    try {
      const request = sendRequest({
        // What it connects with is there already, and stays for the next call.
        createConnection: () => socket,
        host,
        port,
        method: route.method,
        path: route.path,
        headers: edgeHeaders(this.#options, payload),
        signal,
      });
      request.end(payload);
      const [response] = (await once(request, 'response', { signal })) as [IncomingMessage];
      const text = await readBounded(response);
      if (response.headers.connection?.toLowerCase() === 'close') this.close();
      return { status: response.statusCode ?? 0, text };
    } catch (cause) {
      this.close();
      if (cause instanceof CulvertError) throw cause;
      const why = signal.aborted
        ? 'no answer in time'
        : cause instanceof Error
          ? cause.message
          : String(cause);
      throw unreachableEdge({ host, port }, why, cause);
    }
  }

  #usableSocket(): Socket | undefined {
    const socket = this.#socket;
    const isUsable = socket !== undefined && !socket.destroyed && socket.writable && !socket.readableEnded;
    return isUsable ? socket : undefined;
  }

  async #connect(): Promise<Socket> {
    this.close();
    const socket = await openEdgeSocket(this.#options);
    this.#socket = socket;
    return socket;
  }
}

/** A connection to the API that nobody uses yet. Throws 'edge-unreachable' or 'edge-impostor'. */
export async function openEdgeSocket(options: EdgeClientOptions): Promise<Socket> {
  const { gateway, timeoutMs = defaultTimeoutMs } = options;
  const socket =
    gateway === undefined
      ? await connectAnyPort({ ...options, timeoutMs }, options.morePorts)
      : connectTcp({ host: gateway, port: gatewayPort });
  // Between calls nobody else listens, and an edge may hang up at any time.
  socket.on('error', () => socket.destroy());
  return socket;
}

/** `payload`: JSON that follows. */
export function edgeHeaders(options: EdgeClientOptions, payload?: string): Record<string, string | number> {
  const { bearer: secret, gateway } = options;
  const bearer = gateway === undefined ? secret : undefined;
  return {
    accept: 'application/json',
    connection: 'keep-alive',
    ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    ...(payload === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
  };
}

/** The edge's own code where the error is its refusal. */
export function problemIn(error: unknown): ProblemCode | undefined {
  if (!(error instanceof CulvertError) || error.code !== 'edge-refused') return undefined;
  const code = (error.cause as Partial<Problem> | undefined)?.code;
  return isProblemCode(code) ? code : undefined;
}

function refusal(status: number, text: string): CulvertError {
  const problem = parseJson(text);
  if (!Value.Check(problemShape, problem)) return nonsense(`an answer with status ${status}`);
  const { title, detail, remedy } = problem;
  const said = detail === undefined || detail === title ? title : `${title} (${detail})`;
  return new CulvertError('edge-refused', { text: clean(said), remedy: clean(remedy), cause: problem });
}

function nonsense(what: string): CulvertError {
  return new CulvertError('edge-refused', {
    text: `The edge answered ${what}, which makes no sense here.`,
    remedy: 'Use versions of culvert and culvert-edge that fit each other.',
  });
}

/** Words from outside go to a terminal. */
function clean(text: string): string {
  return text.replaceAll(/\p{C}/gu, ' ').slice(0, 300);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Judged by the caller's schema, which takes no undefined.
  }
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxReplyBytes) throw nonsense('more than it should');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
