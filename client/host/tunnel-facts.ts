/**
 * What both kinds of tunnel share: an edge's file and its endpoints as a change of the device, and the device's
 * events as facts for the connection. Decides nothing.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { DeviceChange } from '../../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../../shared/core/tunnel/events.ts';
import { toDeviceChange } from '../../shared/core/uapi/device-change.ts';
import { formatHostPort } from '../../shared/core/uapi/values.ts';
import type { TunnelBackend } from '../../shared/node/dataplane/messages.ts';
import type { Fact } from '../connection/event.ts';
import type { PeerEndpoint, Problem } from '../connection/state.ts';
import type { TunnelPlan } from '../driver/ports.ts';

/** Any local port, the plan's mark, and what the file says of keys and peers. */
export function deviceChangeFor(plan: TunnelPlan): DeviceChange {
  const change = toDeviceChange(plan.edge.config, endpointsByName(plan));
  return { listenPort: 0, ...change, fwmark: plan.mark };
}

export interface AnnounceOptions {
  readonly backend: Pick<TunnelBackend, 'status'>;
  readonly onFact: (fact: Fact) => void;
  readonly log: Log;
}

/** The fact that an event of the device is; where it roamed, once the device has said where to. */
export function announce(event: TunnelEvent, { backend, onFact, log }: AnnounceOptions): void {
  switch (event.kind) {
    case 'established':
      onFact({ kind: 'handshake' });
      return;
    case 'roamed':
      endpointsOf(backend).then(
        (endpoints) => onFact({ kind: 'roamed', endpoints }),
        (error: unknown) => log.debug('no status after roaming', { text: String(error) }),
      );
      return;
    default:
      onFact({ kind: event.kind });
  }
}

export function endedProblem(why: 'gone' | 'failed'): Problem {
  const text = why === 'gone' ? 'The network interface of the tunnel is gone.' : 'The tunnel met a bug.';
  return { code: 'tunnel-ended', text, remedy: 'culvert starts it again; see: culvert logs' };
}

async function endpointsOf(backend: Pick<TunnelBackend, 'status'>): Promise<readonly PeerEndpoint[]> {
  const { peers } = await backend.status();
  return peers.flatMap((peer, i) => (peer.endpoint === undefined ? [] : [{ peer: i, ...peer.endpoint }]));
}

/** What toDeviceChange looks up: the endpoint as the file writes it → where it is. */
function endpointsByName(plan: TunnelPlan): ReadonlyMap<string, { address: string; port: number }> {
  const { peers } = plan.edge.config;
  return new Map(
    plan.endpoints.flatMap(({ peer, address, port }) => {
      const written = peers[peer]?.endpoint;
      return written === undefined ? [] : [[formatHostPort(written), { address, port }]];
    }),
  );
}
