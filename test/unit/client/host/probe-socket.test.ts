import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProbeSocket } from '../../../../client/host/probe-socket.ts';

let far: Socket;
const probes = new ProbeSocket();

beforeEach(async () => {
  far = createSocket('udp4').bind(0, '127.0.0.1');
  await once(far, 'listening');
});
afterEach(() => {
  probes.close();
  far.close();
});

async function heard(from = '127.0.0.1'): Promise<RemoteInfo> {
  const message = once(far, 'message') as Promise<[Buffer, RemoteInfo]>;
  await probes.send({ address: '127.0.0.1', port: far.address().port, from, payload: Uint8Array.of(1) });
  return (await message)[1];
}

test('an answer to a probe finds its socket still there, and the next probe goes out from it', async () => {
  const first = await heard();
  far.send(Uint8Array.of(2), first.port, first.address);

  const second = await heard();

  expect(second.port).toBe(first.port);
});

test('after the end of the tunnel, and from another address of ours, there is a fresh one', async () => {
  const first = await heard();
  probes.close();
  const second = await heard();
  const third = await heard('127.0.0.2');

  expect(new Set([first.port, second.port, third.port]).size).toBe(3);
  expect(third.address).toBe('127.0.0.2');
});

test('a failure is told, and the next probe goes out all the same', async () => {
  const target = { address: '192.0.2.1', port: 9, from: '192.0.2.1', payload: Uint8Array.of(1) };

  const failed = await probes.send(target).catch((error: NodeJS.ErrnoException) => error.code);
  const later = await heard();

  expect(failed).toBe('EADDRNOTAVAIL');
  expect(later.address).toBe('127.0.0.1');
});
