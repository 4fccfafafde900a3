/**
 * A connection to an edge at whichever of its HTTPS ports answers first. A network may let the web's port through and no
 * other; the pin says that it is the same edge. The usual port comes first, each other a moment later.
 */

import type { TLSSocket } from 'node:tls';
import { connectPinned, type PinnedOptions } from './pinned-connection.ts';

/** Where an edge usually serves, whatever its invitation says. */
export const usualHttpsPorts: readonly number[] = [443, 8443];

const staggerMs = 1500;
const maxPorts = 8;

/** Throws what the first port said: 'edge-unreachable' or 'edge-impostor'. */
export async function connectAnyPort(
  options: PinnedOptions,
  more: readonly number[] = [],
): Promise<TLSSocket> {
  const ports = [...new Set([options.port, ...more])].slice(0, maxPorts);
  const won = new AbortController();
  const failures: unknown[] = [];
  let before: Promise<unknown> = Promise.resolve();
  const attempts = ports.map((port, i) => {
    // At once where the one before has failed already.
    const turn = i === 0 ? before : Promise.race([before, pause(staggerMs * i, won.signal)]);
    const attempt = turn.then(() => tryAt(port));
    before = attempt.then(
      () => new Promise(() => undefined),
      () => undefined,
    );
    return attempt;
  });

  async function tryAt(port: number): Promise<TLSSocket> {
    won.signal.throwIfAborted();
    try {
      const socket = await connectPinned({ ...options, port });
      if (!won.signal.aborted) {
        won.abort();
        return socket;
      }
      socket.destroy();
    } catch (error) {
      failures[ports.indexOf(port)] = error;
      throw error;
    }
    throw new Error('another port was faster');
  }

  try {
    return await Promise.any(attempts);
  } catch {
    throw failures[0];
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
