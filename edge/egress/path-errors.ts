/** What the system says about a dial → whose fault it is. Pure. */

import { type FailureKind, type FailureOf, PathError } from './path.ts';

/** Of a socket that dials the destination itself. */
const direct: Readonly<Record<string, readonly [of: FailureOf, kind: FailureKind, sentence: string]>> = {
  ECONNREFUSED: ['destination', 'refused', 'Nobody listens there.'],
  ECONNRESET: ['destination', 'refused', 'The destination broke the connection.'],
  ETIMEDOUT: ['destination', 'timeout', 'The destination does not answer.'],
  EHOSTUNREACH: ['destination', 'unreachable', 'The destination cannot be reached.'],
  EHOSTDOWN: ['destination', 'unreachable', 'The destination cannot be reached.'],
  EACCES: ['destination', 'unreachable', 'The system forbids that destination.'],
  EPERM: ['destination', 'unreachable', 'The firewall of the edge forbids that destination.'],
  EINVAL: ['destination', 'unreachable', 'That is no destination.'],
  ENETUNREACH: ['path', 'unreachable', 'There is no route by this path.'],
  ENETDOWN: ['path', 'unreachable', 'The network of this path is down.'],
  EADDRNOTAVAIL: ['path', 'unreachable', 'The machine does not have the address of this path.'],
  EAFNOSUPPORT: ['path', 'unreachable', 'This path has no such family of addresses.'],
  ENODEV: ['path', 'unreachable', 'The interface of this path is not there.'],
};

/** `cause`: of a dial to the destination itself. What is not known is the machine's own trouble. */
export function directError(cause: unknown): PathError {
  if (cause instanceof PathError) return cause;
  const known = direct[(cause as NodeJS.ErrnoException).code ?? ''];
  if (known !== undefined) return new PathError(...known, cause);
  return new PathError('path', 'unreachable', 'The machine cannot open a socket for it.', cause);
}

/** `cause`: of a dial to a proxy on the way. Whatever it is, the destination knows nothing of it. */
export function upstreamError(cause: unknown): PathError {
  if (cause instanceof PathError) return cause;
  return new PathError('path', 'unreachable', 'The upstream of this path cannot be reached.', cause);
}
