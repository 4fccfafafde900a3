// The contract of EgressPath: every type that carries flows runs this suite, against real sockets of loopback.

import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type EgressPath, PathError } from '../../edge/egress/path.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import type { FarUdp } from '../../shared/node/flows/contract.ts';

/** The world behind a path, made anew for each test. */
export interface PathBench {
  readonly path: EgressPath;
  /** Accepts connections; the streams have allowHalfOpen. */
  serveTcp(onStream: (stream: Duplex) => void): Promise<FlowEnd>;
  /** Sends every datagram back; undefined where the path carries none. */
  serveUdpEcho(): Promise<FlowEnd>;
  /** Somewhere nobody listens. */
  closedEnd(): Promise<FlowEnd>;
  close(): Promise<void>;
}

const patienceMs = 5000;

export function egressPathContract(name: string, makeBench: () => Promise<PathBench>): void {
  describe(name, () => {
    let bench: PathBench;
    const streams: Duplex[] = [];
    const flows: FarUdp[] = [];

    beforeEach(async () => {
      bench = await makeBench();
    });
    afterEach(async () => {
      for (const stream of streams.splice(0)) stream.on('error', () => undefined).destroy();
      for (const flow of flows.splice(0)) flow.close();
      bench.path.close();
      await bench.close();
    });

    async function dial(
      end: FlowEnd,
      signal: AbortSignal = AbortSignal.timeout(patienceMs),
    ): Promise<Duplex> {
      const stream = await bench.path.dialTcp({ end }, signal);
      streams.push(stream);
      return stream;
    }

    test('carries bytes both ways, exactly', async () => {
      const up = pattern(300_000, 1);
      const down = pattern(400_000, 2);
      const came = Promise.withResolvers<Buffer>();
      const end = await bench.serveTcp((far) => {
        void readAll(far).then(came.resolve, came.reject);
        far.end(down);
      });

      const near = await dial(end);
      near.end(up);

      expect(await readAll(near)).toEqual(down);
      expect(await came.promise).toEqual(up);
    });

    test('lets each direction end alone', async () => {
      const end = await bench.serveTcp((far) => {
        far.resume().on('end', () => far.end('after the end'));
      });

      const near = await dial(end);
      near.end('x');

      expect(String(await readAll(near))).toBe('after the end');
    });

    test('does not lose what the far end says first', async () => {
      const end = await bench.serveTcp((far) => far.end('220 hello'));

      const near = await dial(end);

      expect(String(await readAll(near))).toBe('220 hello');
    });

    test('tells that the far end broke the connection', async () => {
      const end = await bench.serveTcp((far) => {
        far.once('data', () => ('resetAndDestroy' in far ? (far as any).resetAndDestroy() : far.destroy()));
      });
      const near = await dial(end);
      near.on('error', () => undefined).resume();
      const broken = new Promise((resolve) => near.once('close', resolve));
      near.write('x');

      await broken;

      expect(near.writableFinished && near.readableEnded).toBe(false);
    });

    test('says that nobody listens, and that it is not its fault', async () => {
      const end = await bench.closedEnd();

      const failure = await dial(end).catch((error: unknown) => error);

      expect(failure).toBeInstanceOf(PathError);
      expect((failure as PathError).of).toBe('destination');
      expect(['reset', 'unreachable']).toContain((failure as PathError).refusal);
    });

    test('gives up with the reason of its signal', async () => {
      const end = await bench.serveTcp((far) => far.on('error', () => undefined));
      const reason = new Error('given up');

      await expect(dial(end, AbortSignal.abort(reason))).rejects.toBe(reason);
      const stop = new AbortController();
      const running = dial(end, stop.signal);
      stop.abort(reason);
      await expect(running).rejects.toBe(reason);
    });

    test('an abort after the dial changes nothing', async () => {
      const end = await bench.serveTcp((far) => far.pipe(far));
      const stop = new AbortController();
      const near = await dial(end, stop.signal);

      stop.abort(new Error('too late'));
      near.end('still here');

      expect(String(await readAll(near))).toBe('still here');
    });

    test('carries datagrams there and back, or says that it does not', async () => {
      const end = await bench.serveUdpEcho();
      if (!bench.path.carries('udp', end.address.length)) {
        await expect(bench.path.openUdp({ end })).rejects.toBeInstanceOf(PathError);
        return;
      }

      const flow = await bench.path.openUdp({ end });
      flows.push(flow);
      const heard: string[] = [];
      const whole = new Promise<void>((resolve) => {
        flow.onMessage((bytes) => {
          heard.push(Buffer.from(bytes).toString());
          if (heard.length === 3) resolve();
        });
      });
      flow.onClose(() => undefined);
      for (const text of ['one', 'two', 'three']) {
        const bytes = Buffer.from(text);
        flow.send(bytes);
        bytes.fill(0);
      }
      await whole;

      expect(heard.toSorted()).toEqual(['one', 'three', 'two']);
      flow.close();
      flow.close();
    });

    test('carries echo requests and their replies, or says that it does not', async () => {
      const { address } = await bench.closedEnd();
      if (!bench.path.carries('icmp', address.length)) return;
      const target = { end: { address, port: 0 } };
      const flow = await bench.path.openEcho?.(target);
      expect(flow).toBeDefined();
      if (flow === undefined) return;
      flows.push(flow);
      const heard = new Promise<number[]>((resolve) => flow.onMessage((bytes) => resolve([...bytes])));
      flow.onClose(() => undefined);
      // The type is of the path; identifier and checksum need not be right.
      const message = Uint8Array.of(8, 0, 1, 2, 3, 4, 0, 42, 104, 105);
      flow.send(message);
      message.fill(0);

      const reply = await heard;
      expect(reply[0]).toBe(0);
      expect(reply.slice(6)).toEqual([0, 42, 104, 105]);
      flow.close();
      flow.close();
    });

    test('has no trouble where it works', () => {
      expect(bench.path.trouble()).toBeUndefined();
    });
  });
}

export function pattern(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + seed * 7 + (i >> 8)) & 0xff;
  return bytes;
}

export async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}
