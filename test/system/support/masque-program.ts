// A MASQUE client (RFC 9298 over HTTP/2) that shares no code with ours: datagrams of a UDP port on loopback to the UDP
// port of a proxy's choosing, and back. Words: HOST, HTTPS-PORT, TARGET-HOST, TARGET-PORT. Says its own port once it stands.
import { createSocket, type RemoteInfo } from 'node:dgram';
import { connect } from 'node:http2';

const [host = '', port = '', targetHost = '', targetPort = ''] = process.argv.slice(2);
const session = connect(`https://${host}:${port}`, { rejectUnauthorized: false });
const socket = createSocket('udp4');
let other: RemoteInfo | undefined;

session.on('error', (error) => end(error.message));
session.once('remoteSettings', ({ enableConnectProtocol }) => {
  if (enableConnectProtocol !== true) end('no extended CONNECT');
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'connect-udp',
      ':scheme': 'https',
      ':authority': `${host}:${port}`,
      ':path': `/.well-known/masque/udp/${targetHost}/${targetPort}/`,
      'capsule-protocol': '?1',
    },
    { endStream: false },
  );
  stream.on('error', (error: Error) => end(error.message));
  stream.once('response', (headers) => {
    if (headers[':status'] !== 200) end(`status ${headers[':status']}`);
    socket.bind(0, '127.0.0.1', () => process.stdout.write(`port ${socket.address().port}\n`));
  });
  stream.once('close', () => end('closed'));
  socket.on('message', (bytes, from) => {
    other = from;
    // Type 0, length in two bytes, context 0.
    const head = Buffer.from([0, 0x40 | ((bytes.length + 1) >> 8), (bytes.length + 1) & 0xff, 0]);
    stream.write(Buffer.concat([head, bytes]));
  });
  let waiting = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    for (;;) {
      // Datagrams are shorter than 16 KiB here, so that a length takes one byte or two.
      const size = (waiting[1] ?? 0) < 0x40 ? 1 : 2;
      if (waiting.length < 1 + size) return;
      const length = size === 1 ? waiting.readUInt8(1) : waiting.readUInt16BE(1) & 0x3fff;
      const end = 1 + size + length;
      if (waiting.length < end) return;
      const payload = waiting.subarray(1 + size + 1, end);
      if (other !== undefined) socket.send(payload, other.port, other.address);
      waiting = waiting.subarray(end);
    }
  });
});

function end(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}
