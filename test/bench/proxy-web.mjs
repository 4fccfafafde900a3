// The web server of the proxy's benchmark. Usage: proxy-web.mjs WEB-PORT SILENT-PORT CONGESTION
// The first port answers GET with one byte and GET /down with zeros without end; every connection gets that congestion
// control, set on the socket and read back, because a namespace may silently keep another one. The second port
// takes connections and says nothing.

import { createServer as createWeb } from 'node:http';
import { createServer } from 'node:net';
import { requireLibc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';

const [webPort, silentPort, congestion] = process.argv.slice(2);
const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;
const nameSize = 16;
const block = Buffer.alloc(256 * 1024);

const libc = requireLibc();
const memory = new WorkerMemory(65_536, libc);
const nameAt = memory.alloc(nameSize);
const lengthAt = memory.alloc(8);

/** Throws where the socket does not end up with the wanted congestion control. */
function setCongestion(fd) {
  memory.bytes.fill(0, nameAt, nameAt + nameSize);
  memory.bytes.set(Buffer.from(congestion), nameAt);
  const name = memory.base + nameAt;
  const set = libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, congestion.length);
  memory.bytes.fill(0, nameAt, nameAt + nameSize);
  memory.view.setUint32(lengthAt, nameSize, true);
  libc.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, memory.base + lengthAt);
  const found = Buffer.from(memory.bytes.subarray(nameAt, nameAt + nameSize))
    .toString('latin1')
    .replace(/\0.*$/, '');
  if (set !== 0 || found !== congestion) throw new Error(`congestion control is ${found}, not ${congestion}`);
}

function pour(response) {
  let room = true;
  while (room && !response.destroyed) room = response.write(block);
  if (!response.destroyed) response.once('drain', () => pour(response));
}

const web = createWeb((request, response) => {
  if (request.url === '/down') pour(response);
  else response.end('.');
});
web.on('connection', (socket) => {
  setCongestion(socket._handle.fd);
  socket.setNoDelay(true);
});
web.listen(Number(webPort), '::', () => {
  const silent = createServer((socket) => socket.on('error', () => {}));
  silent.listen({ port: Number(silentPort), host: '::', backlog: 4096 }, () => {
    process.stdout.write(`listening ${congestion}\n`);
  });
});
