// Numbered UDP datagrams, run inside a host: `count PORT` receives until its standard input ends and then prints
// {"total", "distinct", "inOrder"}; `send HOST PORT COUNT GAP_MS` sends them in groups of eight.
import { createSocket } from 'node:dgram';
import { setTimeout as wait } from 'node:timers/promises';

/** A busy machine must not lose what the tunnel carried. */
const bufferBytes = 4 * 1024 * 1024;
const groupSize = 8;
const payloadSize = 400;

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'count') count(Number(rest[0]));
else await sendAll(rest[0] ?? '', Number(rest[1]), Number(rest[2]), Number(rest[3]));

function count(port: number): void {
  const seen = new Set<number>();
  let total = 0;
  let inOrder = true;
  let last = -1;
  const socket = createSocket({ type: 'udp4', recvBufferSize: bufferBytes });
  socket.on('message', (message) => {
    const number = message.readUInt32BE(0);
    total += 1;
    if (number < last) inOrder = false;
    last = number;
    seen.add(number);
  });
  socket.bind(port, () => console.log('listening'));
  process.stdin.on('end', () => {
    console.log(JSON.stringify({ total, distinct: seen.size, inOrder }));
    process.exit(0);
  });
  process.stdin.resume();
}

async function sendAll(host: string, port: number, wanted: number, gapMs: number): Promise<void> {
  const socket = createSocket('udp4');
  const message = Buffer.alloc(payloadSize);
  for (let number = 0; number < wanted; number++) {
    message.writeUInt32BE(number, 0);
    await new Promise((resolve) => socket.send(message, port, host, resolve));
    if (number % groupSize === groupSize - 1) await wait(gapMs);
  }
  socket.close();
}
