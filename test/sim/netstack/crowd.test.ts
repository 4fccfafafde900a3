/** Many connections at once between two stacks, in virtual time. */

import { expect, test } from 'vitest';
import type { TcpConnection } from '../../../shared/core/netstack/events.ts';
import { addressB, NetPair, StreamSink, StreamSource } from '../../support/net-pair.ts';

interface Visit {
  readonly source: StreamSource;
  readonly sink: StreamSink;
}

test('three thousand connections over a lossy path each carry their own bytes, and leave nothing', () => {
  const count = 3000;
  const pair = new NetPair({
    path: { delayMs: 10, loss: 0.01, reorder: 0.05 },
    limits: {
      halfOpen: 4000,
      halfOpenPerSource: 4000,
      connections: 4000,
      connectionsPerSource: 4000,
      timeWait: 4000,
    },
  });
  pair.b.listenTcp(80);
  const visits = new Map<TcpConnection, Visit>();
  let finished = 0;
  let wrong = 0;
  const visitOf = (connection: TcpConnection, port: number): Visit => {
    let visit = visits.get(connection);
    if (visit === undefined) {
      visit = { source: new StreamSource(3000, port), sink: new StreamSink(port) };
      visits.set(connection, visit);
    }
    return visit;
  };
  pair.onEvent = (side, event) => {
    if (!event.kind.startsWith('tcp-') || !('connection' in event)) return;
    const { connection } = event;
    const port = side === 0 ? connection.local.port : connection.remote.port;
    if (event.kind === 'tcp-incoming') pair.b.accept(connection);
    const visit = visitOf(connection, port);
    if (event.kind === 'tcp-opened' || event.kind === 'tcp-writable') visit.source.pump(connection);
    visit.sink.drain(connection);
    if (event.kind !== 'tcp-closed') return;
    if (visit.sink.received !== 3000 || event.end !== 'finished') wrong++;
    wrong += visit.sink.wrong;
    finished++;
  };
  for (let i = 0; i < count; i++)
    expect(pair.a.connectTcp({ destination: addressB, port: 80 })).toBeDefined();

  expect(pair.runUntil(() => finished === 2 * count, 120_000)).toBe(true);

  expect(wrong).toBe(0);
  pair.run(61_000);
  for (const stack of [pair.a, pair.b]) {
    expect(stack.usage).toMatchObject({ connections: 0, halfOpen: 0, timeWait: 0, memoryBytes: 0 });
  }
});

test('a hundred connections share a path fairly enough: nobody starves', () => {
  const pair = new NetPair({ path: { delayMs: 15, rate: 6250, queueBytes: 400_000 } });
  pair.b.listenTcp(80);
  const received = new Map<number, number>();
  const room = new Uint8Array(65_536);
  const source = new StreamSource(Number.MAX_SAFE_INTEGER, 1);
  pair.onEvent = (side, event) => {
    if (event.kind === 'tcp-incoming') pair.b.accept(event.connection);
    if (side === 0 && (event.kind === 'tcp-opened' || event.kind === 'tcp-writable'))
      source.pump(event.connection);
    if (side === 1 && event.kind === 'tcp-readable') {
      const { port } = event.connection.remote;
      for (let n = event.connection.read(room); n > 0; n = event.connection.read(room)) {
        received.set(port, (received.get(port) ?? 0) + n);
      }
    }
  };
  for (let i = 0; i < 100; i++) pair.a.connectTcp({ destination: addressB, port: 80 });
  pair.run(20_000);

  const amounts = [...received.values()].toSorted((a, b) => a - b);
  const total = amounts.reduce((sum, one) => sum + one, 0);
  expect(amounts).toHaveLength(100);
  expect((total * 8) / 20 / 1e6).toBeGreaterThan(42);
  expect(amounts[0]!).toBeGreaterThan(total / 100 / 20);
});
