/**
 * A TCP connection that leaves outside the tunnel: it carries the mark that the firewall and the routes let out. Without
 * the right to marks it leaves as every program's does; then there is no firewall of ours either.
 */

import { connect, type Socket } from 'node:net';
import { setConnectionMark } from '../../shared/node/udp/socket-options.ts';

export interface NumericPlace {
  readonly address: string;
  readonly port: number;
}

/** Begins to connect. `mark`: 0 for none. The caller listens to 'error', and ends it. */
export function connectMarked({ address, port }: NumericPlace, mark: number): Socket {
  const socket = connect({ host: address, port, autoSelectFamily: false });
  if (mark !== 0) setConnectionMark(socket, mark, address);
  return socket;
}
