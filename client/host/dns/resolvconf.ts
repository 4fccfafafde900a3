/** DNS through the program resolvconf, Debian's or openresolv: a record of ours, first in its order. */

import type { Run } from '../../../shared/node/run.ts';
import { ourResolvConf } from './resolv-conf.ts';

/** Debian's order puts tunnels first; openresolv takes -x for "only this one". */
export const resolvconfRecord = 'tun.culvert';

/**
 * Adds it. Whether that made the file ours is for the caller to see: a hook of another program may fail, and with it
 * this program's exit code.
 */
export async function addResolvconf(servers: readonly string[], base: string, run: Run): Promise<void> {
  const options = { stdin: ourResolvConf(servers, base), allowFailure: true };
  const exclusive = await run('resolvconf', ['-a', resolvconfRecord, '-m', '0', '-x'], options);
  // Debian's own knows neither word.
  if (exclusive.exitCode !== 0) await run('resolvconf', ['-a', resolvconfRecord], options);
}

/** Tolerates a record that is gone. */
export async function removeResolvconf(run: Run): Promise<void> {
  await run('resolvconf', ['-d', resolvconfRecord], { allowFailure: true });
}
