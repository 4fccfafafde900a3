// A program that knows nothing of culvert: sends datagrams from one socket to each ADDRESS given, prints who answered.
import { createSocket } from 'node:dgram';

const [port = '7', ...addresses] = process.argv.slice(2);
const socket = createSocket(addresses.some((address) => address.includes(':')) ? 'udp6' : 'udp4');
let left = addresses.length;
socket.on('message', (bytes, from) => {
  process.stdout.write(`${bytes.toString()} from ${from.address}:${from.port}\n`);
  left--;
  if (left === 0) socket.close();
});
for (const address of addresses) socket.send(`hi ${address}`, Number(port), address);
setTimeout(() => process.exit(1), 5000).unref();
