/** Two stacks over a bad path, in virtual time: every byte is checked, every seed is a run of its own. */

import { describe, expect, test } from 'vitest';
import type { TcpConnection } from '../../../shared/core/netstack/events.ts';
import {
  address6B,
  addressB,
  NetPair,
  type PairOptions,
  StreamSink,
  StreamSource,
} from '../../support/net-pair.ts';

interface Transfer {
  readonly pair: NetPair;
  readonly ends: readonly string[];
  readonly sinks: readonly [StreamSink, StreamSink];
  readonly connection: TcpConnection;
}

/** `size` bytes in each direction at once, then both close. */
function transfer(options: PairOptions, size: number, version: 4 | 6 = 4): Transfer {
  const pair = new NetPair(options);
  pair.b.listenTcp(80);
  const sources = [new StreamSource(size, 7), new StreamSource(size, 9)] as const;
  const sinks = [new StreamSink(9), new StreamSink(7)] as const;
  const ends: string[] = [];
  pair.onEvent = (side, event) => {
    if (event.kind === 'tcp-incoming') pair.b.accept(event.connection);
    if (event.kind === 'tcp-opened' || event.kind === 'tcp-writable') sources[side].pump(event.connection);
    if (event.kind === 'tcp-readable' || event.kind === 'tcp-closed') sinks[side].drain(event.connection);
    if (event.kind === 'tcp-closed') ends.push(event.end);
  };
  const connection = pair.a.connectTcp({ destination: version === 4 ? addressB : address6B, port: 80 })!;
  pair.runUntil(() => ends.length === 2, 3_600_000);
  return { pair, ends, sinks, connection };
}

function expectWhole({ pair, ends, sinks }: Transfer, size: number): void {
  expect(ends).toEqual(['finished', 'finished']);
  expect(sinks.map((sink) => [sink.received, sink.wrong, sink.ended])).toEqual([
    [size, 0, true],
    [size, 0, true],
  ]);
  pair.run(120_000);
  for (const stack of [pair.a, pair.b]) {
    expect(stack.usage).toMatchObject({ connections: 0, timeWait: 0, memoryBytes: 0 });
    expect(stack.nextTimeoutAt()).toBe(Number.POSITIVE_INFINITY);
  }
}

const bad = { delayMs: 8, loss: 0.03, reorder: 0.15, reorderMs: 12, duplicates: 0.03, corruption: 0.02 };

describe.each(['bbr', 'newreno'] as const)('with %s', (congestion) => {
  test.each(Array.from({ length: 12 }, (_, i) => 100 + i))(
    'loss, reordering, duplicates and corruption: everything arrives (seed %i)',
    (seed) => {
      const size = 150_000;
      const result = transfer({ seed, congestion, path: bad }, size, seed % 2 === 0 ? 4 : 6);

      expectWhole(result, size);
      expect(result.pair.dropped).toBeGreaterThan(5);
    },
  );

  test('a third of everything is lost: everything arrives', () => {
    const size = 20_000;

    expectWhole(transfer({ seed: 3, congestion, path: { delayMs: 5, loss: 0.33 } }, size), size);
  });

  test('a path that reorders without loss is not slowed to a crawl', () => {
    const result = transfer(
      { seed: 4, congestion, path: { delayMs: 10, reorder: 0.3, reorderMs: 5 } },
      2_000_000,
    );

    expectWhole(result, 2_000_000);
    const { segmentsRepeated, segmentsSent, timeouts } = result.connection.counts;
    expect(segmentsRepeated / segmentsSent).toBeLessThan(0.03);
    expect(timeouts).toBe(0);
  });

  test('losses of the middle are repaired without any timeout', () => {
    const result = transfer({ seed: 5, congestion, path: { delayMs: 10, loss: 0.005 } }, 1_000_000);

    expectWhole(result, 1_000_000);
    expect(result.connection.counts.timeouts).toBeLessThanOrEqual(1);
  });

  test('a reader that takes a little now and then gets everything, and the memory stays small', () => {
    const pair = new NetPair({ congestion, path: { delayMs: 5, loss: 0.01 } });
    pair.b.listenTcp(80);
    const size = 2_000_000;
    const source = new StreamSource(size, 7);
    const sink = new StreamSink(7);
    let reader: TcpConnection | undefined;
    let most = 0;
    pair.onEvent = (side, event) => {
      if (event.kind === 'tcp-incoming') pair.b.accept(event.connection);
      if (side === 0 && (event.kind === 'tcp-opened' || event.kind === 'tcp-writable'))
        source.pump(event.connection);
      if (side === 1 && event.kind === 'tcp-opened') reader = event.connection;
    };
    pair.a.connectTcp({ destination: addressB, port: 80 });
    for (let i = 0; i < 1000 && !sink.ended; i++) {
      pair.run(50);
      if (reader !== undefined) sink.drain(reader, 3000);
      most = Math.max(most, pair.b.usage.memoryBytes);
    }
    while (!sink.ended && pair.now < 600_000) {
      pair.run(50);
      sink.drain(reader!);
    }

    expect([sink.received, sink.wrong]).toEqual([size, 0]);
    expect(most).toBeLessThan(512 * 1024);
  });

  test('the path is cut for twenty seconds: afterwards it goes on', () => {
    let isCut = false;
    const pair = new NetPair({ congestion, path: { delayMs: 10, rate: 1250 }, filter: () => !isCut });
    pair.b.listenTcp(80);
    const source = new StreamSource(3_000_000, 7);
    const sink = new StreamSink(7);
    pair.onEvent = (side, event) => {
      if (event.kind === 'tcp-incoming') pair.b.accept(event.connection);
      if (side === 0 && (event.kind === 'tcp-opened' || event.kind === 'tcp-writable'))
        source.pump(event.connection);
      if (side === 1 && event.kind === 'tcp-readable') sink.drain(event.connection);
    };
    pair.a.connectTcp({ destination: addressB, port: 80 });
    pair.run(500);
    isCut = true;
    pair.run(20_000);
    isCut = false;

    expect(pair.runUntil(() => sink.ended, 40_000)).toBe(true);
    expect([sink.received, sink.wrong]).toEqual([3_000_000, 0]);
  });

  test('the path becomes narrower: smaller packets, told by ICMP, are enough', () => {
    const narrow = 1300;
    const pair: NetPair = new NetPair({
      congestion,
      path: { delayMs: 5 },
      filter: (from, packet, now) => {
        if (now < 40 || packet.length <= narrow) return true;
        if (from === 0) pair.inject(0, tooBig(packet, narrow));
        return false;
      },
    });
    pair.b.listenTcp(80);
    const source = new StreamSource(500_000, 7);
    const sink = new StreamSink(7);
    pair.onEvent = (side, event) => {
      if (event.kind === 'tcp-incoming') pair.b.accept(event.connection);
      if (side === 0 && (event.kind === 'tcp-opened' || event.kind === 'tcp-writable'))
        source.pump(event.connection);
      if (side === 1 && event.kind === 'tcp-readable') sink.drain(event.connection);
    };
    const connection = pair.a.connectTcp({ destination: addressB, port: 80 })!;

    expect(pair.runUntil(() => sink.ended, 20_000)).toBe(true);
    expect([sink.received, sink.wrong]).toEqual([500_000, 0]);
    expect(connection.counts.maxSegment).toBe(narrow - 40 - 12);
  });
});

describe('throughput', () => {
  function rateOf(options: PairOptions, seconds: number): number {
    const pair = new NetPair(options);
    pair.b.listenTcp(80);
    const source = new StreamSource(Number.MAX_SAFE_INTEGER, 7);
    const room = new Uint8Array(65_536);
    let received = 0;
    pair.onEvent = (side, event) => {
      if (event.kind === 'tcp-incoming') pair.b.accept(event.connection);
      if (side === 0 && (event.kind === 'tcp-opened' || event.kind === 'tcp-writable'))
        source.pump(event.connection);
      if (side === 1 && event.kind === 'tcp-readable') {
        for (let n = event.connection.read(room); n > 0; n = event.connection.read(room)) received += n;
      }
    };
    pair.a.connectTcp({ destination: addressB, port: 80 });
    pair.run(seconds * 1000);
    return (received * 8) / seconds / 1e6;
  }

  const mbit = 125;

  test('at 20 ms and 1 % random loss BBR carries ten times what NewReno does, and most of the path', () => {
    const path = { delayMs: 10, loss: 0.01, rate: 200 * mbit };
    const bbr = rateOf({ congestion: 'bbr', path }, 4);
    const newreno = rateOf({ congestion: 'newreno', path }, 4);

    expect(bbr).toBeGreaterThan(150);
    expect(bbr).toBeGreaterThan(10 * newreno);
  });

  test.each(['bbr', 'newreno'] as const)('%s fills a path without loss', (congestion) => {
    expect(rateOf({ congestion, path: { delayMs: 20, rate: 50 * mbit } }, 8)).toBeGreaterThan(43);
  });

  test('BBR keeps the queue short where NewReno fills it', () => {
    const path = { delayMs: 20, rate: 20 * mbit, queueBytes: 1 << 20 };
    const rtt = (congestion: 'bbr' | 'newreno'): number => {
      const pair = new NetPair({ congestion, path });
      pair.b.listenTcp(80);
      const source = new StreamSource(Number.MAX_SAFE_INTEGER, 7);
      const sink = new Uint8Array(65_536);
      pair.onEvent = (side, event) => {
        if (event.kind === 'tcp-incoming') pair.b.accept(event.connection);
        if (side === 0 && (event.kind === 'tcp-opened' || event.kind === 'tcp-writable'))
          source.pump(event.connection);
        if (side === 1 && event.kind === 'tcp-readable') while (event.connection.read(sink) > 0);
      };
      const connection = pair.a.connectTcp({ destination: addressB, port: 80 })!;
      pair.run(8000);
      return connection.counts.smoothedRttMs;
    };

    expect(rtt('bbr')).toBeLessThan(100);
    expect(rtt('newreno')).toBeGreaterThan(150);
  });
});

/** "Fragmentation needed" about the packet. */
function tooBig(packet: Uint8Array, mtu: number): Uint8Array {
  const error = new Uint8Array(28 + 48);
  const view = new DataView(error.buffer);
  error.set([0x45, 0, 0, error.length, 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 9, 9, 9, ...packet.subarray(12, 16)]);
  error.set([3, 4], 20);
  view.setUint16(26, mtu);
  error.set(packet.subarray(0, 48), 28);
  view.setUint16(10, checksum(error.subarray(0, 20)));
  view.setUint16(22, checksum(error.subarray(20)));
  return error;
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return 0xffff - sum;
}
