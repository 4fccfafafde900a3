/** How a receipt's connections leave this machine: by the routes of the tunnel, or by the local proxy in front of it. */

import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { request } from '../../shared/node/http.ts';
import type { Credentials } from '../proxy/access.ts';

export interface Place {
  /** Name or numeric address. */
  readonly host: string;
  readonly port: number;
}

/** A connection of the system, wherever its routes lead. */
export async function dialSystem({ host, port }: Place, signal: AbortSignal): Promise<Duplex> {
  const socket = connect({ host, port, autoSelectFamily: true });
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.on('error', () => undefined).destroy();
    throw error;
  }
}

/** By CONNECT through the proxy on this machine. */
export async function dialProxy(
  proxy: Place,
  login: Credentials | undefined,
  to: Place,
  signal: AbortSignal,
): Promise<Duplex> {
  const host = to.host.includes(':') ? `[${to.host}]` : to.host;
  const authority = `${host}:${to.port}`;
  const secret =
    login === undefined ? '' : Buffer.from(`${login.username}:${login.password}`).toString('base64');
  const outgoing = request({
    host: proxy.host,
    port: proxy.port,
    method: 'CONNECT',
    path: authority,
    headers: {
      Host: authority,
      ...(login === undefined ? {} : { 'Proxy-Authorization': `Basic ${secret}` }),
    },
    signal,
    agent: false,
  });
  const connected = once(outgoing, 'connect', { signal }) as Promise<
    [{ readonly statusCode?: number }, Duplex]
  >;
  outgoing.end();
  const [{ statusCode }, stream] = await connected;
  if (statusCode === 200) return stream;
  stream.on('error', () => undefined).destroy();
  throw new Error(`the proxy answered ${statusCode}`);
}
