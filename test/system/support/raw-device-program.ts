// A device without any stack: sends the packets that it is told to (a line of hex each), and prints those it gets.
// Words: PRIVATE-KEY EDGE-KEY HOST PORT. Prints 'ready' when it has a session.
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { endpointSize } from '../../../shared/core/base/endpoint.ts';
import { writeEndpoint } from '../../../shared/core/base/ip.ts';
import { portableSuite } from '../../../shared/core/crypto/portable.ts';
import { headroom, PacketBatch, tailroom } from '../../../shared/core/packet/batch.ts';
import { TunnelDevice } from '../../../shared/core/tunnel/device.ts';
import { systemClock } from '../../../shared/node/clock.ts';
import { systemEntropy } from '../../../shared/node/entropy.ts';

const [privateKey = '', edgeKey = '', host = '', port = '0'] = process.argv.slice(2);
const arena = 1024 * 1024;
const memory = new Uint8Array(3 * arena);
const [input, toTun, out] = [0, 1, 2].map(
  (n) =>
    new PacketBatch({
      bytes: memory,
      arenaStart: n * arena,
      arenaEnd: (n + 1) * arena,
      capacity: 256,
      addressCapacity: 4,
    }),
) as [PacketBatch, PacketBatch, PacketBatch];
const clock = systemClock();
const device = new TunnelDevice({ suite: portableSuite, entropy: systemEntropy(), mtu: 1420 });
const endpoint = { address: host, port: Number(port) };
const record = new Uint8Array(endpointSize);
writeEndpoint(record, 0, endpoint);
const socket = createSocket('udp4');

function settle(): void {
  for (let i = 0; i < out.count; i++) {
    const start = out.offset[i] ?? 0;
    socket.send(memory.slice(start, start + (out.length[i] ?? 0)), endpoint.port, endpoint.address);
  }
  for (let i = 0; i < toTun.count; i++) {
    const start = toTun.offset[i] ?? 0;
    process.stdout.write(
      `${Buffer.from(memory.slice(start, start + (toTun.length[i] ?? 0))).toString('hex')}\n`,
    );
  }
  out.clear();
  toTun.clear();
  for (const event of device.takeEvents()) if (event.kind === 'established') process.stdout.write('ready\n');
}

function step(bytes: Uint8Array, handle: 'handleTun' | 'handleUdp'): void {
  input.clear();
  const offset = input.reserve(bytes.length + headroom + tailroom);
  memory.set(bytes, offset);
  const address = handle === 'handleUdp' ? input.addAddress(record, 0) : 0;
  input.push(offset, bytes.length, address);
  device.setWallClock(clock.now(), clock.unix());
  device[handle](input, clock.now(), toTun, out);
  settle();
}

socket.on('message', (bytes) => step(bytes, 'handleUdp'));
device.setWallClock(clock.now(), clock.unix());
device.configure(
  {
    privateKey: Buffer.from(privateKey, 'base64'),
    peers: [
      {
        publicKey: Buffer.from(edgeKey, 'base64'),
        endpoint,
        persistentKeepalive: 5,
        allowedIps: ['0.0.0.0/0', '::/0'],
      },
    ],
  },
  clock.now(),
);
setInterval(() => {
  device.setWallClock(clock.now(), clock.unix());
  device.handleTimeout(clock.now(), out);
  settle();
}, 20);
createInterface({ input: process.stdin }).on('line', (line) => step(Buffer.from(line, 'hex'), 'handleTun'));
