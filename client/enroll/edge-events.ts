/**
 * Listens to what the edge tells without being asked (core/registration/config-events.ts): one connection, server-sent
 * events, bounded lines. Ends where the edge hangs up or is silent for too long; opening it again is the caller's.
 */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Value } from '@sinclair/typebox/value';
import {
  type ConfigEvent,
  configEventShape,
  configEventsPath,
} from '../../shared/core/registration/config-events.ts';
import { request as sendRequest } from '../../shared/node/http.ts';
import { type EdgeClientOptions, edgeHeaders, openEdgeSocket } from './edge-client.ts';
import { unreachableEdge } from './pinned-connection.ts';

export interface EdgeEvents {
  /** Resolves when it is over, whatever ended it. */
  readonly done: Promise<void>;
  close(): void;
}

const answerTimeoutMs = 10_000;
/** The edge says something every minute at least. */
const silenceMs = 90_000;
const maxLineLength = 4096;
const dataPrefix = 'data:';

/** Resolves once the edge has agreed. Throws 'edge-unreachable'; also where the edge knows no such thing. */
export async function openEvents(
  options: EdgeClientOptions,
  onEvent: (event: ConfigEvent) => void,
): Promise<EdgeEvents> {
  const socket = await openEdgeSocket(options);
  const { host, port } = options;
  const signal = AbortSignal.timeout(answerTimeoutMs);
  const request = sendRequest({
    createConnection: () => socket,
    host,
    port,
    method: 'GET',
    path: configEventsPath,
    headers: { ...edgeHeaders(options), accept: 'text/event-stream' },
  });
  request.on('error', () => socket.destroy());
  request.end();
  let response: IncomingMessage;
  try {
    [response] = (await once(request, 'response', { signal })) as [IncomingMessage];
  } catch (cause) {
    socket.destroy();
    throw unreachableEdge({ host, port }, 'no answer in time', cause);
  }
  if (response.statusCode !== 200) {
    socket.destroy();
    throw unreachableEdge({ host, port }, `it tells nothing by itself (${response.statusCode})`);
  }
  socket.setTimeout(silenceMs, () => socket.destroy());
  const done = new Promise<void>((resolve) => {
    response.once('close', resolve);
    response.on('error', () => undefined); // 'close' follows.
  });
  readLines(response, (line) => {
    const event = eventIn(line);
    if (event !== undefined) onEvent(event);
  });
  return { done: done.finally(() => socket.destroy()), close: () => socket.destroy() };
}

function readLines(response: IncomingMessage, onLine: (line: string) => void): void {
  let rest = '';
  response.setEncoding('utf8');
  response.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > maxLineLength) response.destroy();
    for (const line of lines) onLine(line);
  });
}

/** Undefined for what is no event of ours: a beat, or one of a later edge. */
function eventIn(line: string): ConfigEvent | undefined {
  if (!line.startsWith(dataPrefix)) return undefined;
  try {
    const value: unknown = JSON.parse(line.slice(dataPrefix.length));
    return Value.Check(configEventShape, value) ? value : undefined;
  } catch {
    return undefined; // Half a line, or nonsense: the next poll sets it right.
  }
}
