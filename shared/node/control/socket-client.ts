/**
 * The client side of the control API, for command line and desktop. One object a socket; every call
 * is one request. Errors come back as the CulvertError that the daemon threw.
 */

import type { ClientRequest, IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import {
  type ApiError,
  type BodyOf,
  eventsPath,
  type ResultOf,
  type RouteName,
  routes,
} from '../../core/control/api.ts';
import { CulvertError, type ErrorCode, errorCodes } from '../../core/control/codes.ts';
import type { Status } from '../../core/control/status.ts';
import { request } from '../http.ts';

const answerTimeoutMs = 30_000;
const maxAnswerBytes = 16 * 1024 * 1024;
/** Longest event; a status is far shorter. */
const maxEventChars = 1024 * 1024;

export class ControlClient {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Throws the daemon's CulvertError, 'daemon-not-running' or 'no-permission'. */
  async call<Name extends RouteName>(name: Name, body?: BodyOf<Name>): Promise<ResultOf<Name>> {
    const { method, path } = routes[name];
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await this.#request(method, path, text);
    response.setTimeout(answerTimeoutMs, () => response.destroy(new CulvertError('timeout')));
    const answer = await readAll(response);
    if ((response.statusCode ?? 500) >= 400) throw toError(answer);
    return JSON.parse(answer) as ResultOf<Name>;
  }

  /** Statuses as they change, the present one first. Ends when `signal` is aborted or the daemon ends. */
  async *events(signal: AbortSignal): AsyncGenerator<Status, void, undefined> {
    const response = await this.#request('GET', eventsPath);
    const stop = (): void => void response.destroy();
    signal.addEventListener('abort', stop, { once: true });
    const decoder = new StringDecoder('utf8');
    let unread = '';
    try {
      for await (const chunk of response) {
        unread += decoder.write(chunk as Buffer);
        if (unread.length > maxEventChars)
          throw new CulvertError('bad-request', { text: 'An event is too long.' });
        const events = unread.split('\n\n');
        unread = events.pop() ?? '';
        for (const event of events) {
          const payload = /^data: (.*)$/m.exec(event)?.[1];
          if (payload !== undefined) yield JSON.parse(payload) as Status;
        }
      }
    } catch (error) {
      if (!signal.aborted && error instanceof CulvertError) throw error;
      // Aborted by the caller, or the daemon went away: both are the end of the events.
    } finally {
      signal.removeEventListener('abort', stop);
      response.destroy();
    }
  }

  #request(method: string, path: string, body?: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const outgoing: ClientRequest = request(
        { socketPath: this.path, method, path, headers, agent: false },
        resolve,
      );
      outgoing.setTimeout(answerTimeoutMs, () => outgoing.destroy(new CulvertError('timeout')));
      outgoing.once('error', (error: NodeJS.ErrnoException) => reject(connectError(error)));
      outgoing.end(body);
    });
  }
}

const absent: readonly (string | undefined)[] = [
  'ENOENT',
  'ECONNREFUSED',
  'ENOTSOCK',
  'ECONNRESET',
  'ENOTDIR',
];

function connectError(error: NodeJS.ErrnoException | CulvertError): Error {
  if (error instanceof CulvertError) return error;
  if (error.code === 'EACCES' || error.code === 'EPERM')
    return new CulvertError('no-permission', { cause: error });
  return absent.includes(error.code) ? new CulvertError('daemon-not-running', { cause: error }) : error;
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > maxAnswerBytes)
      throw new CulvertError('bad-request', { text: 'The daemon answers too much.' });
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function toError(answer: string): CulvertError {
  let parsed: Partial<ApiError> = {};
  try {
    parsed = JSON.parse(answer) as Partial<ApiError>;
  } catch {
    // Not from our daemon: the words below say enough.
  }
  const { code, text, remedy } = parsed;
  const known = code !== undefined && Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'internal';
  return new CulvertError(known, {
    ...(text === undefined ? {} : { text }),
    ...(remedy === undefined ? {} : { remedy }),
  });
}
