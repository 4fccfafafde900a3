import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { formatAddress } from '../../shared/core/base/ip.ts';
import { DirectDialer } from '../support/direct-dialer.ts';
import { farAddresses, tunnelWorld } from '../support/tunnel-world.ts';
import { type DialerWorld, dialerContract, type Place } from './dialer.ts';

for (const address of [farAddresses.v4, farAddresses.v6]) {
  const title = `TunnelDialer on two stacks, at ${formatAddress(address)}`;
  dialerContract(title, () => Promise.resolve(openTunnel(address)));
}
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

function openTunnel(address: Uint8Array): DialerWorld {
  const world = tunnelWorld({ names: { 'known_name.test': [address] } });
  const { b } = world.pair;
  const host = formatAddress(address);
  let lastPort = 8000;
  const place = (): Place => ({ host, port: ++lastPort });
  return {
    dialer: world.dialer,
    knownName: 'known_name.test',
    unknownName: 'unknown.test',
    serveTcp: (onStream) => {
      const at = place();
      b.listenTcp(at.port, (incoming) => {
        const stream = incoming.accept();
        if (stream !== undefined) onStream(stream);
      });
      return Promise.resolve(at);
    },
    serveUdpEcho: () => {
      const at = place();
      b.listenUdp(at.port, (channel) => channel.onMessage((bytes) => channel.send(bytes)));
      return Promise.resolve(at);
    },
    closedPlace: () => Promise.resolve(place()),
    reset: (stream) => stream.destroy(),
    close: () => Promise.resolve(world.close()),
  };
}
