// What every upstream over a connection promises, against a real server on loopback.

import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { monoMs } from '../../shared/core/base/time.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { type Clock, processClock } from '../../shared/node/clock.ts';
import { systemDial } from '../../shared/node/resolver/tls-dial.ts';
import {
  dotTimes,
  type Upstream,
  type UpstreamParts,
  type UpstreamTarget,
  type UpstreamTimes,
} from '../../shared/node/resolver/upstream.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { testAnswer, testQuery, txt } from '../support/dns-messages.ts';
import { answerAll, type ServerKind, startServer, type TestServer } from '../support/dns-servers.ts';
import type { TestCa, TestCertificate } from '../support/test-ca.ts';

export interface UpstreamSubject {
  readonly kind: ServerKind;
  create(target: UpstreamTarget, parts: UpstreamParts): Upstream;
}

/** A clock of the machine that a test can put forward. */
export interface TestClock extends Clock {
  aheadMs: number;
}

export function testClock(): TestClock {
  const real = processClock();
  const clock: TestClock = { ...real, aheadMs: 0, now: () => monoMs(real.now() + clock.aheadMs) };
  return clock;
}

export interface UpstreamWorld {
  readonly clock: TestClock;
  readonly server: TestServer;
  open(more?: Partial<UpstreamTarget>, times?: Partial<UpstreamTimes>, trusted?: readonly string[]): Upstream;
  ask(upstream: Upstream, name?: string, signal?: AbortSignal): Promise<Uint8Array>;
}

/** One server and the upstreams that a test opens to it. */
export function upstreamWorld(
  subject: UpstreamSubject,
  ca: () => TestCa,
  certificate: () => TestCertificate,
): () => UpstreamWorld {
  let world: UpstreamWorld | undefined;
  const opened: Upstream[] = [];
  beforeEach(async () => {
    const clock = testClock();
    const server = await startServer(subject.kind, certificate());
    world = {
      clock,
      server,
      open: (more = {}, times = {}, trusted = [ca().certificate]) => {
        const place = { name: 'the upstream', address: '127.0.0.1', port: server.port };
        const target = { ...place, identity: '127.0.0.1', path: '/dns-query', ...more };
        const parts = { clock, log: silentLog, trusted, dial: systemDial, times: { ...dotTimes, ...times } };
        const upstream = subject.create(target, parts);
        opened.push(upstream);
        return upstream;
      },
      ask: (upstream, name = 'x.example', signal) =>
        upstream.query(testQuery(name, recordType.a, { id: 0x1234 }).bytes, signal),
    };
  });
  afterEach(async () => {
    for (const upstream of opened.splice(0)) upstream.close();
    await world?.server.stop();
  });
  return () => world!;
}

const idOf = (bytes: Uint8Array): number => (bytes[0]! << 8) | bytes[1]!;

export function upstreamContract(
  subject: UpstreamSubject,
  ca: () => TestCa,
  certificate: () => TestCertificate,
): void {
  describe(`an upstream over ${subject.kind}`, () => {
    const world = upstreamWorld(subject, ca, certificate);

    test('answers with the id that was asked with, over one connection', async () => {
      const { open, ask, server } = world();
      const upstream = open();

      expect(idOf(await ask(upstream))).toBe(0x1234);
      expect(idOf(await ask(upstream))).toBe(0x1234);
      expect(server.accepted).toBe(1);
      expect(upstream.stats).toMatchObject({ queries: 2, answers: 2, failures: 0, connects: 1 });
      expect(upstream.stats.rttMs).toBeGreaterThan(0);
    });

    test('gives every question its own answer though they come in another order', async () => {
      const { open, ask, server } = world();
      const waiting: (() => void)[] = [];
      server.behaviour = (query) =>
        new Promise((resolve) => {
          waiting.push(() => resolve(answerAll(query)));
          if (waiting.length === 20) for (const answer of waiting.toReversed()) answer();
        });
      const upstream = open();
      const names = Array.from({ length: 20 }, (_, i) => `n${i}.example`);
      const answers = await Promise.all(names.map((name) => ask(upstream, name)));

      expect(answers.map((bytes) => readMessage(bytes)?.question?.name)).toEqual(names);
      expect(server.accepted).toBe(1);
    });

    test('brings the largest answers whole', async () => {
      const { open, ask, server } = world();
      const answers = Array.from({ length: 240 }, () => txt('x.example', 255));
      server.behaviour = (query) =>
        testAnswer({ id: idOf(query), name: 'x.example', type: recordType.txt, answers });
      const answer = await ask(open());

      expect(answer.length).toBeGreaterThan(60_000);
      expect(readMessage(answer)?.answers().length).toBe(240);
    });

    test('asks again on a new connection after the server closed the idle one', async () => {
      const { open, ask, server } = world();
      const upstream = open();
      await ask(upstream);
      server.closeConnections();
      await server.allClosed();

      expect(idOf(await ask(upstream))).toBe(0x1234);
      expect(upstream.stats).toMatchObject({ failures: 0, connects: 2 });
    });

    test('loses no question while the server closes the connection in that moment', async () => {
      const { open, ask, server } = world();
      const upstream = open();
      await ask(upstream);
      server.closeConnections();
      const answers = await Promise.all([ask(upstream, 'a.example'), ask(upstream, 'b.example')]);

      expect(answers.length).toBe(2);
      expect(upstream.stats.failures).toBe(0);
    });

    test('loses no question when the connection breaks under it, and tries that once', async () => {
      const { open, ask, server } = world();
      server.behaviour = (query, nth) => (nth === 2 ? 'close' : answerAll(query));
      const upstream = open();
      await ask(upstream);

      expect(idOf(await ask(upstream))).toBe(0x1234);
      expect(upstream.stats).toMatchObject({ failures: 0, retried: 1 });
      server.behaviour = () => 'close';
      await expect(ask(upstream)).rejects.toMatchObject({ failure: 'closed' });
      expect(server.queries.length).toBe(5);
    });

    test('finds the server again after it was started anew', async () => {
      const { open, ask, server } = world();
      const upstream = open();
      await ask(upstream);
      await server.stop();
      await expect(ask(upstream)).rejects.toMatchObject({ failure: 'unreachable' });
      const again = await startServer(subject.kind, certificate(), server.port);

      expect(idOf(await ask(upstream))).toBe(0x1234);
      upstream.close();
      await again.stop();
    });

    test('leaves its connection when the network changes, and loses no question', async () => {
      const { open, ask, server } = world();
      server.behaviour = (query, nth) => (nth === 2 ? undefined : answerAll(query));
      const upstream = open();
      await ask(upstream);
      const waiting = ask(upstream);
      while (server.queries.length < 2) await new Promise((resolve) => setImmediate(resolve));
      upstream.reset();

      expect(idOf(await waiting)).toBe(0x1234);
      expect(server.accepted).toBe(2);
      expect(upstream.stats.failures).toBe(0);
    });

    test('closes an idle connection before the server does', async () => {
      const { open, ask, server } = world();
      const upstream = open({}, { idleMs: 40 });
      await ask(upstream);

      if (subject.kind !== 'doh') await server.allClosed();
      else world().clock.aheadMs += 100;
      await ask(upstream);
      expect(server.accepted).toBe(2);
      expect(upstream.stats.failures).toBe(0);
    });

    test('gives up a silent server in time', async () => {
      const { open, ask, server } = world();
      server.behaviour = () => undefined;
      const upstream = open({}, { queryMs: 60 });

      await expect(ask(upstream)).rejects.toMatchObject({ failure: 'timeout' });
      expect(upstream.stats.failures).toBe(1);
    });

    test('gives up a server that accepts and says nothing', async () => {
      const silent = createServer((socket) => socket.on('error', () => {}));
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const { port } = silent.address() as { port: number };
      const upstream = world().open({ port }, { connectMs: 60, queryMs: 200 });

      await expect(world().ask(upstream)).rejects.toMatchObject({ failure: 'timeout' });
      upstream.close();
      silent.close();
    });

    test('stops when it is told to', async () => {
      const { open, ask, server } = world();
      const asked = new Promise<void>((resolve) => {
        server.behaviour = () => {
          resolve();
          return undefined;
        };
      });
      const upstream = open();
      const abort = new AbortController();
      const answer = ask(upstream, 'x.example', abort.signal);
      await asked;
      const reason = new Error('enough');
      abort.abort(reason);

      await expect(answer).rejects.toBe(reason);
      await expect(ask(upstream, 'x.example', abort.signal)).rejects.toBe(reason);
      expect(upstream.stats.failures).toBe(0);
    });

    test('sends new questions elsewhere when the connection has fallen silent', async () => {
      const { open, ask, server, clock } = world();
      server.behaviour = (query, nth) => (nth === 2 ? undefined : answerAll(query));
      const upstream = open({}, { suspectMs: 500, queryMs: 5000 });
      await ask(upstream);
      const lost = ask(upstream).catch(() => undefined);
      while (server.queries.length < 2) await new Promise((resolve) => setImmediate(resolve));
      clock.aheadMs += 1000;

      expect(idOf(await ask(upstream))).toBe(0x1234);
      expect(server.accepted).toBe(2);
      upstream.close();
      await lost;
    });

    test('rejects what is open when it is closed, and everything afterwards', async () => {
      const { open, ask, server } = world();
      server.behaviour = () => undefined;
      const upstream = open();
      const answer = ask(upstream);
      upstream.close();

      await expect(answer).rejects.toMatchObject({ failure: 'closed' });
      await expect(ask(upstream)).rejects.toMatchObject({ failure: 'closed' });
      upstream.close();
    });

    test('says that nobody is there', async () => {
      const { open, ask, server } = world();
      const upstream = open();
      await server.stop();

      await expect(ask(upstream)).rejects.toMatchObject({ failure: 'unreachable' });
    });
  });
}
