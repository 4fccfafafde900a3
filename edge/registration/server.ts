/**
 * The registration API (core/registration) as HTTP on Fastify: routes from the table, access, rate limits,
 * validation, problem+json for whatever goes wrong. Listens nowhere: https-listener.ts does, and the
 * gateway inside the tunnel hands its connections to the same `handler`.
 */

import type { RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import { type TSchema, Type } from '@sinclair/typebox';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { Log } from '../../shared/core/base/ports.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { DeviceConfig } from '../../shared/core/registration/api.ts';
import { configEventsPath } from '../../shared/core/registration/config-events.ts';
import { type ProblemCode, problemOf, problemType } from '../../shared/core/registration/problem.ts';
import { createServer } from '../../shared/node/http.ts';
import { type Caller, findCaller } from './access.ts';
import { Administration } from './administration.ts';
import { ApiProblem, problemBehind } from './api-problem.ts';
import type { ConfigEvents } from './config-events.ts';
import { DeviceMethods, type DeviceMethodsParts } from './device-methods.ts';
import { FeedbackDesk } from './feedback-desk.ts';
import { bindHandlers, type Call } from './handlers.ts';
import { type AnyRoute, allRoutes, describeApi, openApiPath, pagedRoutes } from './openapi.ts';
import { type RateLimit, RateLimits, sourceOf } from './rate-limits.ts';

export interface RegistrationParts extends DeviceMethodsParts {
  readonly log: Log;
  readonly monoNow: () => MonoMs;
  /** For /openapi.json. */
  readonly version: string;
  readonly limits?: Partial<RegistrationLimits>;
  /** Told of every answer; `route` as the table has it, undefined where there is none. */
  readonly onAnswer?: (method: string, route: string | undefined, status: number) => void;
  /** Pushes changes to devices; absent: they ask. */
  readonly events?: ConfigEvents;
  /** The device whose tunnel a connection came through, by its id; default: none did. */
  readonly tunnelDevice?: (connection: Duplex) => string | undefined;
}

export interface RegistrationLimits {
  /** Requests of one source prefix. */
  readonly source: RateLimit;
  /** Requests with a wrong secret, proof or invitation, of one source prefix. */
  readonly failures: RateLimit;
  /** Requests of one device or admin key. */
  readonly caller: RateLimit;
}

export interface RegistrationApi {
  /** For any HTTP server. */
  readonly handler: RequestListener;
  readonly administration: Administration;
  close(): Promise<void>;
}

export const defaultLimits: RegistrationLimits = {
  source: { perSecond: 20, burst: 100 },
  failures: { perSecond: 0.2, burst: 10 },
  caller: { perSecond: 10, burst: 50 },
};

const maxBodyBytes = 16 * 1024;

/** What counts as a failure of the source. */
const failures: ReadonlySet<ProblemCode> = new Set([
  'unauthorized',
  'proof-wrong',
  'invite-unknown',
  'invite-expired',
  'invite-used',
]);

const pageShape: TSchema = Type.Object({
  after: Type.Optional(Type.String({ pattern: '^[a-z0-9]{1,32}$' })),
  limit: Type.Optional(Type.String({ pattern: '^(?:1000|[1-9][0-9]{0,2})$' })),
});
const idShape: TSchema = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) });

export async function createRegistrationApi(parts: RegistrationParts): Promise<RegistrationApi> {
  const administration = new Administration({ ...parts, publicKey: parts.identity.publicKey });
  const devices = new DeviceMethods(parts);
  const handlers = bindHandlers(devices, administration, new FeedbackDesk(parts));
  let handler: RequestListener | undefined;
  const app = Fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: false } },
    exposeHeadRoutes: false,
    serverFactory: (listener) => {
      handler = listener;
      return createServer();
    },
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, problemFor(error) ?? 'bad-request'),
  });
  app.removeContentTypeParser('text/plain');
  const guard = new Guard(parts);
  for (const [name, route] of Object.entries(allRoutes)) {
    bindRoute(app, guard, { name, route, handle: handlers[name as keyof typeof handlers] as Handle });
  }
  app.addHook('onResponse', (request, reply, done) => {
    parts.onAnswer?.(request.method, request.routeOptions.url, reply.statusCode);
    done();
  });
  bindEvents(app, guard, parts.events, devices);
  const description = JSON.stringify(describeApi(parts.version));
  app.get(
    openApiPath,
    { onRequest: (request: FastifyRequest) => guard.checkSource(request) },
    (_request, reply) =>
      reply.type('application/json').header('cache-control', 'public, max-age=300').send(description),
  );
  app.setNotFoundHandler(
    { preHandler: (request: FastifyRequest) => guard.checkSource(request) },
    answerNotFound,
  );
  app.setErrorHandler((error: FastifyError, request, reply) => answerError(guard, error, request, reply));
  await app.ready();
  if (handler === undefined) throw new Error('Fastify asked for no server');
  return { handler, administration, close: () => app.close() };
}

type Handle = (call: Call<unknown>) => unknown;

interface Binding {
  readonly name: string;
  readonly route: AnyRoute;
  readonly handle: Handle;
}

function bindRoute(app: FastifyInstance, guard: Guard, { name, route, handle }: Binding): void {
  const callers = new WeakMap<FastifyRequest, Caller>();
  app.route({
    method: route.method,
    url: route.path,
    bodyLimit: route.maxBodyBytes ?? maxBodyBytes,
    schema: {
      ...(route.body === undefined ? {} : { body: route.body }),
      ...(route.path.includes(':id') ? { params: idShape } : {}),
      ...(pagedRoutes.includes(name) ? { querystring: pageShape } : {}),
    },
    // Before the body is read.
    onRequest: async (request) => {
      callers.set(request, await guard.admit(request, route));
    },
    handler: async (request, reply) => {
      const caller = callers.get(request) ?? { kind: 'open' };
      const { id = '' } = (request.params ?? {}) as { id?: string };
      const call = { caller, body: request.body, id, page: pageOf(request), source: guard.placeOf(request) };
      const result = await handle(call);
      reply.header('cache-control', 'no-store').code(route.status);
      return name === 'config' ? withETag(result as DeviceConfig, request, reply) : result;
    },
  });
}

/** An answer without an end: outside the table. */
function bindEvents(
  app: FastifyInstance,
  guard: Guard,
  events: ConfigEvents | undefined,
  devices: DeviceMethods,
): void {
  if (events === undefined) return;
  app.get(configEventsPath, async (request, reply) => {
    const caller = await guard.admit(request, { access: 'device' });
    if (caller.kind !== 'device') throw new ApiProblem('unauthorized');
    const { revision } = devices.config(caller.device);
    reply.hijack();
    if (!events.serve(caller.device.id, revision, reply.raw)) {
      reply.raw.writeHead(503, { 'content-length': 0, connection: 'close' }).end();
    }
  });
}

function withETag(config: DeviceConfig, request: FastifyRequest, reply: FastifyReply): unknown {
  const tag = `"${config.revision}"`;
  reply.header('etag', tag);
  if (request.headers['if-none-match'] !== tag) return config;
  reply.code(304);
  return undefined;
}

function pageOf(request: FastifyRequest): { readonly after?: string; readonly limit?: number } {
  const { after, limit } = (request.query ?? {}) as { after?: string; limit?: string };
  return {
    ...(after === undefined ? {} : { after }),
    ...(limit === undefined ? {} : { limit: Number(limit) }),
  };
}

/** Rate limits and access. */
class Guard {
  readonly #parts: RegistrationParts;
  readonly #sources: RateLimits;
  readonly #failures: RateLimits;
  readonly #callers: RateLimits;

  constructor(parts: RegistrationParts) {
    const limits = { ...defaultLimits, ...parts.limits };
    this.#parts = parts;
    this.#sources = new RateLimits(limits.source);
    this.#failures = new RateLimits(limits.failures);
    this.#callers = new RateLimits(limits.caller);
  }

  get log(): Log {
    return this.#parts.log;
  }

  checkSource(request: FastifyRequest): Promise<void> {
    const isFree = this.#sources.take(this.#sourceOf(request), this.#parts.monoNow());
    return isFree ? Promise.resolve() : Promise.reject(new ApiProblem('too-many-requests'));
  }

  async admit(request: FastifyRequest, route: Pick<AnyRoute, 'access'>): Promise<Caller> {
    await this.checkSource(request);
    const now = this.#parts.monoNow();
    // Guessing has to stop also where the next guess would be right; who shows a valid secret is let in.
    const isGuessing = this.#failures.isSpent(this.#sourceOf(request), now);
    if (isGuessing && route.access === 'open') throw new ApiProblem('too-many-requests');
    const credentials = {
      authorization: request.headers.authorization,
      tunnelDevice: this.#tunnelDevice(request),
    };
    const caller = await findCaller(this.#parts.store, route.access, credentials, this.#parts.unixNow());
    if (caller.kind === 'open') return caller;
    const id = caller.kind === 'device' ? caller.device.id : caller.key.id;
    if (!this.#callers.take(`${caller.kind}:${id}`, now)) throw new ApiProblem('too-many-requests');
    return caller;
  }

  /** Counts a failure; what it becomes where there were too many. */
  failed(request: FastifyRequest, code: ProblemCode): ProblemCode {
    if (!failures.has(code)) return code;
    const isFew = this.#failures.take(this.#sourceOf(request), this.#parts.monoNow());
    return isFew ? code : 'too-many-requests';
  }

  waitSeconds(): number {
    return this.#sources.waitSeconds();
  }

  /** Undefined where it came through the tunnel. */
  placeOf(request: FastifyRequest): string | undefined {
    const { remoteAddress, remotePort } = request.raw.socket;
    if (remoteAddress === undefined || remotePort === undefined) return undefined;
    if (this.#tunnelDevice(request) !== undefined) return undefined;
    const address = remoteAddress.replace(/^::ffff:/i, '');
    return `${address.includes(':') ? `[${address}]` : address}:${remotePort}`;
  }

  #tunnelDevice(request: FastifyRequest): string | undefined {
    return this.#parts.tunnelDevice?.(request.raw.socket);
  }

  #sourceOf(request: FastifyRequest): string {
    const device = this.#tunnelDevice(request);
    return device === undefined ? sourceOf(request.raw.socket.remoteAddress) : `device:${device}`;
  }
}

function answerNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const allowed = methodsAt(request.url.replace(/[?#].*$/, ''));
  if (allowed.length === 0) return sendProblem(reply, 'not-found');
  return sendProblem(reply.header('allow', allowed.join(', ')), 'method-not-allowed');
}

function methodsAt(path: string): readonly string[] {
  if (path === openApiPath || path === configEventsPath) return ['GET'];
  return Object.values(allRoutes)
    .filter((route) => new RegExp(`^${route.path.replace(':id', '[^/]+')}$`).test(path))
    .map((route) => route.method);
}

function answerError(
  guard: Guard,
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = problemBehind(error);
  if (problem !== undefined) {
    const code = guard.failed(request, problem.code);
    if (code === 'too-many-requests') reply.header('retry-after', guard.waitSeconds());
    if (code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
    if (code === 'unavailable') guard.log.error('the store failed', { why: causeOf(error) });
    return sendProblem(reply, code, problem.detail);
  }
  const code = problemFor(error);
  if (code !== undefined) return sendProblem(reply, code, detailOf(error));
  guard.log.error('a request met a bug', { text: error.stack ?? error.message });
  return sendProblem(reply, 'internal');
}

/** What Fastify's own errors mean here; undefined for a bug. */
function problemFor(error: FastifyError): ProblemCode | undefined {
  if (error.validation !== undefined) return 'bad-request';
  switch (error.statusCode) {
    case 413:
      return 'too-large';
    case 415:
      return 'wrong-media-type';
    default:
      return (error.statusCode ?? 500) < 500 ? 'bad-request' : undefined;
  }
}

/** Where the fault is; never what stood there, nor how it is checked. */
function detailOf(error: FastifyError): string | undefined {
  const place = error.validation?.[0]?.instancePath;
  if (place === undefined) return undefined;
  const part = error.validationContext ?? 'body';
  return place === '' ? `${part} does not fit` : `${part}${place} does not fit`;
}

function causeOf(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message;
}

function sendProblem(reply: FastifyReply, code: ProblemCode, detail?: string): FastifyReply {
  const problem = problemOf(code, detail);
  return reply
    .code(problem.status)
    .header('cache-control', 'no-store')
    .header('content-type', problemType)
    .send(Buffer.from(JSON.stringify(problem)));
}
