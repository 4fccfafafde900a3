/** One connection to a numeric address by a socket of the system. Never asks a resolver, decides nothing. */

import { Socket } from 'node:net';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { directRead, markDirect } from '../../shared/node/flows/direct-read.ts';
import { WaitQueue } from '../../shared/node/flows/wait-queue.ts';

/** As long as most clients wait; the stack gives its asker up after half a minute. */
export const connectTimeoutMs = 20_000;
/** After this silence the system asks whether the other side still lives. */
const keepAliveMs = 120_000;
/** Most connections are over by then, and never need to be asked: four calls of the system less for each. */
const longLivedMs = 10_000;

/**
 * Rejects with the system's error (`code`), with ETIMEDOUT after connectTimeoutMs, or with the signal's reason.
 * The stream has half-closing, no delay, and nobody listening to its 'error' yet.
 */
export function connectSystem(to: FlowEnd, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const socket = takeSocket();
    socket.connect({ host: formatAddress(to.address), port: to.port, autoSelectFamily: false });
    const settle = (): void => {
      patience.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect);
      socket.off('error', onError);
    };
    const fail = (cause: Error): void => {
      settle();
      // What the dying socket may still say is of no use.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(cause);
    };
    const onConnect = (): void => {
      settle();
      resolve(socket);
      // Neither matters yet, and somebody waits.
      setImmediate(setOptions, socket);
    };
    const onError = (cause: Error): void => fail(cause);
    const onAbort = (): void => fail(signal.reason as Error);
    const patience = waits.add(() =>
      fail(Object.assign(new Error('The destination does not answer.'), { code: 'ETIMEDOUT' })),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', onConnect);
    socket.once('error', onError);
  });
}

const waits = new WaitQueue(connectTimeoutMs);
const longLived = new WaitQueue(longLivedMs);
/** Made ahead: one that is made when it is wanted keeps its asker waiting. */
let spare: Socket | undefined;

function takeSocket(): Socket {
  const socket = spare ?? newSocket();
  spare = undefined;
  return socket;
}

function newSocket(): Socket {
  const socket = new Socket({ allowHalfOpen: true, onread: directRead() });
  markDirect(socket);
  return socket;
}

function setOptions(socket: Socket): void {
  spare ??= newSocket();
  if (socket.destroyed) return;
  socket.setNoDelay(true);
  const wait = longLived.add(() => socket.setKeepAlive(true, keepAliveMs));
  socket.once('close', () => wait.cancel());
}
