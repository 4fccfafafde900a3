// A TCP exchange with checked content, run inside a host: `serve PORT` or `exchange HOST PORT BYTES [PACE_MS]`.
// Both sides send BYTES of a known sequence at the same time and hash what they get. With PACE_MS they send
// 16 KiB each so many milliseconds. Prints "ok", or what differs, and then exits with 1.
import { createCipheriv, createHash, type Hash } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

const chunkSize = 16 * 1024;
const headerSize = 16;
const hashSize = 32;

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'serve') serve(Number(rest[0]));
else await exchange(rest[0] ?? '', Number(rest[1]), Number(rest[2]), Number(rest[3] ?? 0));

function* content(seed: number, bytes: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  for (let left = bytes; left > 0; left -= chunkSize)
    yield cipher.update(Buffer.alloc(Math.min(left, chunkSize)));
}

function contentHash(seed: number, bytes: number): string {
  const hash = createHash('sha256');
  for (const chunk of content(seed, bytes)) hash.update(chunk);
  return hash.digest('hex');
}

async function send(socket: Socket, seed: number, bytes: number, paceMs: number): Promise<void> {
  for (const chunk of content(seed, bytes)) {
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
    if (paceMs > 0) await wait(paceMs);
  }
}

function serve(port: number): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    let head: Buffer = Buffer.alloc(0);
    let bytes = 0;
    let got = 0;
    let hash: Hash | undefined;
    let sent: Promise<void> = Promise.resolve();
    const take = (chunk: Buffer): void => {
      hash?.update(chunk);
      got += chunk.length;
      if (got === bytes) void sent.then(() => socket.end(hash?.digest() ?? ''));
    };
    socket.on('data', (chunk) => {
      if (hash !== undefined) return take(chunk);
      head = Buffer.concat([head, chunk]);
      if (head.length < headerSize) return;
      const [wanted = '', pace = ''] = head.toString('latin1', 0, headerSize).trim().split(' ');
      bytes = Number(wanted);
      hash = createHash('sha256');
      sent = send(socket, 2, bytes, Number(pace));
      take(head.subarray(headerSize));
    });
  });
  server.listen(port, '::', () => console.log('listening'));
}

async function exchange(host: string, port: number, bytes: number, paceMs: number): Promise<void> {
  const socket = connect({ host, port });
  const hash = createHash('sha256');
  let got = 0;
  let trailer: Buffer = Buffer.alloc(0);
  const ended = new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.on('data', (chunk: Buffer) => {
      const own = chunk.subarray(0, Math.max(0, bytes - got));
      hash.update(own);
      got += own.length;
      trailer = Buffer.concat([trailer, chunk.subarray(own.length)]);
      if (trailer.length === hashSize) socket.end();
    });
  });
  socket.write(`${bytes} ${paceMs}`.padStart(headerSize));
  await send(socket, 1, bytes, paceMs);
  await ended;
  const problems: string[] = [];
  if (got !== bytes) problems.push(`received ${got} of ${bytes} bytes`);
  if (hash.digest('hex') !== contentHash(2, bytes)) problems.push('what was received differs');
  if (trailer.toString('hex') !== contentHash(1, bytes)) problems.push('what the server received differs');
  console.log(problems.length === 0 ? 'ok' : problems.join('; '));
  process.exitCode = problems.length === 0 ? 0 : 1;
}
