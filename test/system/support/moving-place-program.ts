// What a moving laptop meets outside: an echo server behind the edge, and the network's name server, whose answers come
// from a file that the test rewrites. Arguments: address of the name server, the file {name: [address]}, a second address
// of it (optional). Says 'ready'.
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { parseAddress } from '../../../shared/core/base/ip.ts';
import { readMessage } from '../../../shared/core/dns/reader.ts';
import { writeAddressAnswer, writeAnswer } from '../../../shared/core/dns/writer.ts';

const [file = '', ...addresses] = process.argv.slice(2);
const nxDomain = 3;

function answer(bytes: Uint8Array): Uint8Array | undefined {
  const query = readMessage(bytes);
  if (query?.question === undefined) return undefined;
  const names = JSON.parse(readFileSync(file, 'utf8')) as Record<string, readonly string[]>;
  const known = names[query.question.name.toLowerCase().replace(/\.$/, '')];
  if (known === undefined) return writeAnswer(query, { rcode: nxDomain });
  const wanted = known.flatMap((text) => parseAddress(text) ?? []);
  return writeAddressAnswer(query, wanted, 1);
}

for (const address of addresses) {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (bytes, from) => {
    const reply = answer(new Uint8Array(bytes));
    if (reply !== undefined) socket.send(reply, from.port, from.address);
  });
  socket.bind(53, address);
}

createServer({ noDelay: true }, (stream) => {
  stream.on('error', () => undefined);
  stream.pipe(stream);
}).listen(9100, '::', () => process.stdout.write('ready\n'));
