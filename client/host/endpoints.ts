/**
 * Finds where an edge is: names in its file → numeric endpoints, through the system's resolver,
 * before the tunnel is up.
 */

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { PeerEndpoint } from '../connection/state.ts';
import type { ResolvePort } from '../driver/ports.ts';
import { systemNameServers } from './dns/name-servers.ts';

const lookupTimeoutMs = 10_000;

export const systemResolver: ResolvePort = {
  async resolve(edge, signal) {
    const found: PeerEndpoint[] = [];
    for (const [peer, { endpoint }] of edge.config.peers.entries()) {
      if (endpoint === undefined) continue;
      found.push({ peer, address: await addressOf(endpoint.host, signal), port: endpoint.port });
    }
    if (found.length > 0) return found;
    throw new CulvertError('bad-config', {
      text: 'No peer in the file of this edge has an Endpoint.',
      remedy: 'Add Endpoint = HOST:PORT to its [Peer] and import it again.',
    });
  },

  nameServers(edge) {
    const hasNames = edge.config.peers.some(
      (peer) => peer.endpoint !== undefined && isIP(peer.endpoint.host) === 0,
    );
    return hasNames ? systemNameServers() : [];
  },
};

async function addressOf(host: string, signal: AbortSignal): Promise<string> {
  if (isIP(host.split('%')[0] ?? '') !== 0) return host;
  // getaddrinfo cannot be stopped; what comes too late is not listened to.
  const limit = AbortSignal.any([signal, AbortSignal.timeout(lookupTimeoutMs)]);
  const tooLate = new Promise<never>((_, reject) => {
    limit.addEventListener('abort', () => reject(limit.reason as Error), { once: true });
  });
  try {
    return (await Promise.race([lookup(host), tooLate])).address;
  } catch (cause) {
    throw new CulvertError('endpoint-unresolved', { text: `The name ${host} cannot be looked up.`, cause });
  }
}
