/**
 * The socket by which `wg` and `wg-quick` read and change a userspace tunnel: NAME.sock in
 * /var/run/wireguard, WireGuard's cross-platform configuration protocol (wireguard.com/xplatform).
 * Only the owner may connect. It parses and answers; what a change means is the backend's.
 */

import { type FSWatcher, watch } from 'node:fs';
import { chmod, link, lstat, mkdir, mkdtemp, rm, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Log } from '../../core/base/ports.ts';
import { CulvertError } from '../../core/control/codes.ts';
import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import {
  errnoInvalid,
  formatErrno,
  formatStatus,
  joinDisguise,
  maxRequestBytes,
  parseRequest,
} from '../../core/uapi/codec.ts';
import { scopeOf } from './interface-scope.ts';
import { RequestFramer } from './request-framer.ts';

/** Where `wg` looks. */
export const defaultUapiDirectory = '/var/run/wireguard';

/** More are closed as they come. */
export const maxUapiConnections = 64;
/** A connection that says nothing for so long is closed. */
export const uapiIdleMs = 120_000;

const probeMs = 2_000;
const errnoIo = -5;

export interface UapiBackend {
  status(): Promise<DeviceStatus>;
  /** Applies all of it, or rejects with an error that may have `errno`. */
  configure(change: DeviceChange): Promise<void>;
}

export interface UapiServerOptions {
  readonly interfaceName: string;
  readonly backend: UapiBackend;
  readonly directory?: string;
  /** Called once when somebody takes the socket file away, which means: end the tunnel. */
  readonly onGone?: () => void;
  readonly log?: Log;
  /** For tests; default maxRequestBytes. */
  readonly requestLimit?: number;
}

export interface UapiServer {
  readonly path: string;
  /** Ends all connections and removes our own socket file, no other's. Idempotent. */
  close(): Promise<void>;
}

/** Where the socket of an interface is. Throws 'bad-interface-name'. */
export function uapiPath(interfaceName: string, directory: string = defaultUapiDirectory): string {
  const isName = /^[\w=+.-]{1,15}$/.test(interfaceName) && interfaceName !== '.' && interfaceName !== '..';
  if (!isName) throw new CulvertError('bad-interface-name');
  return join(directory, `${interfaceName}.sock`);
}

/**
 * Serves the protocol. Throws 'interface-exists' where another program answers on that socket; a file
 * that nobody answers on is replaced.
 */
export async function serveUapi(options: UapiServerOptions): Promise<UapiServer> {
  const directory = options.directory ?? defaultUapiDirectory;
  const path = uapiPath(options.interfaceName, directory);
  const made = await mkdir(directory, { recursive: true });
  if (made !== undefined) await chmod(directory, 0o755);
  const server = createServer({ allowHalfOpen: true });
  const connections = new Set<Socket>();
  server.maxConnections = maxUapiConnections;
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    void serveConnection(socket, options);
  });

  const identity = await publish(server, path, directory);
  const watcher = watchFile(path, directory, identity, () => options.onGone?.());
  let closed: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    watcher?.close();
    if ((await identityOf(path)) === identity) await unlink(path).catch(ignoreMissing);
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of connections) socket.destroy();
    await ended;
  };
  return { path, close: () => (closed ??= end()) };
}

/**
 * Binds in a folder that nobody else may enter, and links the finished socket into place: it is never
 * reachable with other rights than 0700, and never takes the place of one that came in between.
 */
async function publish(server: Server, path: string, directory: string): Promise<string> {
  await clearStale(path);
  const folder = await mkdtemp(join(directory, '.new-'));
  try {
    const hidden = join(folder, 's');
    await listen(server, hidden);
    await chmod(hidden, 0o700);
    await link(hidden, path);
    await unlink(hidden);
    const identity = await identityOf(path);
    if (identity === undefined)
      throw new CulvertError('internal', { text: `${path} vanished while it was made.` });
    return identity;
  } catch (cause) {
    server.close();
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw existing(path, cause);
    throw cause;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function clearStale(path: string): Promise<void> {
  const found = await identityOf(path);
  if (found === undefined) return;
  if (await probe(path)) throw existing(path);
  // Another program may have put its own there while we asked.
  if ((await identityOf(path)) === found) await unlink(path).catch(ignoreMissing);
}

/** True unless the file is certainly nobody's. */
function probe(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answers: boolean): void => {
      socket.destroy();
      resolve(answers);
    };
    socket.setTimeout(probeMs, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT' && error.code !== 'ENOTSOCK');
    });
  });
}

function existing(path: string, cause?: unknown): CulvertError {
  const text = `Another program serves ${path}.`;
  return new CulvertError('interface-exists', cause === undefined ? { text } : { text, cause });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Device and inode number of the file, undefined where there is none. */
async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await lstat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch (cause) {
    ignoreMissing(cause);
    return undefined;
  }
}

function ignoreMissing(cause: unknown): void {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code !== 'ENOENT' && code !== 'ENOTDIR') throw cause;
}

function watchFile(
  path: string,
  directory: string,
  identity: string,
  onGone: () => void,
): FSWatcher | undefined {
  let isGone = false;
  const check = async (): Promise<void> => {
    const now = await identityOf(path).catch(() => identity); // Unreadable for a moment is not gone.
    if (isGone || now === identity) return;
    isGone = true;
    watcher?.close();
    onGone();
  };
  let watcher: FSWatcher | undefined;
  try {
    watcher = watchPlace(path, directory, () => void check());
    watcher.on('error', () => void check());
  } catch {
    return undefined; // No watches left on this machine: the tunnel still works, only this signal is missing.
  }
  void check();
  return watcher;
}

async function serveConnection(socket: Socket, options: UapiServerOptions): Promise<void> {
  socket.on('error', () => socket.destroy());
  socket.setTimeout(uapiIdleMs, () => socket.destroy());
  const framer = new RequestFramer(options.requestLimit ?? maxRequestBytes);
  try {
    for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (framer.push(chunk) !== 'ok') break;
      for (let request = framer.next(); request !== undefined; request = framer.next()) {
        const reply = await replyTo(request, options);
        if (reply === undefined) return;
        await write(socket, reply);
      }
      // Nothing that could follow would make this a request: close now, as other implementations do.
      const begun = framer.firstLine();
      if (begun !== undefined && parseRequest(begun).kind === 'unknown') return;
    }
  } catch {
    // The asking program went away in the middle: nobody is left to tell.
  } finally {
    socket.end(() => socket.destroy());
  }
}

/** Undefined where the connection is to be closed without an answer. */
async function replyTo(text: string, options: UapiServerOptions): Promise<string | undefined> {
  const request = parseRequest(text, scopeOf);
  if (request.kind === 'unknown') return undefined;
  if (request.kind === 'error') {
    options.log?.warn('uapi: request refused', { line: request.line, why: request.text });
    return formatErrno(request.errno);
  }
  try {
    if (request.kind === 'get') return formatStatus(await options.backend.status());
    // Only for a disguise: what is not said of it stays as the device has it.
    const current = request.disguise === undefined ? undefined : (await options.backend.status()).disguise;
    const joined = joinDisguise(request, current);
    if (joined.kind === 'error') {
      options.log?.warn('uapi: request refused', { line: joined.line, why: joined.text });
      return formatErrno(joined.errno);
    }
    await options.backend.configure(joined.change);
    return formatErrno(0);
  } catch (error) {
    options.log?.warn('uapi: request failed', {
      why: error instanceof Error ? error.message : String(error),
    });
    return formatErrno(errnoOf(error));
  }
}

/** The number for `wg` to print in words: the system's own where there is one. */
export function errnoOf(error: unknown): number {
  const { errno, code } = (error ?? {}) as { errno?: unknown; code?: unknown };
  if (typeof errno === 'number' && Number.isInteger(errno) && errno !== 0) return -Math.abs(errno);
  if (code === 'bad-config') return errnoInvalid;
  if (code === 'not-root') return -1;
  if (code === 'port-in-use') return -98;
  return errnoIo;
}

function write(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(text, 'latin1', (error) => (error ? reject(error) : resolve()));
  });
}

/** The socket alone where the system can: in the folder other tunnels come and go, and each would wake us. */
function watchPlace(path: string, directory: string, onChange: () => void): FSWatcher {
  const options = { persistent: false };
  try {
    return watch(path, options, onChange);
  } catch {
    return watch(directory, options, onChange);
  }
}
