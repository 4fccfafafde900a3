/** One connection to a numeric address by a socket of the system. Never asks a resolver, decides nothing. */

import { connect, type Socket } from 'node:net';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { directRead, markDirect } from '../../shared/node/flows/direct-read.ts';

/** As long as most clients wait; the stack gives its asker up after half a minute. */
export const connectTimeoutMs = 20_000;
/** After this silence the system asks whether the other side still lives. */
const keepAliveMs = 120_000;

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
    const socket = connect({
      host: formatAddress(to.address),
      port: to.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
      autoSelectFamily: false,
      onread: directRead(),
    });
    markDirect(socket);
    const settle = (): void => {
      clearTimeout(timer);
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
    };
    const onError = (cause: Error): void => fail(cause);
    const onAbort = (): void => fail(signal.reason as Error);
    const timer = setTimeout(() => {
      fail(Object.assign(new Error('The destination does not answer.'), { code: 'ETIMEDOUT' }));
    }, connectTimeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', onConnect);
    socket.once('error', onError);
  });
}
