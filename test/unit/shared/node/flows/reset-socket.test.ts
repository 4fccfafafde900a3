import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { resetSocket } from '../../../../../shared/node/flows/reset-socket.ts';

const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
const ends: Socket[] = [];

afterEach(() => {
  for (const socket of ends.splice(0)) socket.destroy();
});

async function pair(): Promise<readonly [near: Socket, far: Socket]> {
  if (!server.listening) await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const arrived = once(server, 'connection') as Promise<[Socket]>;
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(near, 'connect');
  const [far] = await arrived;
  ends.push(near, far);
  return [near, far];
}

test('the other side hears a reset, not an end', async () => {
  const [near, far] = await pair();
  const heard = new Promise((resolve) => far.once('close', resolve));
  const errors: string[] = [];
  far.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? '')).resume();

  resetSocket(near);
  await heard;

  expect(errors).toEqual(['ECONNRESET']);
  expect(far.readableEnded).toBe(false);
});

test.each([
  ['while an end is under way', (near: Socket) => near.end('words')],
  ['after its end was taken', (near: Socket) => once(near.end(), 'finish')],
])('%s the socket closes all the same', async (_when, prepare) => {
  const [near, far] = await pair();
  far.on('error', () => undefined).resume();
  near.on('error', () => undefined);
  await prepare(near);
  const closed = once(near, 'close');

  resetSocket(near);
  resetSocket(near);
  await closed;

  expect(near.destroyed).toBe(true);
});
