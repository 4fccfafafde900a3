// One TCP connection that says a line every 20 ms and hears it again, for as long as it lasts. Arguments: host and port,
// and for a way through a SOCKS proxy its port. On every line of standard input, and at the end, prints as JSON how many
// lines came back, the longest silence since the line before (milliseconds), and whether the connection lives.
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [host = '', port = '0', proxyPort] = process.argv.slice(2);
let heard = 0;
let lastAt = performance.now();
let longestMs = 0;
let alive = false;

function note(): void {
  const now = performance.now();
  longestMs = Math.max(longestMs, now - lastAt);
  lastAt = now;
}

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (proxyPort === undefined) {
      const direct = connect({ host, port: Number(port), noDelay: true }, () => resolve(direct));
      direct.once('error', reject);
      return;
    }
    const socket = connect({ host: '127.0.0.1', port: Number(proxyPort), noDelay: true }, () => {
      const address = host.split('.').map(Number);
      // SOCKS4: one message there, one back.
      socket.write(Uint8Array.of(4, 1, Number(port) >> 8, Number(port) & 255, ...address, 0));
    });
    socket.once('error', reject);
    socket.once('data', (reply: Buffer) =>
      reply[1] === 90 ? resolve(socket) : reject(new Error('refused')),
    );
  });
}

const socket = await open();
alive = true;
lastAt = performance.now();
socket.on('error', () => undefined);
socket.on('close', () => {
  alive = false;
});
let rest = '';
socket.on('data', (chunk: Buffer) => {
  note();
  const lines = (rest + chunk.toString()).split('\n');
  rest = lines.pop() ?? '';
  heard += lines.length;
});
setInterval(() => {
  if (alive) socket.write('still here\n');
}, 20);
process.stdout.write('ready\n');
createInterface({ input: process.stdin }).on('line', () => {
  note();
  process.stdout.write(`${JSON.stringify({ heard, longestMs: Math.round(longestMs), alive })}\n`);
  longestMs = 0;
});
process.stdin.on('end', () => process.exit(0));
