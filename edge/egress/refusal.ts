/** What the system says about a destination that cannot be had → what the asker in the tunnel is told. Pure. */

import type { Refusal } from '../../shared/core/netstack/events.ts';

/** Half a minute of silence is what a packet filter without words gives; so does 'drop'. */
const refusals: Readonly<Record<string, Refusal>> = {
  ECONNREFUSED: 'reset',
  ECONNRESET: 'reset',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  ENONET: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EAFNOSUPPORT: 'unreachable',
  EINVAL: 'unreachable',
  EACCES: 'unreachable',
  EPERM: 'unreachable',
  ETIMEDOUT: 'drop',
};

/** Too many open files, no memory: not the destination's fault; a later try may succeed. */
const own: Refusal = 'drop';

/** `code`: as in NodeJS.ErrnoException. */
export function refusalOf(code: string | undefined): Refusal {
  return refusals[code ?? ''] ?? own;
}
