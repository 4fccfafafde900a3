// What every ReplyPort promises, on loopback sockets.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { ReplyHandler, ReplyPlace, ReplyPort } from '../../shared/node/udp/reply-port.ts';

export interface ReplySubject {
  readonly name: string;
  readonly open: (place: ReplyPlace, handler: ReplyHandler) => Promise<ReplyPort>;
}

const echo: ReplyHandler = { answer: (question) => Uint8Array.of(...question, 1) };

export function replyPortContract({ name, open }: ReplySubject): void {
  const closers: (() => unknown)[] = [];
  const opened = async (handler: ReplyHandler, address = '127.0.0.1'): Promise<ReplyPort> => {
    const port = await open({ address, port: 0 }, handler);
    closers.push(() => port.close());
    return port;
  };
  const asker = (port: ReplyPort): { socket: Socket; got: Buffer[] } => {
    const socket = createSocket(port.address.includes(':') ? 'udp6' : 'udp4');
    closers.push(() => socket.close());
    const got: Buffer[] = [];
    socket.on('message', (bytes) => got.push(bytes));
    socket.connect(port.port, port.address);
    return { socket, got };
  };
  const ask = async (port: ReplyPort, ...questions: readonly Uint8Array[]): Promise<Buffer[]> => {
    const { socket, got } = asker(port);
    await once(socket, 'connect');
    for (const question of questions) socket.send(question);
    await vi.waitFor(() => expect(got.length).toBe(questions.length), 10_000);
    return got;
  };

  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  describe(`the reply port ${name}`, () => {
    test.each(['127.0.0.1', '::1'])('answers on %s, whoever asks, each its own', async (address) => {
      const port = await opened(echo, address);
      const [one, two] = await Promise.all([
        ask(port, Buffer.from('first')),
        ask(port, Buffer.from('second')),
      ]);

      expect([one, two]).toEqual([[Buffer.from('first\u0001')], [Buffer.from('second\u0001')]]);
    });

    test('gives every question of a burst its answer, at once or later', async () => {
      const port = await opened({
        answerAtOnce: (question, answer) => {
          if (question.bytes[question.at]! % 2 === 1) return false;
          answer.bytes[answer.at] = question.bytes[question.at]!;
          answer.bytes[answer.at + 1] = 7;
          answer.length = 2;
          return true;
        },
        answer: async (question) => {
          await Promise.resolve();
          return Uint8Array.of(question[0]!, 9);
        },
      });
      const questions = Array.from({ length: 200 }, (_, i) => Uint8Array.of(i, i, i));

      const got = await ask(port, ...questions);

      const ordered = got.toSorted((x, y) => x[0]! - y[0]!).map((bytes) => [...bytes]);
      expect(ordered).toEqual(questions.map(([i]) => [i, i! % 2 === 1 ? 9 : 7]));
    });

    test('says who asks, the same for the same address', async () => {
      const keys: (number | string)[] = [];
      const port = await opened({
        answer: (_question, { key, address }) => {
          keys.push(key);
          return Buffer.from(address);
        },
      });

      const got = [...(await ask(port, Buffer.of(1))), ...(await ask(port, Buffer.of(2)))];

      expect(got.map(String)).toEqual(['127.0.0.1', '127.0.0.1']);
      expect(keys[0]).toBe(keys[1]);
    });

    test('says nothing where there is nothing to say, and goes on', async () => {
      const port = await opened({
        answerAtOnce: (question, answer) => {
          answer.length = 0;
          return question.length === 1;
        },
        answer: (question) => (question.length === 2 ? undefined : question),
      });
      const { socket, got } = asker(port);
      await once(socket, 'connect');

      for (const size of [1, 2, 3]) socket.send(Buffer.alloc(size));

      await vi.waitFor(() => expect(got.length).toBe(1), 10_000);
      expect(got[0]).toEqual(Buffer.alloc(3));
    });

    test('takes and sends 4096 bytes; what is longer is counted and lost', async () => {
      const port = await opened({
        answer: (question) => (question.length === 1 ? new Uint8Array(4097) : new Uint8Array(question)),
      });
      const { socket, got } = asker(port);
      await once(socket, 'connect');

      for (const size of [4097, 1, 4096, 60_000, 0]) socket.send(Buffer.alloc(size));

      await vi.waitFor(() => expect(got.map(({ length }) => length)).toEqual([4096, 0]), 10_000);
      await vi.waitFor(() => expect(port.drops).toBe(3), 10_000);
    });

    test('survives 10 000 odd packets, and askers that are gone', async () => {
      const port = await opened(echo);
      const { socket } = asker(port);
      await once(socket, 'connect');
      for (let i = 0; i < 10_000; i++) {
        socket.send(Buffer.alloc(i % 300, i));
        // More at a time would be lost in front of the port.
        if (i % 50 === 49) await nextTurn();
      }
      const gone = createSocket('udp4');
      await new Promise((sent) => gone.send(Buffer.of(1), port.port, port.address, sent));
      gone.close();

      expect(await ask(port, Buffer.from('still there?'))).toEqual([Buffer.from('still there?\u0001')]);
    });

    test('refuses a place that is taken with the code of the system', async () => {
      const port = await opened(echo);

      await expect(open({ address: '127.0.0.1', port: port.port }, echo)).rejects.toMatchObject({
        code: 'EADDRINUSE',
      });
    });

    test('sends nothing after it was closed, and frees its place', async () => {
      let settle: (answer: Uint8Array) => void = () => {};
      const port = await opened({
        answer: () =>
          new Promise((resolve) => {
            settle = resolve;
          }),
      });
      const { socket, got } = asker(port);
      await once(socket, 'connect');
      socket.send(Buffer.of(1));
      await vi.waitFor(() => expect(settle.length).toBe(1), 10_000);

      await port.close();
      await port.close();
      settle(Uint8Array.of(2));

      const next = await open({ address: '127.0.0.1', port: port.port }, echo);
      closers.push(() => next.close());
      expect(await ask(next, Buffer.of(3))).toEqual([Buffer.of(3, 1)]);
      expect(got).toEqual([]);
    });
  });
}
