// Real servers of loopback for the contract of dialers: what a DialerWorld serves where the far end is this machine.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import type { DialerWorld, Place } from './dialer.ts';

export type LoopbackServers = Pick<
  DialerWorld,
  'serveTcp' | 'serveUdpEcho' | 'closedPlace' | 'reset' | 'close'
>;

/** `host`: 127.0.0.1 or ::1. */
export function loopbackServers(host: string): LoopbackServers {
  const closers: (() => void)[] = [];
  const listen = async (server: Server): Promise<Place> => {
    server.listen(0, host);
    await once(server, 'listening');
    return { host, port: (server.address() as AddressInfo).port };
  };
  return {
    serveTcp: (onStream) => {
      const sockets: Socket[] = [];
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        sockets.push(socket);
        onStream(socket);
      });
      closers.push(() => {
        server.close();
        for (const socket of sockets) socket.destroy();
      });
      return listen(server);
    },
    serveUdpEcho: async () => {
      const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
      socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
      socket.bind(0, host);
      await once(socket, 'listening');
      closers.push(() => socket.close());
      return { host, port: socket.address().port };
    },
    closedPlace: async () => {
      const server = createServer();
      const place = await listen(server);
      server.close();
      await once(server, 'close');
      return place;
    },
    reset: (stream) => {
      if (stream instanceof Socket) stream.resetAndDestroy();
    },
    close: async () => {
      for (const close of closers) close();
    },
  };
}
