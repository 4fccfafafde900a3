/**
 * Makes the kernel forget the connections of devices that were cut, where the tool for it is installed. Nothing
 * passes for them without it either: the tunnel knows them no more. With it their sockets here end at once.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { Run } from '../../shared/node/run.ts';

/** Beyond these one would rather wait for the entries to end by themselves. */
const maxAddresses = 256;

/** Never rejects. */
export async function forgetConnections(addresses: readonly string[], run: Run, log: Log): Promise<void> {
  for (const address of addresses.slice(0, maxAddresses)) {
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    try {
      await run('conntrack', ['-D', '-f', family, '-s', address], { allowFailure: true });
    } catch {
      log.debug('connections are not forgotten: conntrack is not installed');
      return;
    }
  }
}
