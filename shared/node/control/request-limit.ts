/**
 * How long a program may take to say what it wants on a connection. Node's own limit looks at all connections twice a
 * minute, also where there are none, which wakes a machine that sleeps; this one costs nothing without connections.
 */

import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { createServer } from '../http.ts';
import { startIdleTimer } from '../idle-timer.ts';

/** Longest that setInterval takes: 25 days. */
const hardlyEverMs = 2 ** 31 - 1;

/**
 * An HTTP server that breaks a connection whose next request has not begun after `limitMs`, and one whose request is not
 * wholly there so long after its head. What an answer takes is not limited. `schedule`: tests give another.
 */
export function createLimitedServer(
  limitMs: number,
  schedule: (delayMs: number, work: () => void) => () => void = startIdleTimer,
): Server {
  const server = createServer({ connectionsCheckingInterval: hardlyEverMs });
  const ends = new WeakMap<Socket, () => void>();
  const wait = (socket: Socket, request?: IncomingMessage): void => {
    ends.get(socket)?.();
    const end = schedule(limitMs, () => {
      if (request?.complete !== true) socket.destroy();
    });
    ends.set(socket, end);
  };
  server.on('connection', (socket) => {
    wait(socket);
    socket.once('close', () => ends.get(socket)?.());
  });
  server.on('request', (request, response) => {
    const { socket } = request;
    wait(socket, request);
    response.once('close', () => {
      if (!socket.destroyed) wait(socket);
    });
  });
  return server;
}
