/**
 * The edge's control socket: HTTP and JSON on a unix socket that only its owner can open. Binds
 * methods to routes; the methods are given.
 */

import { chmodSync, rmSync } from 'node:fs';
import fastify from 'fastify';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { OutsideAnswer } from '../doctor/outside.ts';
import { type PathsAnswer, type PathsQuestion, parsePathsQuestion } from '../egress/paths-question.ts';
import type { EdgeStatus } from './status.ts';

export interface AdminMethods {
  status(): Promise<EdgeStatus>;
  /** Throws CulvertError where the configuration was not taken. */
  reload(): Promise<void>;
  /** Resolves when the tunnel has followed the store. */
  look(): Promise<void>;
  /** Throws CulvertError, also where the edge has no choice among paths. */
  paths(question: PathsQuestion): Promise<PathsAnswer>;
  /** What a device reaches from outside. */
  outside(): Promise<OutsideAnswer>;
}

export interface AdminServer {
  close(): Promise<void>;
}

/** Questions are short. */
const maxBodyBytes = 64 * 1024;
/** What Linux allows for the path of a unix socket. */
const maxSocketPath = 107;

/** Replaces a socket file that an ended edge left; the caller has made sure that nobody answers there. */
export async function serveAdmin(path: string, methods: AdminMethods): Promise<AdminServer> {
  if (Buffer.byteLength(path) > maxSocketPath) {
    throw new CulvertError('bad-usage', {
      text: `The data directory has too long a name for a socket: ${path}`,
      remedy: `Choose one whose control.sock has ${maxSocketPath} characters at most.`,
    });
  }
  const server = fastify({ logger: false, bodyLimit: maxBodyBytes, forceCloseConnections: true });
  server.get('/v1/status', () => methods.status());
  server.post('/v1/reload', async () => {
    await methods.reload();
    return {};
  });
  server.post('/v1/paths', (request) => methods.paths(parsePathsQuestion(request.body)));
  server.post('/v1/outside', async () => ({ answer: await methods.outside() }));
  server.post('/v1/look', async () => {
    await methods.look();
    return {};
  });
  server.setErrorHandler((error, _request, reply) => {
    const known = error instanceof CulvertError ? error : new CulvertError('internal', { cause: error });
    const { code, message, remedy } = known;
    return reply.code(known.code === 'internal' ? 500 : 409).send({ code, text: message, remedy });
  });
  rmSync(path, { force: true });
  // Closed to others from its first moment on.
  const mask = process.umask(0o177);
  try {
    await server.listen({ path });
  } finally {
    process.umask(mask);
  }
  chmodSync(path, 0o600);
  return {
    close: async () => {
      await server.close();
      rmSync(path, { force: true });
    },
  };
}
