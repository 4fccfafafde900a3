import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type AnswerQuery, Stub } from '../../../../client/resolver/stub.ts';
import type { Log } from '../../../../shared/core/base/ports.ts';

const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const loopback = { address: '127.0.0.1', port: 0 };
/** A number that is free for UDP may be taken for TCP by somebody else's connection: then the next one. */
const anyPort = Array.from({ length: 8 }, () => loopback);
const echo: AnswerQuery = async (query, { overTcp }) => Uint8Array.of(...query, overTcp ? 1 : 0);
const question = Buffer.from('a question here');
const stubs: Stub[] = [];

async function listening(answer: AnswerQuery): Promise<{ stub: Stub; port: number }> {
  const stub = new Stub({ answer, log });
  stubs.push(stub);
  const { port } = await stub.listen(anyPort);
  return { stub, port };
}

afterEach(async () => {
  for (const stub of stubs.splice(0)) await stub.close();
});

function overUdp(port: number, query: Uint8Array): Promise<Buffer> {
  const socket = createSocket('udp4');
  return new Promise<Buffer>((resolve) => {
    socket.once('message', resolve);
    socket.send(query, port, '127.0.0.1');
  }).finally(() => socket.close());
}

test('answers over UDP and over TCP on one port', async () => {
  const { port } = await listening(echo);
  const framed = Buffer.concat([Buffer.from([0, question.length]), question]);

  const udp = await overUdp(port, question);
  const tcp = await new Promise<Buffer>((resolve) => {
    const parts: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.end(Buffer.concat([framed, framed])));
    socket.on('data', (part) => parts.push(part));
    socket.on('end', () => resolve(Buffer.concat(parts)));
  });

  const expected = Buffer.concat([Buffer.from([0, question.length + 1]), question, Buffer.from([1])]);
  expect(udp).toEqual(Buffer.concat([question, Buffer.from([0])]));
  expect(tcp).toEqual(Buffer.concat([expected, expected]));
});

test('takes the second place where the first is taken', async () => {
  const { port: taken } = await listening(echo);
  const stub = new Stub({ answer: echo, log });
  stubs.push(stub);

  const place = await stub.listen([{ address: '127.0.0.1', port: taken }, ...anyPort]);

  expect(place.port).not.toBe(taken);
  expect(stub.place).toEqual(place);
});

test('says who could not listen where', async () => {
  const { port } = await listening(echo);
  const stub = new Stub({ answer: echo, log });

  await expect(stub.listen([{ address: '127.0.0.1', port }])).rejects.toMatchObject({
    code: 'port-in-use',
    message: `Another program answers DNS on 127.0.0.1:${port} already.`,
  });
  expect(stub.place).toBeUndefined();
});

test('silence for one does not keep others from their answers', async () => {
  const { port } = await listening(async (query) => (query[0] === 0 ? undefined : query));
  const quiet = createSocket('udp4');
  quiet.send(Buffer.alloc(20), port, '127.0.0.1');

  expect(await overUdp(port, question)).toEqual(question);
  quiet.close();
});
