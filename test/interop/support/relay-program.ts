// A bad network for datagrams, run inside a host: `PORT TARGET_HOST TARGET_PORT OPTIONS_AS_JSON`. Chances are drawn
// from a seed. The line "replay" on standard input sends every recorded datagram towards the target once more and
// prints "replayed N"; the end of the input ends it.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

interface Options {
  readonly seed: number;
  /** Chances from 0 to 1, for datagrams of type 4 only. */
  readonly duplicate?: number;
  readonly delay?: number;
  /** Longest delay, milliseconds. */
  readonly delayMs?: number;
  readonly drop?: number;
  readonly record?: boolean;
}

/** So that a busy machine does not lose what the chances did not take. */
const bufferBytes = 4 * 1024 * 1024;
const maxRecorded = 20_000;
const transportType = 4;
const [listenPort, targetHost = '', targetPort, optionText = '{}'] = process.argv.slice(2);
const options: Options = JSON.parse(optionText) as Options;
const recorded: Buffer[] = [];
const random = seeded(options.seed);

const front = createSocket({ type: 'udp4', recvBufferSize: bufferBytes });
const back = createSocket({ type: 'udp4', recvBufferSize: bufferBytes });
let nearby: RemoteInfo | undefined;

front.on('message', (message, from) => {
  nearby = from;
  if (options.record === true && recorded.length < maxRecorded) recorded.push(message);
  pass(message, back, Number(targetPort), targetHost);
});
back.on('message', (message) => {
  if (nearby !== undefined) pass(message, front, nearby.port, nearby.address);
});
front.bind(Number(listenPort), () => console.log('listening'));

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  if (line === 'replay') void replay();
});
lines.on('close', () => process.exit(0));

function pass(message: Buffer, socket: Socket, port: number, host: string): void {
  if (message[0] !== transportType) return socket.send(message, port, host);
  if (random() < (options.drop ?? 0)) return;
  const copies = random() < (options.duplicate ?? 0) ? 2 : 1;
  for (let i = 0; i < copies; i++) {
    const late = random() < (options.delay ?? 0);
    if (late) setTimeout(() => socket.send(message, port, host), random() * (options.delayMs ?? 0));
    else socket.send(message, port, host);
  }
}

async function replay(): Promise<void> {
  let sent = 0;
  for (const message of recorded.slice()) {
    back.send(message, Number(targetPort), targetHost);
    sent += 1;
    if (sent % 16 === 0) await wait(1);
  }
  await wait(100);
  console.log(`replayed ${sent}`);
}

/** mulberry32: small, good enough to shuffle packets. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
