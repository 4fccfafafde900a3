import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { DirectDialer } from '../support/direct-dialer.ts';
import { type DialerWorld, dialerContract, type Place } from './dialer.ts';

for (const host of ['127.0.0.1', '::1']) dialerContract(`DirectDialer at ${host}`, () => openWorld(host));

async function openWorld(host: string): Promise<DialerWorld> {
  const closers: (() => void)[] = [];
  const tcp = async (server: Server): Promise<Place> => {
    server.listen(0, host);
    await once(server, 'listening');
    return { host, port: (server.address() as AddressInfo).port };
  };
  return {
    dialer: new DirectDialer({ 'known_name.test': host }),
    knownName: 'known_name.test',
    unknownName: 'unknown.test',
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
      return tcp(server);
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
      const place = await tcp(server);
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
