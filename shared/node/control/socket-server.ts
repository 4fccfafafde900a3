/**
 * The control API on a unix socket: HTTP/1.1, JSON, server-sent events (Fastify). Binds the typed
 * table of core/control to handlers; no logic of the program. File permission is the gate.
 */

import { chmodSync, mkdirSync, unlinkSync } from 'node:fs';
import type { RequestListener, Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Log } from '../../core/base/ports.ts';
import {
  type ApiError,
  type BodyOf,
  eventsPath,
  type ResultOf,
  type RouteName,
  type Routes,
  routes,
} from '../../core/control/api.ts';
import { CulvertError, type ErrorCode } from '../../core/control/codes.ts';
import { createLimitedServer } from './request-limit.ts';
import { giveAccess, type SocketAccess } from './socket-access.ts';
import { type StatusSource, streamStatus } from './status-stream.ts';

/** Largest request; an imported file is the largest thing. */
const maxBodyBytes = 1024 * 1024;
const requestTimeoutMs = 30_000;
const probeTimeoutMs = 2_000;
/** What the kernel takes in sun_path, without the final zero. */
const maxSocketPathBytes = 107;

export type Handlers = {
  readonly [Name in RouteName]: (body: BodyOf<Name>) => ResultOf<Name> | Promise<ResultOf<Name>>;
};

export interface ControlServerOptions {
  readonly path: string;
  readonly access: SocketAccess;
  /** Only these operations exist on this socket. */
  readonly handlers: Partial<Handlers>;
  /** Absent: no events on this socket. */
  readonly events?: StatusSource;
  readonly log: Log;
}

export interface ControlServer {
  readonly path: string;
  /** Ends all connections and removes the socket. */
  close(): Promise<void>;
}

/**
 * Serves until closed. A socket file that nobody answers on is replaced; throws 'daemon-running'
 * where somebody does, 'socket-path-too-long' where the system could not bind it.
 */
export async function serveControl(options: ControlServerOptions): Promise<ControlServer> {
  const { path, access, log } = options;
  if (Buffer.byteLength(path) > maxSocketPathBytes) throw new CulvertError('socket-path-too-long');
  const made = mkdirSync(dirname(path), { recursive: true, mode: access.folderMode });
  // Whatever umask we were started with.
  if (made !== undefined) chmodSync(dirname(path), access.folderMode);
  await removeStale(path);
  const { app, server } = createApp();
  bindRoutes(app, options);
  await app.ready();
  await listenPrivately(server, path);
  if (!giveAccess(path, access)) log.info('single accounts get the control socket by their group alone');
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** True where a program answers on this socket. */
export function isSocketAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(probeTimeoutMs, () => answer(true));
    socket.once('connect', () => answer(true));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      answer(error.code === 'EACCES' || error.code === 'EAGAIN'),
    );
  });
}

async function removeStale(path: string): Promise<void> {
  if (await isSocketAlive(path)) throw new CulvertError('daemon-running');
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function createApp(): { readonly app: FastifyInstance; readonly server: Server } {
  const server = createLimitedServer(requestTimeoutMs);
  const serverFactory = (listener: RequestListener): Server => server.on('request', listener);
  const ajv = { customOptions: { coerceTypes: false as const, removeAdditional: false } };
  const app = Fastify({ serverFactory, bodyLimit: maxBodyBytes, ajv });
  return { app, server };
}

/** Binds so that nobody but the owner can connect, even for a moment. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const umask = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(umask);
    }
  });
}

function bindRoutes(app: FastifyInstance, options: ControlServerOptions): void {
  const { handlers, events, log } = options;
  for (const name of Object.keys(handlers) as RouteName[]) {
    const handler = handlers[name] as ((body: unknown) => unknown) | undefined;
    if (handler !== undefined) bindRoute(app, routes[name], handler);
  }
  if (events !== undefined) {
    const stream = streamStatus(events);
    app.get(eventsPath, (_request, reply) => {
      reply.hijack();
      stream(reply.raw);
    });
  }
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send(errorBody('bad-request', `There is no ${request.method} ${request.url.slice(0, 100)} here.`)),
  );
  app.setErrorHandler((error: Error & { validation?: unknown; statusCode?: number }, _request, reply) => {
    if (error instanceof CulvertError) return reply.code(httpStatusOf(error.code)).send(bodyOf(error));
    const ours = error.validation === undefined && (error.statusCode ?? 500) >= 500;
    if (!ours) return reply.code(400).send(errorBody('bad-request', error.message));
    log.error('a request met a bug', { text: error.stack ?? error.message });
    return reply.code(500).send(errorBody('internal', error.message));
  });
}

type AnyRoute = Pick<Routes[RouteName], 'method' | 'path'> & { readonly body: unknown };

function bindRoute(app: FastifyInstance, route: AnyRoute, handler: (body: unknown) => unknown): void {
  app.route({
    method: route.method,
    url: route.path,
    ...(route.body === undefined ? {} : { schema: { body: route.body } }),
    preValidation: (request, _reply, done) => {
      // No body at all means no wishes.
      if (route.body !== undefined && (request.body === undefined || request.body === null))
        request.body = {};
      done();
    },
    handler: async (request) => handler(request.body),
  });
}

const httpStatuses: Partial<Record<ErrorCode, number>> = {
  'bad-request': 400,
  'bad-config': 400,
  'bad-setting': 400,
  'bad-edge-name': 400,
  'unknown-setting': 404,
  'unknown-edge': 404,
  'no-edge': 404,
  'not-root': 403,
  internal: 500,
};

/** 409 where the request is right and the machine or the state is not. */
function httpStatusOf(code: ErrorCode): number {
  return httpStatuses[code] ?? 409;
}

function bodyOf(error: CulvertError): ApiError {
  return { code: error.code, text: error.message, remedy: error.remedy };
}

function errorBody(code: ErrorCode, text: string): ApiError {
  return bodyOf(new CulvertError(code, { text }));
}
