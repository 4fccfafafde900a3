/**
 * The gateway of an edge with a network interface: its services listen on the interface's addresses, by sockets
 * of the system. Tells which of them stand, so that the firewall opens no other: on a port that we could not
 * have somebody else may listen.
 */

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Log } from '../../shared/core/base/ports.ts';
import { openReplyPort } from '../../shared/node/udp/open-reply.ts';
import { type Gateway, gatewayDnsPort, gatewayHttpPort } from './gateway.ts';

export interface GatewayPort {
  readonly address: string;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
}

export interface InterfaceGateway {
  /** What listens. */
  readonly ports: readonly GatewayPort[];
  close(): Promise<void>;
}

export interface InterfaceGatewayOptions {
  /** Of the interface, which is up. */
  readonly addresses: readonly string[];
  readonly gateway: Gateway;
  readonly log: Log;
}

/** Never rejects: what cannot be had is a warning, since the tunnel works without it. */
export async function serveOnInterface(options: InterfaceGatewayOptions): Promise<InterfaceGateway> {
  const { addresses, gateway, log } = options;
  const closers: (() => void)[] = [];
  const ports: GatewayPort[] = [];
  const open = async (at: GatewayPort, listen: (at: GatewayPort) => Promise<() => void>): Promise<void> => {
    try {
      closers.push(await listen(at));
      ports.push(at);
    } catch (cause) {
      const { protocol, port } = at;
      log.warn("a service of the edge's own address in the tunnel is missing", {
        protocol,
        port,
        why: (cause as NodeJS.ErrnoException).code ?? String(cause),
      });
    }
  };
  for (const address of addresses) {
    const tcp = (port: number): GatewayPort => ({ address, protocol: 'tcp', port });
    await open(tcp(gatewayHttpPort), (at) => listenTcp(at, gateway.serveHttp.bind(gateway)));
    await open(tcp(gatewayDnsPort), (at) => listenTcp(at, gateway.serveDns.bind(gateway)));
    await open({ ...tcp(gatewayDnsPort), protocol: 'udp' }, (at) => listenUdp(at, gateway));
  }
  return {
    ports,
    close: async () => {
      for (const close of closers) close();
      await gateway.close();
    },
  };
}

async function listenTcp(at: GatewayPort, serve: Gateway['serveHttp']): Promise<() => void> {
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) socket.destroy();
    else serve(socket, remoteAddress);
  });
  server.listen({ host: at.address, port: at.port, ipv6Only: true });
  await once(server, 'listening');
  server.on('error', () => undefined); // A connection that could not be taken; the next one may be.
  return () => server.close();
}

async function listenUdp(at: GatewayPort, gateway: Gateway): Promise<() => void> {
  const port = await openReplyPort(at, {
    beginRound: () => gateway.beginRound(),
    answerAtOnce: (question, answer, asker) => gateway.answerAtOnce(question, answer, asker),
    answer: (question, asker) => gateway.answerDatagram(question, asker.address),
  });
  return () => void port.close();
}
