/**
 * The userspace stack against the Linux kernel, over a TUN interface in a network namespace of this process
 * alone: both directions, every way to end, loss, UDP and ICMP.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { NetEvent, TcpConnection, UdpFlow } from '../../shared/core/netstack/events.ts';
import {
  addressBytes,
  elsewhere,
  enterOwnNamespace,
  KernelPeer,
  type KernelPeerOptions,
  kernelAddress,
  stackAddress,
} from '../support/kernel-peer.ts';
import { describeWith } from '../support/requires.ts';

const run = promisify(execFile);
const families = [4, 6] as const;
const largeSize = 16 * 1024 * 1024;
const content = randomLooking(largeSize);
const contentHash = hashOf(content);

describeWith({ namespaces: true, tools: ['ss', 'ping'] }, 'the stack and the Linux kernel', () => {
  let peer: KernelPeer | undefined;
  let server: Server | undefined;

  beforeAll(enterOwnNamespace);

  afterEach(async () => {
    server?.close();
    server = undefined;
    // Resets and last acknowledgements still leave.
    await delay(5);
    peer?.close();
    peer = undefined;
  });

  function start(options: KernelPeerOptions = {}): KernelPeer {
    peer = new KernelPeer(options);
    return peer;
  }

  /** A kernel server on some port. */
  async function listen(family: 4 | 6, onSocket: (socket: Socket) => void): Promise<number> {
    server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      onSocket(socket);
    });
    server.listen(0, kernelAddress[family]);
    await once(server, 'listening');
    return (server.address() as { port: number }).port;
  }

  describe.each(families)('over IPv%i', (family) => {
    test.each([
      ['bbr', 0],
      ['newreno', 0],
      ['bbr', 0.01],
      ['newreno', 0.01],
    ] as const)('16 MiB reach the kernel whole (%s, loss %d)', async (congestion, loss) => {
      const { stack } = start({ congestion, loss });
      const arrived = createHash('sha256');
      const port = await listen(family, (socket) => {
        socket.on('data', (bytes) => arrived.update(bytes));
        socket.on('end', () => socket.end());
      });
      const began = performance.now();

      const end = await upload(
        peer!,
        stack.connectTcp({ destination: addressBytes(kernelAddress[family]), port })!,
      );

      expect(end).toBe('finished');
      expect(arrived.digest('hex')).toBe(contentHash);
      if (loss > 0) expect(peer!.lost).toBeGreaterThan(50);
      report(`stack to kernel, IPv${family}, ${congestion}, loss ${loss}`, performance.now() - began);
    });

    test.each([
      ['bbr', 0],
      ['bbr', 0.01],
    ] as const)('16 MiB come from the kernel whole (%s, loss %d)', async (congestion, loss) => {
      const { stack } = start({ congestion, loss });
      const port = await listen(family, (socket) => socket.end(content));
      const began = performance.now();

      const bytes = await readAll(
        peer!,
        stack.connectTcp({ destination: addressBytes(kernelAddress[family]), port })!,
      );

      expect(hashOf(bytes)).toBe(contentHash);
      report(`kernel to stack, IPv${family}, loss ${loss}`, performance.now() - began);
    });

    test('16 MiB go both ways at once on a connection that the kernel opened to somewhere else', async () => {
      const { stack } = start();
      const received: Uint8Array[] = [];
      echoEverything(peer!);
      const socket = connect(8080, elsewhere[family]);
      socket.on('data', (bytes) => received.push(bytes));

      socket.end(content);
      await once(socket, 'end');

      expect(hashOf(Buffer.concat(received))).toBe(contentHash);
      expect(stack.usage.memoryBytes).toBe(0);
    });

    test('the kernel sees SACK, time stamps and window scaling', async () => {
      const { stack } = start();
      const port = await listen(family, (socket) => socket.resume());
      const connection = stack.connectTcp({ destination: addressBytes(kernelAddress[family]), port })!;
      await event(peer!, 'tcp-opened');

      const { stdout } = await run('ss', ['-tieHn', 'state', 'established', 'sport', '=', `:${port}`]);

      expect(stdout).toMatch(/\bts sack\b/);
      expect(stdout).toMatch(/\bwscale:7,\d+\b/);
      connection.abort();
    });

    test('a closed port refuses in both directions', async () => {
      const { stack } = start();
      const gone = await listen(family, () => {});
      server!.close();
      stack.connectTcp({ destination: addressBytes(kernelAddress[family]), port: gone });

      const closed = await event(peer!, 'tcp-closed');
      const refused = await failure(connect(9, stackAddress[family]));

      expect(closed).toMatchObject({ end: 'refused' });
      expect(refused).toBe('ECONNREFUSED');
    });

    test.each([
      ['reset', 'ECONNREFUSED'],
      ['unreachable', 'EHOSTUNREACH'],
    ] as const)(
      'a connection to somewhere else that is refused with %s fails with %s',
      async (refusal, code) => {
        const { stack } = start();
        peer!.onEvent = (happened) => {
          if (happened.kind === 'tcp-incoming') stack.refuse(happened.connection, refusal);
        };

        expect(await failure(connect(443, elsewhere[family]))).toBe(code);
      },
    );

    test('the gateway answers pings', async () => {
      start();

      const { stdout } = await run('ping', ['-c', '2', '-i', '0.1', '-W', '2', stackAddress[family]]);

      expect(stdout).toContain(' 0% packet loss');
    });

    test.each([1, 1300, 4000, 30_000])('datagrams of %i bytes are echoed', async (size) => {
      const { stack } = start();
      peer!.onEvent = (happened) => {
        if (happened.kind === 'udp-incoming' || happened.kind === 'udp-readable')
          echoDatagrams(happened.flow);
      };
      const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
      const message = once(socket, 'message') as Promise<[Buffer]>;

      socket.send(content.subarray(0, size), 5353, elsewhere[family]);
      const [bytes] = await message;

      expect(bytes.equals(content.subarray(0, size))).toBe(true);
      expect(stack.usage.udpFlows).toBe(1);
      socket.close();
    });

    test('a refused datagram gives the sender an error', async () => {
      const { stack } = start();
      peer!.onEvent = (happened) => {
        if (happened.kind === 'udp-incoming') stack.refuse(happened.flow, 'unreachable');
      };
      const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
      socket.connect(5353, elsewhere[family]);
      await once(socket, 'connect');
      const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>;

      socket.send('hello');

      expect((await failed)[0].code).toBe('ECONNREFUSED');
      socket.close();
    });

    test('a datagram to a port of the kernel where nobody listens ends the flow', async () => {
      const { stack } = start();
      const flow = stack.openUdp({ destination: addressBytes(kernelAddress[family]), port: 9 })!;
      flow.send(Uint8Array.of(1));

      expect(await event(peer!, 'udp-closed')).toMatchObject({ end: 'unreachable' });
    });
  });

  describe('endings', () => {
    test('the kernel closes first, the stack still sends', async () => {
      const { stack } = start();
      const port = await listen(4, (socket) => {
        socket.end('bye');
      });
      const got = new Promise<string>((resolve) => {
        server!.on('connection', (socket: Socket) => {
          let text = '';
          socket.on('data', (bytes) => (text += bytes.toString()));
          socket.on('end', () => resolve(text));
        });
      });
      const connection = stack.connectTcp({ destination: addressBytes(kernelAddress[4]), port })!;
      const texts: string[] = [];
      const closed = new Promise<string>((resolve) => {
        peer!.onEvent = (happened) => {
          if (happened.kind === 'tcp-readable') {
            texts.push(readText(connection));
            if (connection.hasEnded && connection.state === 'close-wait') {
              connection.write(Buffer.from('after your end'));
              connection.close();
            }
          }
          if (happened.kind === 'tcp-closed') resolve(happened.end);
        };
      });

      expect(await got).toBe('after your end');
      expect(await closed).toBe('finished');
      expect(texts.join('')).toBe('bye');
      expect(stack.usage.timeWait).toBe(0);
    });

    test('the stack closes first, the kernel still sends, the stack waits in TIME-WAIT', async () => {
      const { stack } = start();
      const port = await listen(4, (socket) => {
        socket.resume();
        socket.on('end', () => socket.end('after your end'));
      });
      const connection = stack.connectTcp({ destination: addressBytes(kernelAddress[4]), port })!;
      connection.close();
      const bytes = await readAll(peer!, connection);

      expect(bytes.toString()).toBe('after your end');
      expect(stack.usage.timeWait).toBe(1);
      expect(connection.state).toBe('time-wait');
    });

    test('both close at once', async () => {
      const { stack } = start();
      const sockets: Socket[] = [];
      const port = await listen(4, (socket) => sockets.push(socket.resume()));
      const connection = stack.connectTcp({ destination: addressBytes(kernelAddress[4]), port })!;
      await event(peer!, 'tcp-opened');
      while (sockets.length === 0) await delay(1);

      connection.close();
      sockets[0]!.end();

      expect(await event(peer!, 'tcp-closed')).toMatchObject({ end: 'finished' });
    });

    test('the kernel resets', async () => {
      const { stack } = start();
      const port = await listen(4, (socket) => {
        socket.once('data', () => socket.resetAndDestroy());
      });
      const connection = stack.connectTcp({ destination: addressBytes(kernelAddress[4]), port })!;
      connection.write(Uint8Array.of(1, 2, 3));

      expect(await event(peer!, 'tcp-closed')).toMatchObject({ end: 'reset' });
      expect(connection.write(Uint8Array.of(1))).toBe(0);
    });

    test('the stack resets', async () => {
      const { stack } = start();
      peer!.onEvent = (happened) => {
        if (happened.kind === 'tcp-incoming') stack.accept(happened.connection);
        if (happened.kind === 'tcp-readable') happened.connection.abort();
      };
      const socket = connect(80, elsewhere[4]);
      socket.write('hello');

      expect(await failure(socket)).toBe('ECONNRESET');
      expect(stack.usage.connections).toBe(0);
    });

    test('a reset in the middle of a large transfer ends both sides', async () => {
      const { stack } = start();
      let received = 0;
      const port = await listen(4, (socket) => {
        socket.on('data', (bytes) => {
          received += bytes.length;
          if (received > 1_000_000) socket.resetAndDestroy();
        });
      });
      const connection = stack.connectTcp({ destination: addressBytes(kernelAddress[4]), port })!;

      expect(await upload(peer!, connection)).toBe('reset');
      expect(stack.usage.memoryBytes).toBe(0);
    });
  });

  test('a kernel that does not read stops the stack, and a reader that comes back gets everything', async () => {
    const { stack } = start();
    const arrived = createHash('sha256');
    const port = await listen(4, (socket) => {
      socket.pause();
      setTimeout(() => socket.resume(), 700);
      socket.on('data', (bytes) => arrived.update(bytes));
      socket.on('end', () => socket.end());
    });

    const end = await upload(peer!, stack.connectTcp({ destination: addressBytes(kernelAddress[4]), port })!);

    expect(end).toBe('finished');
    expect(arrived.digest('hex')).toBe(contentHash);
  });

  test('a consumer that does not read stops the kernel, and holds no more than its window', async () => {
    const { stack } = start();
    const port = await listen(4, (socket) => socket.end(content));
    const connection = stack.connectTcp({ destination: addressBytes(kernelAddress[4]), port })!;
    await event(peer!, 'tcp-opened');
    await delay(400);

    const held = stack.usage.memoryBytes;
    const bytes = await readAll(peer!, connection);

    expect(held).toBeLessThan(512 * 1024);
    expect(hashOf(bytes)).toBe(contentHash);
  });
});

/** Waits for the first event of a kind; whoever listened before goes on listening. */
function event(peer: KernelPeer, kind: NetEvent['kind']): Promise<object> {
  const before = peer.onEvent;
  return new Promise((resolve) => {
    peer.onEvent = (happened) => {
      before(happened);
      if (happened.kind === kind) resolve(happened);
    };
  });
}

/** Writes everything, closes, and says how the connection ended. */
function upload(peer: KernelPeer, connection: TcpConnection): Promise<string> {
  let at = 0;
  return new Promise((resolve) => {
    peer.onEvent = (happened) => {
      if (happened.kind === 'tcp-closed') resolve(happened.end);
      if (happened.kind !== 'tcp-opened' && happened.kind !== 'tcp-writable') return;
      while (at < content.length) {
        const taken = connection.write(content, at, Math.min(content.length, at + 65_536));
        if (taken === 0) return;
        at += taken;
      }
      connection.close();
    };
  });
}

/** Everything that comes; closes our side when theirs ended. */
function readAll(peer: KernelPeer, connection: TcpConnection): Promise<Buffer> {
  const parts: Buffer[] = [];
  const room = new Uint8Array(65_536);
  const drain = (): void => {
    for (let count = connection.read(room); count > 0; count = connection.read(room)) {
      parts.push(Buffer.from(room.subarray(0, count)));
    }
    if (connection.hasEnded) connection.close();
  };
  return new Promise((resolve) => {
    peer.onEvent = (happened) => {
      if (happened.kind === 'tcp-readable') drain();
      if (happened.kind !== 'tcp-closed') return;
      drain();
      resolve(Buffer.concat(parts));
    };
    drain();
  });
}

function readText(connection: TcpConnection): string {
  const room = new Uint8Array(1000);
  return Buffer.from(room.subarray(0, connection.read(room))).toString();
}

/** Accepts whatever comes and sends everything back. */
function echoEverything(peer: KernelPeer): void {
  const { stack } = peer;
  const room = new Uint8Array(65_536);
  let waiting = room.subarray(0, 0);
  const pump = (connection: TcpConnection): void => {
    for (;;) {
      if (waiting.length === 0) waiting = room.subarray(0, connection.read(room));
      if (waiting.length === 0) break;
      waiting = waiting.subarray(connection.write(waiting));
      if (waiting.length > 0) return;
    }
    if (connection.hasEnded) connection.close();
  };
  peer.onEvent = (happened) => {
    if (happened.kind === 'tcp-incoming') stack.accept(happened.connection);
    if (happened.kind === 'tcp-readable' || happened.kind === 'tcp-writable') pump(happened.connection);
  };
}

function echoDatagrams(flow: UdpFlow): void {
  const room = new Uint8Array(65_536);
  for (let length = flow.receive(room); length >= 0; length = flow.receive(room)) flow.send(room, 0, length);
}

/** The code with which a socket fails. */
async function failure(socket: Socket): Promise<string | undefined> {
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  return error.code;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function report(what: string, ms: number): void {
  console.log(`${what}: ${(largeSize / ms / 1000).toFixed(0)} MB/s`);
}

function randomLooking(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = 12_345;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}
