/**
 * Makes the kernel forget the connections of devices that were cut, where the tool for it is installed. Nothing
 * passes for them without it either: the tunnel knows them no more. With it their sockets here end at once.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { Run } from '../../shared/node/run.ts';

/** Beyond these one would rather wait for the entries to end by themselves. */
const maxAddresses = 256;

/** Programs at a time. */
const atOnce = 8;

/** Those that the addresses began, and those that others began with them. Never rejects. */
export async function forgetConnections(addresses: readonly string[], run: Run, log: Log): Promise<void> {
  const asked = addresses.slice(0, maxAddresses).flatMap((address) => [
    ['-s', address],
    ['-d', address],
  ]);
  try {
    for (let i = 0; i < asked.length; i += atOnce) {
      await Promise.all(asked.slice(i, i + atOnce).map((words) => forget(words, run)));
    }
  } catch {
    log.debug('connections are not forgotten: conntrack is not installed');
  }
}

/** Where there is none it ends with an error, which is fine. */
async function forget([flag = '', address = '']: readonly string[], run: Run): Promise<void> {
  const family = address.includes(':') ? 'ipv6' : 'ipv4';
  await run('conntrack', ['-D', '-f', family, flag, address], { allowFailure: true });
}
