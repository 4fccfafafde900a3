/** Small questions to sockets, for examine.ts. None rejects, and none takes longer than a few seconds. */

import { createSocket } from 'node:dgram';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parseUpstream } from '../../shared/node/resolver/parse-upstream.ts';

const patienceMs = 3000;

/** True where some program has the UDP port: the edge answers nobody whom it does not know. */
export function isUdpTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', (cause: NodeJS.ErrnoException) => resolve(cause.code === 'EADDRINUSE'));
    socket.bind({ port, exclusive: true }, () => socket.close(() => resolve(false)));
  });
}

/** True where somebody speaks TLS on the port of this machine. */
export function tlsAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // Who it is does not matter here: devices compare its key.
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
    settle(socket, 'secureConnect', resolve);
  });
}

/** True where a connection to the resolver comes about; for plain DNS nothing is known before a question. */
export function upstreamReachable(text: string): Promise<boolean> {
  const { host, port, transport } = parseUpstream(text);
  if (transport === 'plain') return Promise.resolve(true);
  return new Promise((resolve) => {
    settle(connectTcp({ host, port, autoSelectFamily: true }), 'connect', resolve);
  });
}

interface Reaching {
  once(event: string, listener: () => void): unknown;
  destroy(): unknown;
}

function settle(socket: Reaching, success: string, resolve: (reached: boolean) => void): void {
  const timer = setTimeout(() => finish(false), patienceMs);
  const finish = (reached: boolean): void => {
    clearTimeout(timer);
    socket.destroy();
    resolve(reached);
  };
  socket.once(success, () => finish(true));
  socket.once('error', () => finish(false));
}
