// The stream over a connection that the test plays.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { TcpConnection } from '../../../../../shared/core/netstack/events.ts';
import { TcpStream } from '../../../../../shared/node/flows/tcp-stream.ts';

class FakeConnection {
  readonly arrived: number[] = [];
  readonly sent: number[] = [];
  readonly asked: string[] = [];
  room = Number.POSITIVE_INFINITY;
  isEnded = false;

  get readableBytes(): number {
    return this.arrived.length;
  }
  get hasEnded(): boolean {
    return this.isEnded && this.arrived.length === 0;
  }
  read(into: Uint8Array): number {
    const bytes = this.arrived.splice(0, into.length);
    into.set(bytes);
    return bytes.length;
  }
  write(bytes: Uint8Array, start = 0): number {
    const taken = Math.min(this.room, bytes.length - start);
    this.sent.push(...bytes.subarray(start, start + taken));
    this.room -= taken;
    return taken;
  }
  close(): void {
    this.asked.push('close');
  }
  abort(): void {
    this.asked.push('abort');
    this.arrived.length = 0;
  }
}

function open() {
  const connection = new FakeConnection();
  let wakes = 0;
  const tcp = new TcpStream(connection as unknown as TcpConnection, () => wakes++);
  const text = (bytes: readonly number[]): string => Buffer.from(bytes).toString();
  return { connection, tcp, stream: tcp.stream, wakes: () => wakes, text };
}

describe('writing', () => {
  test('a write that finds no room goes on where the stack has some again', async () => {
    const { connection, tcp, stream, text } = open();
    connection.room = 3;
    let isWritten = false;
    stream.write('abcdef', () => (isWritten = true));
    await nextTurn();
    expect(text(connection.sent)).toBe('abc');
    expect(isWritten).toBe(false);

    connection.room = 2;
    tcp.handleWritable();
    connection.room = 9;
    tcp.handleWritable();
    await nextTurn();

    expect(text(connection.sent)).toBe('abcdef');
    expect(isWritten).toBe(true);
  });

  test('writes gathered while there was no room go on at the right byte', async () => {
    const { connection, tcp, stream, text } = open();
    connection.room = 0;
    for (const piece of ['a', 'bcd', '', 'efg', 'h']) stream.write(piece);
    stream.end();

    for (let i = 0; i < 10; i++) {
      connection.room = 1;
      tcp.handleWritable();
      await nextTurn();
    }

    expect(text(connection.sent)).toBe('abcdefgh');
    expect(connection.asked).toEqual(['close']);
  });

  test('the driver is woken for what was written and for the end', async () => {
    const { stream, wakes } = open();

    stream.write('a');
    const afterWrite = wakes();
    stream.end();
    await nextTurn();

    expect(afterWrite).toBe(1);
    expect(wakes()).toBeGreaterThan(1);
  });
});

describe('reading', () => {
  test('nothing is taken from the stack before somebody reads', () => {
    const { connection, tcp } = open();
    connection.arrived.push(1, 2, 3);

    tcp.handleReadable();

    expect(connection.arrived).toHaveLength(3);
  });

  test('a paused reader leaves bytes in the stack, where they close the window', async () => {
    const { connection, tcp, stream } = open();
    stream.on('data', () => {});
    stream.pause();
    for (let i = 0; i < 20; i++) {
      connection.arrived.push(...Buffer.alloc(30_000));
      tcp.handleReadable();
      await nextTurn();
    }

    expect(stream.readableLength).toBeLessThan(300_000);
    expect(connection.arrived.length).toBeGreaterThan(300_000);
  });

  test('the end comes once, after all bytes', async () => {
    const { connection, tcp, stream, text } = open();
    const seen: number[] = [];
    let ends = 0;
    stream.on('data', (chunk: Buffer) => seen.push(...chunk));
    stream.on('end', () => ends++);
    await nextTurn();

    connection.arrived.push(...Buffer.from('bye'));
    connection.isEnded = true;
    tcp.handleReadable();
    tcp.handleReadable();
    tcp.handleClosed('finished');
    await nextTurn();

    expect(text(seen)).toBe('bye');
    expect(ends).toBe(1);
  });
});

describe('ending', () => {
  test('destroying an open connection resets it', () => {
    const { connection, stream } = open();

    stream.destroy();

    expect(connection.asked).toEqual(['abort']);
  });

  test('a connection whose directions have both ended is left to the stack', async () => {
    const { connection, tcp, stream } = open();
    stream.resume();
    stream.end();
    connection.isEnded = true;
    await nextTurn();
    tcp.handleReadable();

    await nextTurn();

    expect(stream.closed).toBe(true);
    expect(connection.asked).toEqual(['close']);
  });

  test.each([
    ['reset', 'ECONNRESET'],
    ['timeout', 'ETIMEDOUT'],
    ['unreachable', 'EHOSTUNREACH'],
    ['aborted', 'ECONNABORTED'],
  ] as const)('a connection that ends by %s is an error with code %s', async (end, code) => {
    const { tcp, stream } = open();

    tcp.handleClosed(end);
    await nextTurn();

    expect(stream.errored).toMatchObject({ code });
  });

  test('a write that waits fails with the connection', async () => {
    const { connection, tcp, stream } = open();
    connection.room = 0;
    const outcome = new Promise((resolve) => {
      stream.write('x', resolve);
    });

    tcp.handleClosed('reset');

    expect(await outcome).toMatchObject({ code: 'ECONNRESET' });
  });

  test('a listener that destroys the stream while it is given bytes gets no more', async () => {
    const { connection, tcp, stream } = open();
    let chunks = 0;
    stream.on('data', () => {
      chunks++;
      stream.destroy();
    });
    await nextTurn();

    for (let i = 0; i < 10; i++) connection.arrived.push(...Buffer.alloc(20_000));
    tcp.handleReadable();
    await nextTurn();

    expect(chunks).toBe(1);
  });
});
