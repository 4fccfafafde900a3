// Sockets of the way out, with the system's own on loopback and timers that the test turns.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { connectSystem } from '../../edge/egress/system-tcp.ts';

const loopback = Uint8Array.of(127, 0, 0, 1);
const minute = 60_000;
let server: Server;
let port: number;

beforeEach(async () => {
  server = createServer((socket) => socket.on('error', () => undefined));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
  server.close();
});

test('asks the other side for a sign of life where a connection lasts', async () => {
  const socket = await connectSystem({ address: loopback, port }, new AbortController().signal);
  const asks = vi.spyOn(socket, 'setKeepAlive');
  await new Promise(setImmediate);

  expect(asks).not.toHaveBeenCalled();
  vi.advanceTimersByTime(minute);

  expect(asks).toHaveBeenCalledExactlyOnceWith(true, 120_000);
  socket.destroy();
});

test('asks the system for nothing more where a connection is over soon', async () => {
  const socket = await connectSystem({ address: loopback, port }, new AbortController().signal);
  const asks = vi.spyOn(socket, 'setKeepAlive');
  await new Promise(setImmediate);
  socket.destroy();
  await once(socket, 'close');

  vi.advanceTimersByTime(minute);

  expect(asks).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});
