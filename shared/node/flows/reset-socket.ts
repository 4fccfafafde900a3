/**
 * Breaks a TCP connection so that its other side notices: a reset, at once. Node's own `resetAndDestroy` sends a FIN
 * first; where the connection breaks by itself meanwhile, the reset is refused (libuv: not while shutting down), the
 * handle is never closed, and a thread that ends waits for it for ever.
 */

import type { Socket } from 'node:net';

/** Nothing waits to be sent any more. Idempotent. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  const isShuttingDown = socket.writableEnded && !socket.writableFinished;
  // Node's own word for "destroy by reset"; where another version lacks it, the connection is closed as usual.
  if (!isShuttingDown && !socket.connecting) Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}
