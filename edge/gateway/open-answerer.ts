/** The resolver inside the tunnel, from the edge's configuration. Connects to nobody before the first question. */

import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { DnsConfig } from '../config-dns.ts';
import { createDnsAnswerer, type DnsAnswerer, edgeCacheLimits } from '../dns/answerer.ts';

export interface OpenAnswererOptions {
  readonly dns: DnsConfig;
  /** The edge's own addresses in the tunnel: those of `edge.culvert`. */
  readonly gateways: readonly Uint8Array[];
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

export function openAnswerer(options: OpenAnswererOptions): DnsAnswerer {
  const { dns, gateways, ...place } = options;
  return createDnsAnswerer({
    ...place,
    settings: {
      upstreams: dns.upstreams,
      family: dns.families,
      cache: edgeCacheLimits(dns.cacheEntries),
    },
    // A device's name is nobody else's business.
    names: { gateway: gateways, addressesOf: () => undefined },
  });
}
