/** Small questions to sockets, for examine.ts. None rejects, and none takes longer than a few seconds. */

import { connect as connectTcp } from 'node:net';
import { parseUpstream } from '../../shared/node/resolver/parse-upstream.ts';

const patienceMs = 3000;

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
