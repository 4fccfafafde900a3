/** The real sockets of this machine on one side, a pair of streams on the other; both kinds of port. */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Log } from '../../shared/core/base/ports.ts';
import { DatagramStream } from '../../shared/node/masque/datagram-stream.ts';
import { LoopbackDgram } from '../../shared/node/masque/loopback-dgram.ts';
import { openLoopbackLinux } from '../../shared/node/masque/loopback-linux.ts';
import type { LoopbackPort } from '../../shared/node/masque/loopback-port.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };
const patient = { timeout: 10_000, interval: 2 };
let tunnel: Socket;
let tunnelPort: number;
let heard: Buffer[];
const close: (() => void)[] = [];

beforeEach(async () => {
  tunnel = createSocket('udp4');
  heard = [];
  tunnel.on('message', (bytes) => heard.push(bytes));
  tunnel.bind(0, '127.0.0.1');
  await once(tunnel, 'listening');
  tunnelPort = tunnel.address().port;
});

afterEach(() => {
  for (const one of close.splice(0)) one();
  tunnel.close();
});

const linux = async (from: string): Promise<LoopbackPort | undefined> =>
  openLoopbackLinux({ toPort: tunnelPort, from, log: quiet });
const dgram = async (from: string): Promise<LoopbackPort | undefined> => LoopbackDgram.open(tunnelPort, from);

describe.each([
  ['native', linux],
  ['portable', dgram],
] as const)('a loopback port (%s)', (_, open) => {
  async function join(options: Partial<ConstructorParameters<typeof DatagramStream>[0]> = {}): Promise<{
    readonly far: ReturnType<typeof duplexPair>[0];
    readonly port: LoopbackPort;
    readonly stream: DatagramStream;
    readonly ends: string[];
  }> {
    const port = await open('127.83.0.9');
    if (port === undefined) throw new Error('no native calls here');
    const [near, far] = duplexPair();
    const ends: string[] = [];
    const stream = new DatagramStream({
      stream: near,
      port,
      idleMs: 60_000,
      onEnd: (why) => ends.push(why),
      ...options,
    });
    close.push(() => stream.end());
    return { far, port, stream, ends };
  }

  it('carries datagrams in both directions, from its own address', async () => {
    const { far, port } = await join();
    let source = '';
    tunnel.once('message', (_bytes, from) => (source = `${from.address}:${from.port}`));

    far.write(Buffer.from([0, 4, 0, 7, 8, 9, 0, 2, 0, 5]));
    await expect.poll(() => heard.length, patient).toBe(2);
    tunnel.send(Buffer.from([1, 2, 3]), port.port, port.address);
    const [chunk] = (await once(far, 'data')) as [Buffer];

    expect(heard.map((one) => [...one])).toEqual([[7, 8, 9], [5]]);
    expect(source).toBe(`127.83.0.9:${port.port}`);
    expect([...chunk]).toEqual([0, 4, 0, 1, 2, 3]);
  });

  it('keeps the order and the sizes of many', async () => {
    const { far } = await join();
    const sizes = Array.from({ length: 300 }, (_one, i) => (i % 7 === 0 ? 40 : 1452));
    const capsules = sizes.map((size, i) => {
      const head = size + 1 < 64 ? [0, size + 1, 0] : [0, 0x40 | ((size + 1) >> 8), (size + 1) & 0xff, 0];
      return Buffer.concat([Buffer.from(head), Buffer.alloc(size, i)]);
    });

    for (let i = 0; i < capsules.length; i += 50) {
      far.write(Buffer.concat(capsules.slice(i, i + 50)));
      await expect.poll(() => heard.length, patient).toBe(i + 50);
    }

    expect(heard.map((one) => one.length)).toEqual(sizes);
    expect(heard.map((one) => one[0])).toEqual(sizes.map((_one, i) => i % 256));
  });

  it('hears nobody but the port that it is for', async () => {
    const { far, port, stream } = await join();
    const stranger = createSocket('udp4');
    close.push(() => stranger.close());
    stranger.bind(0, '127.0.0.1');
    await once(stranger, 'listening');

    stranger.send(Buffer.from([6, 6]), port.port, port.address);
    tunnel.send(Buffer.from([1]), port.port, port.address);
    const [chunk] = (await once(far, 'data')) as [Buffer];

    expect([...chunk]).toEqual([0, 2, 0, 1]);
    expect(stream.counts.sent).toBe(1);
  });

  it('drops what is not admitted, and what nobody takes', async () => {
    const { far, port, stream } = await join({ admit: (first) => first !== 1 });
    tunnel.send(Buffer.from([1, 1]), port.port, port.address);
    tunnel.send(Buffer.from([2, 2]), port.port, port.address);
    const [chunk] = (await once(far, 'data')) as [Buffer];
    expect([...chunk]).toEqual([0, 3, 0, 2, 2]);
    far.pause();

    const big = Buffer.alloc(60_000, 9);
    for (let i = 0; i < 60; i++) {
      const before = stream.counts.sent + stream.counts.dropped;
      tunnel.send(big, port.port, port.address);
      await expect.poll(() => stream.counts.sent + stream.counts.dropped, patient).toBeGreaterThan(before);
    }

    expect(stream.counts.dropped).toBeGreaterThan(20);
    expect(stream.counts.sent).toBeGreaterThan(3);
  });

  it('ends once, with the stream, and takes nothing after that', async () => {
    const { far, port, stream, ends } = await join();

    far.end();
    await expect.poll(() => ends.length, patient).toBe(1);
    stream.end();

    expect(ends).toEqual(['closed']);
    expect(port.send(Uint8Array.of(1), 0, 1)).toBe(false);
  });

  it('ends where nothing moves for long', async () => {
    const { ends } = await join({ idleMs: 20 });
    await expect.poll(() => ends, patient).toEqual(['idle']);
  });
});
