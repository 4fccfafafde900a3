/**
 * What both kinds of tunnel share: an edge's file and its endpoints as a change of the device, and the device's
 * events as facts for the connection. Decides nothing.
 */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { DeviceChange } from '../../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../../shared/core/tunnel/events.ts';
import { toDeviceChange } from '../../shared/core/uapi/device-change.ts';
import { formatHostPort, zeroKey } from '../../shared/core/uapi/values.ts';
import type { TunnelBackend } from '../../shared/node/dataplane/messages.ts';
import type { Fact } from '../connection/event.ts';
import type { PeerEndpoint, Problem } from '../connection/state.ts';
import type { TunnelPlan } from '../driver/ports.ts';
import type { SessionKeys } from '../quantum/session-keeper.ts';

/** Any local port, the plan's mark, and what the file says of keys and peers. */
export function deviceChangeFor(plan: TunnelPlan): DeviceChange {
  const change = toDeviceChange(plan.edge.config, endpointsByName(plan));
  return { listenPort: 0, ...change, fwmark: plan.mark };
}

/** What asks the peers of a file for new sessions, at these endpoints. */
export function renewalFor({ edge }: TunnelPlan, endpoints: readonly PeerEndpoint[]): DeviceChange {
  const peers = edge.config.peers.flatMap(({ publicKey }, i) => {
    const place = endpoints.find(({ peer }) => peer === i);
    if (place === undefined) return [];
    const endpoint = { address: place.address, port: place.port };
    return [{ publicKey, updateOnly: true, endpoint, renew: true, allowedIps: [] }];
  });
  return { peers };
}

/** Initiations to the enrolled edge go to these places too; `ask`: and one is sent now. None: to no others any more. */
export function copiesFor({ edge }: TunnelPlan, places: readonly Endpoint[], ask: boolean): DeviceChange {
  const [peer] = edge.config.peers;
  if (peer === undefined) return { peers: [] };
  const { publicKey } = peer;
  const more = ask ? { renew: true } : {};
  return { peers: [{ publicKey, updateOnly: true, alsoTo: places, allowedIps: [], ...more }] };
}

/** The tunnel goes on with keys for one session, or with those of its file, and asks for a new session at once. */
export function rekeyFor(
  { edge }: TunnelPlan,
  keys: SessionKeys | undefined,
  present: 'goes on' | 'ends',
): DeviceChange {
  const { interface: own, peers } = edge.config;
  const privateKey = keys?.privateKey ?? own.privateKey;
  const [peer] = peers;
  if (peer === undefined || privateKey === undefined) return { peers: [] };
  const presharedKey = keys?.presharedKey ?? peer.presharedKey ?? zeroKey();
  const { publicKey } = peer;
  const renewed = { publicKey, updateOnly: true, presharedKey, renew: true, allowedIps: [] };
  return { privateKey, keepSessions: present === 'goes on', peers: [renewed] };
}

export interface AnnounceOptions {
  readonly backend: Pick<TunnelBackend, 'status'>;
  readonly onFact: (fact: Fact) => void;
  /** A send went unanswered for a second. */
  readonly onUnanswered: () => void;
  /** Datagrams are lost on their way to us. */
  readonly onLossy?: () => void;
  /** Much was sent for a second. */
  readonly onSending?: () => void;
  readonly log: Log;
}

/** The fact that an event of the device is; where it roamed, once the device has said where to. */
export function announce(event: TunnelEvent, options: AnnounceOptions): void {
  const { backend, onFact, onUnanswered, onLossy, onSending, log } = options;
  switch (event.kind) {
    case 'lossy':
      onLossy?.();
      return;
    case 'sending':
      onSending?.();
      return;
    case 'unanswered':
      onUnanswered();
      return;
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
