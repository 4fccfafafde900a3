// A client of the proxy for what curl cannot do. Words: 'udp PORT HOST' or 'half PORT HOST'; prints what came back.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const [kind = '', port = '0', host = ''] = process.argv.slice(2);
const proxyHost = '127.0.0.1';

/** A SOCKS5 conversation (RFC 1928): the stream behind it, and the port of the answer. */
async function socks(command: number, name: string, to: number): Promise<readonly [Socket, number]> {
  const socket = connect({ host: proxyHost, port: Number(port), allowHalfOpen: true });
  await once(socket, 'connect');
  socket.write(Buffer.from([5, 1, 0]));
  await once(socket, 'data');
  socket.write(Buffer.concat([Buffer.from([5, command, 0]), place(name, to)]));
  const [reply] = (await once(socket, 'data')) as [Buffer];
  if (reply[1] !== 0) throw new Error(`the proxy said ${reply[1]}`);
  return [socket, reply.readUInt16BE(reply.length - 2)];
}

function place(name: string, to: number): Buffer {
  return Buffer.from([3, name.length, ...Buffer.from(name, 'latin1'), to >>> 8, to & 0xff]);
}

async function udp(): Promise<string> {
  const [control, relay] = await socks(3, '0.0.0.0', 0);
  const socket = createSocket('udp4');
  const got = once(socket, 'message') as Promise<[Buffer]>;
  const packet = Buffer.concat([Buffer.from([0, 0, 0]), place(host, 9001), Buffer.from('over udp')]);
  socket.send(packet, relay, proxyHost);
  const [answer] = await got;
  socket.close();
  control.destroy();
  return answer.subarray(-8).toString();
}

async function half(): Promise<string> {
  const [stream] = await socks(1, host, 9000);
  stream.end(Buffer.alloc(3_000_000, 1));
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

setTimeout(() => process.exit(3), 8000).unref();
process.stdout.write(`${kind === 'udp' ? await udp() : await half()}\n`);
process.exit(0);
