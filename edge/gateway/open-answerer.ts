/** The resolver inside the tunnel, from the edge's configuration. Connects to nobody before the first question. */

import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Family } from '../../shared/node/resolver/well-known.ts';
import type { DnsConfig } from '../config-dns.ts';
import { createDnsAnswerer, edgeCacheLimits, type ResolvingAnswerer } from '../dns/answerer.ts';

export interface OpenAnswererOptions {
  readonly dns: DnsConfig;
  /** The edge's own addresses in the tunnel: those of `edge.culvert`. */
  readonly gateways: readonly Uint8Array[];
  /** The filter that a device has chosen; undefined: the configuration's. */
  readonly familyOf: (device: string) => Family | undefined;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

export function openAnswerer(options: OpenAnswererOptions): ResolvingAnswerer {
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
