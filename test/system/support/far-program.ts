// What is behind the tunnel of a test: web servers, a stream that ends by halves, a UDP echo, and a resolver that
// knows a few names. Started in a namespace of its own; says 'ready' when everything listens.
import { createSocket } from 'node:dgram';
import { createServer as createWeb } from 'node:http';
import { createServer } from 'node:net';
import { readMessage } from '../../../shared/core/dns/reader.ts';
import { writeAddressAnswer, writeAnswer } from '../../../shared/core/dns/writer.ts';

const v4 = Uint8Array.of(198, 51, 100, 1);
const v6 = Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const names: Readonly<Record<string, readonly Uint8Array[]>> = {
  'far_name.test': [v4, v6],
  'only4.test': [v4],
  'edge.culvert': [v4],
};
const nxDomain = 3;
/** An answer of this name only fits into TCP. */
const longName = 'long.test';

function answer(bytes: Uint8Array, overTcp: boolean, isStock: boolean): Uint8Array | undefined {
  const query = readMessage(bytes);
  if (query?.question === undefined) return undefined;
  const name = query.question.name.toLowerCase();
  if (name === longName) {
    const whole = writeAddressAnswer(query, [v4], 60);
    if (!overTcp) whole[2] = (whole[2] ?? 0) | 0x02;
    return overTcp ? whole : whole.subarray(0, query.question.end).fill(0, 6, 8);
  }
  const known = isStock && name === 'edge.culvert' ? undefined : names[name];
  if (known === undefined) return writeAnswer(query, { rcode: nxDomain });
  return writeAddressAnswer(query, known, 60);
}

function serveNames(address: string, isStock: boolean): void {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (bytes, from) => {
    const reply = answer(bytes, false, isStock);
    if (reply !== undefined) socket.send(reply, from.port, from.address);
  });
  socket.bind(53, address);
  const server = createServer((stream) => {
    stream.on('error', () => undefined);
    stream.once('data', (chunk: Buffer) => {
      const reply = answer(chunk.subarray(2), true, isStock) ?? new Uint8Array(0);
      stream.end(Buffer.concat([Buffer.from([reply.length >>> 8, reply.length & 0xff]), reply]));
    });
  });
  server.listen(53, address);
}

serveNames('198.51.100.1', false);
serveNames('198.51.100.2', true);

// As an edge of ours answers, but for the address.
createWeb((question, reply) => {
  const challenge = question.headers['x-culvert-challenge'];
  if (question.url === '/generate_204' && challenge !== undefined) {
    reply.writeHead(204, { 'X-Culvert-Response': `response ${String(challenge)}` }).end();
  } else if (question.url === '/trace') reply.end('edge=test\nip=10.9.0.2\nexit=203.0.113.7\n');
  else reply.end(question.socket.remoteAddress);
}).listen(80, '::');
createWeb((question, reply) => reply.end(question.socket.remoteAddress)).listen(8080, '::');

// Reads everything, then says how much it was: works only where a half can end alone.
createServer({ allowHalfOpen: true }, (stream) => {
  let bytes = 0;
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  stream.on('end', () => stream.end(`${bytes}`));
}).listen(9000, '::');

for (const family of ['udp4', 'udp6'] as const) {
  const socket = createSocket({ type: family, ipv6Only: family === 'udp6' });
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(9001);
}
setTimeout(() => process.stdout.write('ready\n'), 300);
