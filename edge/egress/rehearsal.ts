/**
 * What is rehearsed for the way out (shared/node/flows/quiet-rehearsal.ts): a device opens a connection through a stack
 * like that of the tunnel, by rules and paths like the edge's, to a port of this machine that is there for it alone.
 */

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { formatAddress, type Prefix, parsePrefix } from '../../shared/core/base/ip.ts';
import type { Entropy, Log } from '../../shared/core/base/ports.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { FlowDialer } from '../../shared/node/flows/contract.ts';
import { Forwarder } from '../../shared/node/flows/forwarder.ts';
import type { Rehearsal } from '../../shared/node/flows/quiet-rehearsal.ts';
import { nearAddress, RehearsalTunnel } from '../../shared/node/flows/rehearsal-tunnel.ts';
import { breakOff } from '../../shared/node/flows/splice.ts';
import { EgressPaths } from './egress-paths.ts';
import { HostNames } from './host-name.ts';
import type { EgressRules } from './settings.ts';
import { WayOut } from './way-out.ts';

export interface EgressRehearsalParts {
  readonly udp: 'linux' | 'dgram';
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

const mtu = 1420;
/** A round that takes longer is not worth it here. */
const roundMs = 2000;
/** One at a time, and those that are on their way out. */
const maxFlows = 64;
const loopback = Uint8Array.of(127, 0, 0, 1);
/** Whom the device asks for: no stack takes packets to a loopback address. */
const elsewhere = Uint8Array.of(192, 0, 2, 1);
const device = 'rehearsal';

/** Rejects where no port can be had. */
export async function openEgressRehearsal(parts: EgressRehearsalParts): Promise<Rehearsal> {
  const { udp, clock, entropy, log } = parts;
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end('.'));
  });
  server.listen(0, formatAddress(loopback));
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const tunnel = await RehearsalTunnel.open({ udp, mtu, entropy }).catch((cause: unknown) => {
    server.close();
    throw cause;
  });
  const paths = new EgressPaths({
    config: {
      paths: [{ id: 'direct', type: 'direct' }],
      probe: { everyMs: roundMs, targets: [] },
      rules: [],
    },
    clock,
    entropy,
    log,
  });
  const names = new HostNames();
  const way = new WayOut({
    rules: rules(),
    isOwnAddress: () => false,
    connectionsPerDevice: maxFlows,
    now: () => clock.now(),
    maxFlows,
    ways: paths.chooser,
    nameOf: (asker, address) => names.find(asker, address, clock.now()),
  });
  const dialer: FlowDialer = {
    firstBytes: (request) => way.firstBytes(request),
    dialTcp: (request) => way.dialTcp({ ...request, destination: { address: loopback, port } }),
    openUdp: (request) => way.openUdp(request),
  };
  const forwarder = new Forwarder({ stack: tunnel.far, dialer, clock });
  return {
    round: () => visit(tunnel),
    close: () => {
      forwarder.close();
      way.close();
      paths.close();
      tunnel.close();
      server.close();
    },
  };
}

async function visit({ near }: RehearsalTunnel): Promise<void> {
  const signal = AbortSignal.timeout(roundMs);
  const stream = await near.connectTcp({ destination: elsewhere, port: 80 }, signal);
  try {
    stream.write('GET / HTTP/1.1\r\n\r\n');
    await once(stream, 'data', { signal });
    stream.resume().end();
  } catch (cause) {
    breakOff(stream);
    throw cause;
  }
}

/** One device, which may go to this machine. */
function rules(): EgressRules {
  return {
    edgeName: device,
    network: prefixes('10.0.0.0/24'),
    closePrivate: true,
    connectionsPerSecond: 0,
    allow: prefixes(formatAddress(loopback)).map((cidr) => ({ cidr, device: undefined })),
    pairs: [],
    devices: [{ name: device, key: device, prefixes: prefixes(formatAddress(nearAddress)) }],
    rules: [],
  };
}

function prefixes(text: string): readonly Prefix[] {
  const prefix = parsePrefix(text);
  return prefix === undefined ? [] : [prefix];
}
