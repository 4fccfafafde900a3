import { formatAddress } from '../../shared/core/base/ip.ts';
import { DirectDialer } from '../support/direct-dialer.ts';
import { farAddresses, tunnelWorld } from '../support/tunnel-world.ts';
import { type DialerWorld, dialerContract, type Place } from './dialer.ts';
import { loopbackServers } from './loopback-servers.ts';

for (const address of [farAddresses.v4, farAddresses.v6]) {
  const title = `TunnelDialer on two stacks, at ${formatAddress(address)}`;
  dialerContract(title, () => Promise.resolve(openTunnel(address)));
}
for (const host of ['127.0.0.1', '::1']) {
  dialerContract(`DirectDialer at ${host}`, () => Promise.resolve(openWorld(host)));
}

function openWorld(host: string): DialerWorld {
  return {
    dialer: new DirectDialer({ 'known_name.test': host }),
    knownName: 'known_name.test',
    unknownName: 'unknown.test',
    ...loopbackServers(host),
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
