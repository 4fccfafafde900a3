/** Whether an edge can be reached by TLS where UDP leads nowhere: its key alone is looked at, and nothing is said to it. */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { connectPinned } from '../enroll/pinned-connection.ts';
import { openMarked } from '../transport/tls-relay.ts';

export interface TlsProbePlan {
  /** In the order in which they are tried, all at once. */
  readonly places: readonly Endpoint[];
  readonly pin: Uint8Array;
  /** Firewall mark; 0: none. */
  readonly mark: number;
  readonly timeoutMs: number;
}

/** Milliseconds until the first of its places had shown the edge's key; undefined where none did. Never rejects. */
export async function probeByTls({
  places,
  pin,
  mark,
  timeoutMs,
}: TlsProbePlan): Promise<number | undefined> {
  const begun = performance.now();
  const attempts = places.map(async ({ address, port }) => {
    const open = (target: { host: string; port: number }): ReturnType<typeof openMarked> =>
      openMarked(target, mark);
    const socket = await connectPinned({ host: address, port, pin, timeoutMs, open });
    socket.on('error', () => undefined).destroy();
  });
  try {
    await Promise.any(attempts);
    return performance.now() - begun;
  } catch {
    return undefined;
  }
}
