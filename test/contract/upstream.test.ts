// Every kind of upstream against the same promises, and what only encrypted ones, HTTP/2 or UDP have.
import { constants } from 'node:http2';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { systemDial } from '../../shared/node/resolver/tls-dial.ts';
import { dotTimes, type Upstream } from '../../shared/node/resolver/upstream.ts';
import { createDohUpstream } from '../../shared/node/resolver/upstream-doh.ts';
import { createDotUpstream, createTcpUpstream } from '../../shared/node/resolver/upstream-dot.ts';
import { createPlainUpstream } from '../../shared/node/resolver/upstream-plain.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { testAnswer, testQuery } from '../support/dns-messages.ts';
import {
  answerAll,
  startRelay,
  startServer,
  startUdpServer,
  type TestServer,
  type TestUdpServer,
} from '../support/dns-servers.ts';
import { checkNeeds, describeWith } from '../support/requires.ts';
import { seededEntropy } from '../support/seeded.ts';
import { createTestCa, type TestCa, type TestCertificate } from '../support/test-ca.ts';
import { testClock, type UpstreamSubject, upstreamContract, upstreamWorld } from './upstream.ts';

const needs = { tools: ['openssl'] };
const subjects: Record<'dot' | 'doh' | 'tcp', UpstreamSubject> = {
  dot: { kind: 'dot', create: (target, parts) => createDotUpstream(target, parts, seededEntropy(1)) },
  doh: { kind: 'doh', create: createDohUpstream },
  tcp: { kind: 'tcp', create: (target, parts) => createTcpUpstream(target, parts, seededEntropy(1)) },
};
let ca: TestCa;
let other: TestCa;
let good: TestCertificate;

beforeAll(() => {
  if (!checkNeeds(needs).ok) return;
  ca = createTestCa();
  other = createTestCa();
  good = ca.issue('IP:127.0.0.1', 'DNS:dns.example');
});

afterAll(() => {
  ca?.remove();
  other?.remove();
});

describeWith(needs, 'upstreams', () => {
  for (const subject of Object.values(subjects)) {
    upstreamContract(
      subject,
      () => ca,
      () => good,
    );
  }
});

describeWith(needs, 'encrypted upstreams', () => {
  for (const subject of [subjects.dot, subjects.doh]) {
    describe(`over ${subject.kind}`, () => {
      const world = upstreamWorld(
        subject,
        () => ca,
        () => good,
      );

      test('accept the name that was asked for, and the address', async () => {
        const { open, ask } = world();

        await ask(open({ identity: 'dns.example' }));
        await ask(open({ identity: '127.0.0.1' }));
      });

      test.each([
        ['is for another name', { identity: 'other.example' }, undefined],
        ['is for another address', { identity: '127.0.0.2' }, undefined],
        ['comes from somebody else', {}, 'other'],
      ])('refuse a server whose certificate %s, and tell it nothing', async (_what, target, authority) => {
        const { open, ask, server } = world();
        const upstream = open(target, {}, [(authority === 'other' ? other : ca).certificate]);

        await expect(ask(upstream)).rejects.toMatchObject({ failure: 'certificate' });
        expect(server.queries).toEqual([]);
      });

      test('take the TLS session up again', async () => {
        const { open, ask, server } = world();
        const upstream = open();
        await ask(upstream);
        server.closeConnections();
        await server.allClosed();
        await ask(upstream);

        expect(upstream.stats).toMatchObject({ connects: 2, resumed: 1 });
      });

      test('refuse a server that speaks another protocol', async () => {
        const kind = subject.kind === 'doh' ? 'dot' : 'doh';
        const wrong = await startServer(kind, good);
        const upstream = world().open({ port: wrong.port }, { connectMs: 500, queryMs: 500 });

        await expect(world().ask(upstream)).rejects.toThrow();
        expect(wrong.queries).toEqual([]);
        upstream.close();
        await wrong.stop();
      });
    });
  }
});

describeWith(needs, 'DNS over HTTPS', () => {
  const world = upstreamWorld(
    subjects.doh,
    () => ca,
    () => good,
  );

  test('sends id 0 and puts the asker’s back', async () => {
    const { open, ask, server } = world();
    const answer = await ask(open());

    expect([...server.queries[0]!.subarray(0, 2)]).toEqual([0, 0]);
    expect([...answer.subarray(0, 2)]).toEqual([0x12, 0x34]);
  });

  test.each([constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_ENHANCE_YOUR_CALM])(
    'survives GOAWAY with code %i, questions under way included',
    async (code) => {
      const { open, ask, server } = world();
      const upstream = open();
      await ask(upstream);
      server.behaviour = (query, nth) => {
        if (nth === 2) for (const session of server.sessions) session.goaway(code);
        return answerAll(query);
      };
      const answers = await Promise.all([ask(upstream), ask(upstream, 'b.example')]);
      await ask(upstream);

      expect(answers.length).toBe(2);
      expect(upstream.stats.failures).toBe(0);
      expect(upstream.stats.connects).toBeGreaterThanOrEqual(2);
    },
  );

  test('tests a session that was idle, and leaves it where it is dead', async () => {
    const { open, ask, server, clock } = world();
    const relay = await startRelay(server.port);
    const upstream = open({ port: relay.port }, { suspectMs: 50 });
    await ask(upstream);
    relay.freeze();
    clock.aheadMs += 6000;

    expect((await ask(upstream)).length).toBeGreaterThan(12);
    expect(upstream.stats).toMatchObject({ failures: 0, connects: 2, retried: 1 });
    upstream.close();
    await relay.stop();
  });

  test('keeps a session that was idle and lives', async () => {
    const { open, ask, server, clock } = world();
    const upstream = open();
    await ask(upstream);
    clock.aheadMs += 6000;
    await ask(upstream);

    expect(server.accepted).toBe(1);
  });

  test('refuses an answer that is too large', async () => {
    const { open, ask, server } = world();
    server.behaviour = () => new Uint8Array(70_000);

    await expect(ask(open())).rejects.toMatchObject({ failure: 'bad-answer' });
  });

  test('refuses an answer that is too short', async () => {
    const { open, ask, server } = world();
    server.behaviour = () => new Uint8Array(5);

    await expect(ask(open())).rejects.toMatchObject({ failure: 'bad-answer' });
  });
});

describe('plain DNS', () => {
  let udp: TestUdpServer;
  let tcp: TestServer;
  let upstream: Upstream;

  beforeEach(async () => {
    tcp = await startServer('tcp', { key: '', cert: '' });
    udp = await startUdpServer(tcp.port);
    const target = { name: 'plain', address: '127.0.0.1', port: tcp.port, identity: '', path: '' };
    const times = { ...dotTimes, queryMs: 400 };
    const parts = { clock: testClock(), log: silentLog, trusted: [], dial: systemDial, times };
    upstream = createPlainUpstream(target, parts, seededEntropy(2));
  });
  afterEach(async () => {
    upstream.close();
    await udp.stop();
    await tcp.stop();
  });

  const ask = (): Promise<Uint8Array> => upstream.query(testQuery('x.example', recordType.a).bytes);

  test('asks over UDP with an id of its own', async () => {
    const answer = await ask();

    expect([...answer.subarray(0, 2)]).toEqual([0x12, 0x34]);
    expect([...udp.queries[0]!.subarray(0, 2)]).not.toEqual([0x12, 0x34]);
    expect(tcp.accepted).toBe(0);
  });

  test('asks over TCP where the answer was cut', async () => {
    udp.behaviour = (query) => [answerAll(query).with(2, 0x83)];
    const answer = readMessage(await ask());

    expect(answer?.isTruncated).toBe(false);
    expect(tcp.queries.length).toBe(1);
  });

  test('does not believe another id or another question', async () => {
    udp.behaviour = (query) => {
      const id = (query[0]! << 8) | query[1]!;
      const forged = testAnswer({ id, name: 'y.example', type: recordType.a });
      return [answerAll(query).with(0, query[0]! ^ 1), forged, answerAll(query)];
    };

    expect(readMessage(await ask())?.question?.name).toBe('x.example');
  });

  test('gives up a silent server, and one that is not there', async () => {
    udp.behaviour = () => [];
    await expect(ask()).rejects.toMatchObject({ failure: 'timeout' });
    await udp.stop();
    await expect(ask()).rejects.toMatchObject({ failure: 'unreachable' });
    udp = await startUdpServer();
    expect(upstream.stats.failures).toBe(2);
  });
});
