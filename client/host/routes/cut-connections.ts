/**
 * Ends connections whose address on this side is gone: with another edge the tunnel has other addresses, and a program
 * would wait for an answer that cannot come, for up to a quarter of an hour. Where it is told it tries again at once.
 * Decides nothing.
 */

import type { Log } from '../../../shared/core/base/ports.ts';
import type { Run } from '../../../shared/node/run.ts';

/** It ends what it finds and lists it; there is nothing to wait for. */
const timeoutMs = 2000;
/** A tunnel has few. */
const maxAddresses = 16;

/**
 * TCP, and UDP where it is connected (ss -K, Linux 4.5), of this network namespace. `addresses`: numeric, of none that this
 * machine still has. Never rejects: without it programs wait, as they would anyway.
 */
export async function cutConnections(run: Run, addresses: readonly string[], log: Log): Promise<void> {
  if (addresses.length === 0) return;
  const filter = addresses
    .slice(0, maxAddresses)
    .flatMap((one, i) => [...(i === 0 ? [] : ['or']), 'src', one.includes(':') ? `[${one}]` : one]);
  try {
    await run('ss', ['-KHntu', ...filter], { timeoutMs, allowFailure: true });
  } catch (error) {
    log.debug('connections of the tunnel before were not ended', { why: String(error) });
  }
}
