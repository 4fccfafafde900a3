/**
 * Connections to a proxy that a path goes through: dial it, and talk to it before the connection is handed on. Reads
 * no more than a message and gives back what follows it.
 */

import type { Socket } from 'node:net';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { PathError } from './path.ts';
import { upstreamError } from './path-errors.ts';
import { connectSystem, connectTimeoutMs } from './system-tcp.ts';

/** What a parser says of the bytes so far: how long the message is, that more is needed, or that it is none. */
export type Parsed<T> = { readonly value: T; readonly size: number } | 'more' | 'bad';

/** Longest message of a proxy before its tunnel stands. */
const maxMessageBytes = 16 * 1024;

/**
 * Dials the proxy and lets `talk` speak with it. Whatever fails, the socket is gone; rejects with PathError or the
 * signal's reason, and with PathError 'timeout' where the proxy takes too long.
 */
export async function throughUpstream(
  server: FlowEnd,
  signal: AbortSignal,
  talk: (socket: Socket) => Promise<void>,
): Promise<Socket> {
  let socket: Socket;
  try {
    socket = await connectSystem(server, signal);
  } catch (cause) {
    throw signal.aborted ? signal.reason : upstreamError(cause);
  }
  const ignore = (): void => undefined;
  socket.on('error', ignore);
  const onAbort = (): void => void socket.destroy();
  const timer = setTimeout(onAbort, connectTimeoutMs);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await talk(socket);
    if (socket.destroyed) throw gone();
    socket.off('error', ignore);
    return socket;
  } catch (cause) {
    socket.destroy();
    throw signal.aborted ? signal.reason : upstreamError(cause);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** The next message. Rejects with PathError where the stream ends before, or says something else. */
export function readMessage<T>(socket: Socket, parse: (bytes: Uint8Array) => Parsed<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let held: Buffer = Buffer.alloc(0);
    const settle = (finish: () => void): void => {
      socket.off('readable', onReadable).off('end', onGone).off('close', onGone);
      finish();
    };
    const onGone = (): void => settle(() => reject(gone()));
    const onReadable = (): void => {
      for (
        let chunk = socket.read() as Buffer | null;
        chunk !== null;
        chunk = socket.read() as Buffer | null
      ) {
        held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      }
      if (held.length === 0) return;
      const parsed = parse(held);
      if (parsed === 'bad' || (parsed === 'more' && held.length >= maxMessageBytes)) {
        settle(() => reject(new PathError('path', 'unreachable', 'The upstream speaks another protocol.')));
      } else if (parsed !== 'more') {
        const { value, size } = parsed;
        settle(() => {
          if (size < held.length) socket.unshift(held.subarray(size));
          resolve(value);
        });
      }
    };
    if (socket.destroyed || socket.readableEnded) {
      reject(gone());
      return;
    }
    socket.on('readable', onReadable).on('end', onGone).on('close', onGone);
    onReadable();
  });
}

/** A socket that was told to connect. Rejects with the system's error, ETIMEDOUT, or the signal's reason. */
export function awaitConnection(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect).off('error', fail);
    };
    const fail = (cause: unknown): void => {
      settle();
      socket.on('error', () => undefined);
      socket.destroy();
      reject(cause);
    };
    const onConnect = (): void => {
      settle();
      resolve(socket);
    };
    const onAbort = (): void => fail(signal.reason);
    const timer = setTimeout(() => {
      fail(Object.assign(new Error('The destination does not answer.'), { code: 'ETIMEDOUT' }));
    }, connectTimeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', onConnect).once('error', fail);
  });
}

function gone(): PathError {
  return new PathError('path', 'unreachable', 'The upstream ended the conversation.');
}
