/**
 * What is rehearsed for the proxy (shared/node/flows/quiet-rehearsal.ts): a program connects to a port like ours, by SOCKS5
 * and by HTTP in turn, and has an answer through a stack like that of the tunnel. Leads nowhere: not into the tunnel, not
 * to the network. The port is one of this machine's own, for as long as it takes.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { parsePrefix } from '../../shared/core/base/ip.ts';
import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Rehearsal } from '../../shared/node/flows/quiet-rehearsal.ts';
import { nearAddress, RehearsalTunnel } from '../../shared/node/flows/rehearsal-tunnel.ts';
import { ProxyServer } from './server.ts';
import { SplitDialer } from './split-dialer.ts';
import { TunnelDialer } from './tunnel-dialer.ts';
import { TunnelNames } from './tunnel-names.ts';

export interface ProxyRehearsalParts {
  readonly udp: 'linux' | 'dgram';
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

const mtu = 1420;
/** A round that takes longer is not worth it here. */
const roundMs = 2000;
const answer = new TextEncoder().encode('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n.');
const request = 'GET / HTTP/1.1\r\nhost: 192.0.2.1\r\n\r\n';
/** Greeting and request, as a program says one after the other. */
const socksWords: readonly Uint8Array[] = [
  Uint8Array.of(5, 1, 0),
  Uint8Array.of(5, 1, 0, 1, 192, 0, 2, 1, 0, 80),
];
const httpWords: readonly string[] = ['CONNECT 192.0.2.1:80 HTTP/1.1\r\nhost: 192.0.2.1:80\r\n\r\n'];

/** Rejects where no port can be had. */
export async function openProxyRehearsal({
  udp,
  clock,
  entropy,
  log,
}: ProxyRehearsalParts): Promise<Rehearsal> {
  const tunnel = await RehearsalTunnel.open({ udp, mtu, entropy });
  tunnel.far.onTcp((incoming) => {
    const stream = incoming.accept();
    stream?.on('error', () => undefined).once('data', () => stream.end(answer));
  });
  const { near: stack } = tunnel;
  const own = [nearAddress];
  const now = (): ReturnType<Clock['now']> => clock.now();
  const names = new TunnelNames({ stack, resolvers: [], families: [nearAddress.length], entropy, now });
  const everywhere = parsePrefix('0.0.0.0/0');
  const reachable = everywhere === undefined ? [] : [everywhere];
  const dialer = new SplitDialer(new TunnelDialer({ stack, names, own, reachable, now }));
  const proxy = new ProxyServer({ dialer, log });
  const close = async (): Promise<void> => {
    await proxy.close();
    tunnel.close();
  };
  try {
    await proxy.listen(0);
  } catch (cause) {
    await close();
    throw cause;
  }
  proxy.setGate({ kind: 'open' });
  let rounds = 0;
  return { round: () => visit(proxy.port, rounds++ % 2 === 0 ? socksWords : httpWords), close };
}

async function visit(port: number, words: readonly (Uint8Array | string)[]): Promise<void> {
  const signal = AbortSignal.timeout(roundMs);
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  try {
    await once(socket, 'connect', { signal });
    for (const word of [...words, request]) await say(socket, word, signal);
  } finally {
    socket.destroy();
  }
}

/** Resolves with the answer's first bytes. */
async function say(socket: Socket, word: Uint8Array | string, signal: AbortSignal): Promise<void> {
  socket.write(word);
  await once(socket, 'data', { signal });
}
