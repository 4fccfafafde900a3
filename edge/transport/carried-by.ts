/** What carries a device's tunnel: UDP, or our own streams in TLS, which the tunnel sees on their own loopback addresses. */

import type { MonoMs } from '../../shared/core/base/time.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import { isStreamAddress } from './udp-streams.ts';

export type CarriedBy = (address: string) => Promise<'udp' | 'tls'>;

/** So long an answer holds: a status of thousands of devices is work. */
const holdsMs = 1000;

/** Asked with a device's address in the tunnel. */
export function carriedBy(status: () => DeviceStatus | Promise<DeviceStatus>, now: () => MonoMs): CarriedBy {
  let relayed: Promise<ReadonlySet<string>> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  return async (address) => {
    if (relayed === undefined || now() - askedAt >= holdsMs) {
      askedAt = now();
      relayed = Promise.resolve(status()).then(relayedIn);
    }
    const found = await relayed.catch(() => new Set<string>());
    return found.has(address) ? 'tls' : 'udp';
  };
}

function relayedIn({ peers }: DeviceStatus): ReadonlySet<string> {
  const through = peers.filter(({ endpoint }) => endpoint !== undefined && isStreamAddress(endpoint.address));
  return new Set(through.flatMap(({ allowedIps }) => allowedIps.map((prefix) => prefix.split('/')[0] ?? '')));
}
