// Sockets that read into one memory, with a reader of their own or none, between two ends on loopback.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { directRead, markDirect, sinkDirectly } from '../../../../../shared/node/flows/direct-read.ts';
import { splice } from '../../../../../shared/node/flows/splice.ts';
import { allOf } from '../../../../support/flow-pair.ts';
import { patternBytes } from '../../../../support/packets.ts';
import { streamPair } from '../../../../support/stream-pair.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A socket that reads directly, and what it is connected to. */
async function pair(): Promise<readonly [Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const near = connect({ host: '127.0.0.1', port, allowHalfOpen: true, onread: directRead() });
  markDirect(near);
  const [far] = (await once(server, 'connection')) as [Socket];
  closers.push(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

describe('a socket that reads into the memory of its thread', () => {
  test('is an ordinary stream for whoever knows nothing of it, also for two at once', async () => {
    const pairs = await Promise.all([pair(), pair()]);
    const sent = [patternBytes(700_000, 1), patternBytes(700_000, 2)];
    pairs.forEach(([, far], i) => far.end(sent[i]));

    const heard = await Promise.all(pairs.map(([near]) => allOf(near)));

    expect(heard.map((bytes, i) => bytes.equals(sent[i]!))).toEqual([true, true]);
  });

  test('gives its reader what came before it was there first, rests when told, and goes on', async () => {
    const [near, far] = await pair();
    far.write('first ');
    await once(near, 'readable');
    far.write('second');
    let heard = '';
    let isFull = true;
    expect(
      sinkDirectly(near, (bytes) => {
        heard += Buffer.from(bytes).toString();
        if (isFull) near.pause();
        return !isFull;
      }),
    ).toBe(true);
    near.on('data', (bytes: Buffer) => {
      heard += bytes.toString();
    });
    await expect.poll(() => heard).toBe('first second');

    isFull = false;
    far.end(' third');
    near.resume();
    await once(near, 'end');

    expect(heard).toBe('first second third');
  });

  test('joined to another stream carries every byte in order, however slowly that is read', async () => {
    const [near, far] = await pair();
    const [ours, theirs] = streamPair();
    theirs.on('error', () => {});
    splice(ours, near);
    const sent = Buffer.from(patternBytes(2_000_000));
    far.end(sent);
    const pieces: Buffer[] = [];
    for await (const piece of theirs.iterator({ destroyOnReturn: false })) {
      pieces.push(piece as Buffer);
      await new Promise((resolve) => setImmediate(resolve));
    }

    expect(Buffer.concat(pieces).equals(sent)).toBe(true);
  });

  test('is not made of any other socket', async () => {
    const [, far] = await pair();
    expect(sinkDirectly(far, () => true)).toBe(false);
  });
});
