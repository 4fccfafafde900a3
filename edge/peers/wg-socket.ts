/**
 * Lets `wg show` read the edge, and `wg set` change what the configuration does not own (product.md §7).
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { TunnelBackend } from '../../shared/node/dataplane/messages.ts';
import { serveUapi } from '../../shared/node/uapi/uapi-socket.ts';
import { type Ownership, refuseOwned } from './owned-peers.ts';

export interface WgSocketParts {
  readonly tunnel: TunnelBackend;
  readonly log: Log;
  /** Asked at every change. */
  readonly owned: () => Ownership;
}

/**
 * Returns the function that ends it. An edge works without this socket too, so that a folder it cannot be
 * made in (no root) is a warning.
 */
export async function serveWgSocket(parts: WgSocketParts): Promise<() => Promise<void>> {
  const { tunnel, log } = parts;
  try {
    const server = await serveUapi({
      interfaceName: tunnel.interfaceName,
      log,
      backend: {
        status: () => tunnel.status(),
        configure: async (change) => {
          refuseOwned(change, parts.owned());
          await tunnel.configure(change);
        },
      },
      onGone: () => log.warn('the socket of wg was taken away; restart the edge to have it again'),
    });
    return () => server.close();
  } catch (cause) {
    log.warn('wg show cannot see this edge', { why: cause instanceof Error ? cause.message : String(cause) });
    return () => Promise.resolve();
  }
}
