// The contract of Dialer: every implementation runs this suite.

import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DialError, type Dialer, type UdpFlow, type UdpMessage } from '../../client/proxy/dialer.ts';

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** The world at the far end of a dialer, made anew for each test. */
export interface DialerWorld {
  readonly dialer: Dialer;
  /** Accepts connections; the streams have allowHalfOpen. */
  serveTcp(onStream: (stream: Duplex) => void): Promise<Place>;
  /** Sends every datagram back to where it came from. */
  serveUdpEcho(): Promise<Place>;
  /** Breaks a stream that `serveTcp` accepted, by a reset. */
  reset(stream: Duplex): void;
  /** Somewhere nobody listens. */
  closedPlace(): Promise<Place>;
  /** Another name of the host that `serveTcp` and `serveUdpEcho` are on. */
  readonly knownName: string;
  readonly unknownName: string;
  close(): Promise<void>;
}

/** Turns of the event loop after which a full pipe is believed to stay full. */
const patience = 300;
const chunkBytes = 64 * 1024;
/** More than any pair of socket buffers holds. */
const plentyBytes = 64 * 1024 * 1024;

export function dialerContract(name: string, makeWorld: () => Promise<DialerWorld>): void {
  describe(name, () => {
    let world: DialerWorld;
    let flows: UdpFlow[] = [];

    beforeEach(async () => {
      world = await makeWorld();
    });
    afterEach(async () => {
      for (const flow of flows) flow.close();
      flows = [];
      await world.close();
    });

    const dial = (place: Place, signal = new AbortController().signal): Promise<Duplex> =>
      world.dialer.dialTcp({ ...place, signal });
    /** A dialled stream and the far end's stream of the same connection. */
    async function pair(): Promise<readonly [Duplex, Duplex]> {
      const accepted = Promise.withResolvers<Duplex>();
      const place = await world.serveTcp(accepted.resolve);
      const near = await dial(place);
      return [near, await accepted.promise];
    }

    test('carries bytes both ways, exactly', async () => {
      const [near, far] = await pair();
      const up = pattern(300_000, 1);
      const down = pattern(500_000, 2);

      near.end(up);
      far.end(down);

      expect(await Promise.all([readAll(far), readAll(near)])).toEqual([up, down]);
    });

    test('dials by name', async () => {
      const place = await world.serveTcp((far) => far.end('hello'));

      const near = await dial({ ...place, host: world.knownName });

      expect((await readAll(near)).toString()).toBe('hello');
      near.end();
    });

    test('says that nobody listens', async () => {
      const place = await world.closedPlace();

      const failure = await dial(place).catch((error: unknown) => error);

      expect(failure).toBeInstanceOf(DialError);
      expect(failure).toMatchObject({ failure: 'refused' });
    });

    test('says that a name does not exist', async () => {
      const failure = await dial({ host: world.unknownName, port: 80 }).catch((error: unknown) => error);

      expect(failure).toMatchObject({ name: 'DialError', failure: 'name-not-found' });
    });

    test('gives up with the reason of its signal, before and during a dial', async () => {
      const place = await world.serveTcp((far) => far.on('error', () => {}));
      const reason = new DialError('timeout', 'too slow');
      const abort = new AbortController();

      const running = dial(place, abort.signal);
      abort.abort(reason);

      await expect(running).rejects.toBe(reason);
      await expect(dial(place, abort.signal)).rejects.toBe(reason);
    });

    test('an abort after the dial changes nothing', async () => {
      const place = await world.serveTcp((far) => far.pipe(far));
      const abort = new AbortController();
      const near = await dial(place, abort.signal);

      abort.abort(new DialError('timeout', 'too late'));
      near.end('still here');

      expect((await readAll(near)).toString()).toBe('still here');
    });

    test('the far end may stop sending and go on receiving', async () => {
      const [near, far] = await pair();

      far.end('last words');
      expect((await readAll(near)).toString()).toBe('last words');
      near.end('and mine');

      expect((await readAll(far)).toString()).toBe('and mine');
    });

    test('the near end may stop sending and go on receiving', async () => {
      const [near, far] = await pair();

      near.end('question');
      expect((await readAll(far)).toString()).toBe('question');
      far.end('answer');

      expect((await readAll(near)).toString()).toBe('answer');
    });

    test('a far end that does not read stops the near end from writing', async () => {
      const [near, far] = await pair();
      far.pause();

      const written = await fill(near);
      expect(written).toBeLessThan(plentyBytes);
      near.end();

      expect((await readAll(far)).length).toBe(written);
      far.end();
    });

    test('a near end that does not read stops the far end from writing', async () => {
      const [near, far] = await pair();
      near.pause();

      const written = await fill(far);
      expect(written).toBeLessThan(plentyBytes);
      expect(near.readableLength).toBeLessThanOrEqual(near.readableHighWaterMark + chunkBytes);
      far.end();

      expect((await readAll(near)).length).toBe(written);
      near.end();
    });

    test('a reset by the far end is an error, not an end', async () => {
      const [near, far] = await pair();
      let ended = false;
      near.on('end', () => {
        ended = true;
      });
      const broken = once(near, 'error');
      near.resume();

      world.reset(far);

      await broken;
      await closed(near);
      expect(ended).toBe(false);
    });

    test('destroying the near end closes the far end', async () => {
      const [near, far] = await pair();
      far.on('error', () => {}).resume();

      near.destroy();
      far.on('end', () => far.end());

      await closed(far);
    });

    test('a stream that both sides have ended closes by itself', async () => {
      const [near, far] = await pair();

      near.end('a');
      far.end('b');
      await Promise.all([readAll(near), readAll(far)]);

      await Promise.all([closed(near), closed(far)]);
      expect(near.errored).toBeNull();
    });

    test('exchanges datagrams and says whom they came from', async () => {
      const place = await world.serveUdpEcho();
      const flow = open();
      const answers = collect(flow);

      flow.send(place.host, place.port, pattern(1200, 3));

      expect(await answers.next()).toEqual({ ...place, bytes: pattern(1200, 3) });
    });

    test('one flow reaches several places, by address and by name', async () => {
      const places = [await world.serveUdpEcho(), await world.serveUdpEcho()];
      const flow = open();
      const answers = collect(flow);

      flow.send(places[0]!.host, places[0]!.port, pattern(10, 1));
      flow.send(world.knownName, places[1]!.port, pattern(20, 2));

      const both = [await answers.next(), await answers.next()];
      expect(both.toSorted((a, b) => a.bytes.length - b.bytes.length)).toEqual([
        { ...places[0], bytes: pattern(10, 1) },
        { ...places[1], bytes: pattern(20, 2) },
      ]);
    });

    test('leaves the sent bytes to their owner', async () => {
      const place = await world.serveUdpEcho();
      const flow = open();
      const answers = collect(flow);
      const bytes = pattern(100, 1);

      flow.send(place.host, place.port, bytes);
      bytes.fill(0);

      expect((await answers.next()).bytes).toEqual(pattern(100, 1));
    });

    test('loses datagrams to unknown names and after close, without a word', async () => {
      const place = await world.serveUdpEcho();
      const flow = open();

      expect(() => flow.send(world.unknownName, 53, pattern(10, 1))).not.toThrow();
      flow.close();
      expect(() => flow.send(place.host, place.port, pattern(10, 1))).not.toThrow();
      expect(() => flow.close()).not.toThrow();
    });

    function open(): UdpFlow {
      const flow = world.dialer.openUdp();
      flows.push(flow);
      return flow;
    }
  });
}

/** Messages of a flow, one after the other. */
function collect(flow: UdpFlow): { next(): Promise<UdpMessage> } {
  const got: UdpMessage[] = [];
  const waiting: ((message: UdpMessage) => void)[] = [];
  flow.onMessage(({ host, port, bytes }) => {
    const message = { host, port, bytes: Buffer.from(bytes) };
    const waiter = waiting.shift();
    if (waiter === undefined) got.push(message);
    else waiter(message);
  });
  return {
    next: () => {
      const message = got.shift();
      return message === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(message);
    },
  };
}

/** Writes until the stream stays full. Returns how many bytes it took. */
async function fill(stream: Duplex): Promise<number> {
  let written = 0;
  for (let turn = 0; turn < patience && written < plentyBytes; turn++) {
    while (!stream.writableNeedDrain && written < plentyBytes) {
      stream.write(Buffer.alloc(chunkBytes));
      written += chunkBytes;
      turn = 0;
    }
    await nextTurn();
  }
  return written;
}

export async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  if (!stream.readableEnded) await once(stream, 'end');
  return Buffer.concat(chunks);
}

/** An error on the way there is fine: a far end that was destroyed may have sent a reset. */
async function closed(stream: Duplex): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
}

export function pattern(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = i * 7 + seed * 31 + (i >>> 8) * 13 + 5;
  return bytes;
}
