// Services for an attacker to find: TCP that says hello and UDP that echoes, on every port that is named, on all
// addresses. Prints 'heard TEXT' for every datagram. A word PORT@ADDRESS is an echo that answers from that address, and
// says 'heard TEXT at ADDRESS'. Words: PORT… PORT@ADDRESS…
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

const words = process.argv.slice(2).map((word) => word.split('@'));

async function echo(port: number, address: string | undefined): Promise<void> {
  const socket = createSocket({ type: address?.includes('.') === true ? 'udp4' : 'udp6', reuseAddr: true });
  const where = address === undefined ? '' : ` at ${address}`;
  socket.on('message', (bytes, from) => {
    process.stdout.write(`heard ${bytes.toString('latin1')}${where}\n`);
    socket.send(bytes, from.port, from.address, () => undefined);
  });
  socket.bind(port, address ?? '::', () => socket.setBroadcast(true));
  await once(socket, 'listening');
}

for (const [port, address] of words) {
  await echo(Number(port), address);
  if (address !== undefined) continue;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('hello');
  });
  server.listen(Number(port), '::');
  await once(server, 'listening');
}
process.stdout.write('listening\n');
