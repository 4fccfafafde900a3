/**
 * The web server at the far end of the demonstration, a process of its own in its own network. Tells each
 * visitor from which address they come; sends and takes bytes for the measurement. Started by whole-device-stage.ts.
 */

import { createServer, type ServerResponse } from 'node:http';

const block = Buffer.alloc(256 * 1024);
const port = Number(process.argv[2] ?? '80');

/** Sends zeros until the visitor hangs up. */
function pour(response: ServerResponse): void {
  let room = true;
  while (room && !response.destroyed) room = response.write(block);
  if (!response.destroyed) response.once('drain', () => pour(response));
}

const server = createServer((request, response) => {
  if (request.url === '/down') {
    pour(response);
    return;
  }
  let received = 0;
  request.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  request.on('end', () => {
    const from = request.socket.remoteAddress?.replace(/^::ffff:/, '');
    response.end(JSON.stringify({ from, received }));
  });
});

server.listen(port, '::', () => process.stdout.write('listening\n'));
