// The services of the gateway: pages and names, over streams in memory.
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { AskerDetails } from '../../../../edge/dns/answerer.ts';
import { Gateway } from '../../../../edge/gateway/gateway.ts';
import { gatewayPage, type PageRequest } from '../../../../edge/gateway/pages.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';
import { streamPair } from '../../../support/stream-pair.ts';

const facts = {
  device: 'laptop',
  edge: 'home',
  path: 'direct',
  transport: 'udp',
  ip: '10.83.0.2',
  now: unixMs(1_795_000_000_123),
};

function page(fields: Partial<PageRequest>): ReturnType<typeof gatewayPage> {
  return gatewayPage({ method: 'GET', target: '/trace', challenge: undefined, ...fields }, facts);
}

describe('the pages', () => {
  test('trace tells what the edge knows of the asker', () => {
    expect(page({}).body).toBe(
      'device=laptop\nedge=home\npath=direct\ntransport=udp\nip=10.83.0.2\nts=1795000000.123\n',
    );
  });

  test('trace tells by which address places outside see the asker, where the edge knows', () => {
    const { body } = gatewayPage(
      { method: 'GET', target: '/trace', challenge: undefined },
      { ...facts, exit: '198.51.100.7' },
    );

    expect(body).toMatch(/^ip=10\.83\.0\.2\nts=.*\nexit=198\.51\.100\.7\n$/m);
  });

  test.each<[Partial<PageRequest>, number]>([
    [{ target: '/trace?x=1' }, 200],
    [{ target: 'http://edge.culvert/trace' }, 200],
    [{ target: '/generate_204' }, 204],
    [{ target: '/' }, 404],
    [{ target: 'http://edge.culvert' }, 404],
    [{ target: '//trace' }, 404],
    [{ method: 'POST' }, 405],
    [{ method: 'POST', target: '/generate_204' }, 405],
    [{ method: 'POST', target: '/' }, 404],
  ])('%j is answered with %i', (fields, status) => {
    expect(page(fields).status).toBe(status);
  });

  test('HEAD tells the length and sends nothing', () => {
    const asked = page({ method: 'HEAD' });

    expect([asked.status, asked.headers['content-length'], asked.body]).toEqual([
      200,
      String(page({}).body.length),
      '',
    ]);
  });

  test('generate_204 answers a challenge, and no header that could be something else', () => {
    const answered = (challenge: string | undefined): string | undefined =>
      page({ target: '/generate_204', challenge }).headers['x-culvert-response'];

    expect(answered('aZ09._~+/=-')).toBe('response aZ09._~+/=-');
    expect(['', 'a b', 'a\r\nx: y', 'é', 'a'.repeat(129), undefined].map(answered)).toEqual(
      Array.from({ length: 6 }, () => undefined),
    );
  });
});

describe('the web server', () => {
  test('serves requests on one connection, one after the other', async () => {
    const { gateway } = world();
    const near = openHttp(gateway, '10.83.0.2');

    near.write('GET /trace HTTP/1.1\r\nHost: anything\r\n\r\n');
    near.write(
      'GET /generate_204 HTTP/1.1\r\nX-Culvert-Challenge: c1\r\nHost: 10.83.0.1\r\nConnection: close\r\n\r\n',
    );
    const text = String(await buffer(near));

    expect(text).toMatch(
      /^HTTP\/1\.1 200 OK\r\n[\s\S]*device=device of 10\.83\.0\.2\n[\s\S]*HTTP\/1\.1 204 No Content/,
    );
    expect(text).toMatch(/x-culvert-response: response c1\r\n/);
  });

  test('answers the header of a request with a body, and ends', async () => {
    const { gateway } = world();
    const near = openHttp(gateway, '10.83.0.2');

    near.write('POST /trace HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc');

    const text = String(await buffer(near));
    expect(text).toMatch(/^HTTP\/1\.1 405 [\s\S]*connection: close\r\n/i);
  });

  test.each([
    ['no HTTP at all', '\x16\x03\x01\x02\x00\r\n\r\n'],
    ['a header without an end', `GET / HTTP/1.1\r\nX: ${'y'.repeat(20_000)}\r\n`],
    ['a tunnel', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n'],
    [
      'another protocol',
      'GET /trace HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    ],
  ])('closes a connection with %s', async (_title, sent) => {
    const { gateway } = world();
    const near = openHttp(gateway, '10.83.0.2');
    near.on('error', () => undefined);

    near.write(sent, 'latin1');
    await buffer(near).catch(() => undefined);

    expect(near.destroyed || near.readableEnded).toBe(true);
  });

  test('closes what is open when it ends', async () => {
    const { gateway } = world();
    const near = openHttp(gateway, '10.83.0.2');
    near.on('error', () => undefined);

    await gateway.close();
    await buffer(near).catch(() => undefined);

    expect(near.destroyed).toBe(true);
  });
});

describe('names over a connection', () => {
  test('are asked one by one however the bytes are cut, with the asker told', async () => {
    const { gateway, asked } = world();
    const near = openDns(gateway);
    const questions = Buffer.concat([framed(query(1)), framed(query(2)), framed(query(3))]);

    for (const byte of questions) near.write(Buffer.of(byte));
    near.end();
    const answers = await buffer(near);

    expect(answers).toEqual(questions);
    expect(asked).toEqual(
      [1, 2, 3].map((id) => ({ id, overTcp: true, device: 'device of a', maxBytes: 65_535 })),
    );
  });

  test('come in the order in which they are ready', async () => {
    const { gateway, hold } = world();
    const first = hold(1);
    const near = openDns(gateway);

    near.end(Buffer.concat([framed(query(1)), framed(query(2))]));
    await nextTurn();
    first();
    const answers = await buffer(near);

    expect(answers).toEqual(Buffer.concat([framed(query(2)), framed(query(1))]));
  });

  test('waits with reading where too many are under way, and loses none', async () => {
    const { gateway, hold, asked } = world();
    const ids = Array.from({ length: 200 }, (_, i) => i + 1);
    const release = ids.slice(0, 64).map(hold);
    const near = openDns(gateway);

    near.end(Buffer.concat(ids.map((id) => framed(query(id)))));
    for (let i = 0; i < 20; i++) await nextTurn();
    expect(asked).toHaveLength(64);
    for (const one of release) one();

    expect((await buffer(near)).length).toBe(ids.length * framed(query(1)).length);
  });

  test('a message that is too short for a question ends the connection', async () => {
    const { gateway, asked } = world();
    const near = openDns(gateway);
    near.on('error', () => undefined);

    near.write(Buffer.from([0, 4, 1, 2, 3, 4]));
    await buffer(near).catch(() => undefined);

    expect([near.destroyed, asked]).toEqual([true, []]);
  });

  test('an answer that fails is no answer, and the connection goes on', async () => {
    const { gateway, fail } = world();
    fail(1);
    const near = openDns(gateway);

    near.end(Buffer.concat([framed(query(1)), framed(query(2))]));

    expect(await buffer(near)).toEqual(framed(query(2)));
  });
});

describe('names by datagram', () => {
  test('have the size of the tunnel as their limit', async () => {
    const { gateway, asked } = world();

    expect(await gateway.answerDatagram(query(7), 'a')).toEqual(query(7));
    expect(asked).toEqual([{ id: 7, overTcp: false, device: 'device of a', maxBytes: 1372 }]);
  });

  test('are answered at once for the device that asks, which is looked up once a second', () => {
    const looked: string[] = [];
    const seen: unknown[] = [];
    let now = 0;
    const gateway = new Gateway({
      edgeName: () => 'home',
      deviceOf: (address) => {
        looked.push(address);
        return `device of ${address}`;
      },
      answerer: {
        answer: async () => undefined,
        answerAtOnce: (_question, answer, { device }) => {
          seen.push([device, answer.length]);
          return device === 'device of a';
        },
        close: async () => undefined,
      },
      maxDatagram: 1372,
      unixNow: () => unixMs(0),
      now: () => monoMs(now),
      log: silentLog,
    });
    const ask = (address: string): boolean => {
      const span = { bytes: new Uint8Array(4096), at: 0, length: 4096 };
      gateway.beginRound();
      return gateway.answerAtOnce(span, span, { key: address, address });
    };

    expect([ask('a'), ask('b'), ask('a')]).toEqual([true, false, true]);
    now = 1000;
    ask('a');

    expect(looked).toEqual(['a', 'b', 'a']);
    expect(seen[0]).toEqual(['device of a', 1372]);
  });

  test('get silence where the answer fails', async () => {
    const { gateway, fail } = world();
    fail(7);

    expect(await gateway.answerDatagram(query(7), 'a')).toBeUndefined();
  });
});

interface World {
  readonly gateway: Gateway;
  readonly asked: (AskerDetails & { readonly id: number })[];
  /** The answer to that question waits for the function that this returns. */
  hold(id: number): () => void;
  fail(id: number): void;
}

/** A gateway whose answers are the questions. */
function world(): World {
  const asked: World['asked'] = [];
  const held = new Map<number, Promise<void>>();
  const answerer = {
    answer: async (question: Uint8Array, about: AskerDetails): Promise<Uint8Array> => {
      const id = (question[0] ?? 0) * 256 + (question[1] ?? 0);
      asked.push({ id, ...about });
      await held.get(id);
      return question;
    },
    close: () => Promise.resolve(),
  };
  const gateway = new Gateway({
    edgeName: () => 'home',
    deviceOf: (address) => `device of ${address}`,
    answerer,
    maxDatagram: 1372,
    unixNow: () => unixMs(0),
    log: silentLog,
  });
  return {
    gateway,
    asked,
    hold: (id) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      held.set(id, promise);
      return resolve;
    },
    fail: (id) => {
      const failed = Promise.reject(new Error('no'));
      failed.catch(() => undefined);
      held.set(id, failed);
    },
  };
}

function openHttp(gateway: Gateway, address: string): Duplex {
  const [near, far] = streamPair();
  gateway.serveHttp(far, address);
  return near;
}

function openDns(gateway: Gateway): Duplex {
  const [near, far] = streamPair();
  gateway.serveDns(far, 'a');
  return near;
}

/** 12 bytes that begin with an id. */
function query(id: number): Uint8Array {
  return Uint8Array.from([id >>> 8, id & 0xff, ...new Uint8Array(10)]);
}

function framed(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0, message.length]), message]);
}
