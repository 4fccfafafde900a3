// Names inside the tunnel, against resolvers that are played by the test: channels and streams in memory, virtual time.
import { type Duplex, PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TunnelNames } from '../../../../client/proxy/tunnel-names.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { type DnsMessage, readMessage } from '../../../../shared/core/dns/reader.ts';
import { rcode } from '../../../../shared/core/dns/types.ts';
import { writeAddressAnswer, writeAnswer } from '../../../../shared/core/dns/writer.ts';
import type { StackHost, UdpChannel } from '../../../../shared/node/flows/contract.ts';
import { a, cname, soa, testAnswer } from '../../../support/dns-messages.ts';
import { seededEntropy } from '../../../support/seeded.ts';

const v4 = Uint8Array.of(198, 51, 100, 1);
const v6 = Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const first = Uint8Array.of(10, 9, 0, 1);
const second = Uint8Array.of(10, 9, 0, 2);
const never = new AbortController().signal;
const typeA = 1;

interface Query {
  readonly resolver: string;
  readonly message: DnsMessage;
  readonly channel: FakeChannel;
}

class FakeChannel implements UdpChannel {
  readonly local = { address: Uint8Array.of(10, 9, 0, 9), port: 1 };
  readonly remote: UdpChannel['remote'];
  readonly #onQuery: (query: Query) => void;
  closed = false;
  #onMessage: (bytes: Uint8Array) => void = () => undefined;
  #onClose: Parameters<UdpChannel['onClose']>[0] = () => undefined;

  constructor(address: Uint8Array, onQuery: (query: Query) => void) {
    this.remote = { address, port: 53 };
    this.#onQuery = onQuery;
  }

  send(bytes: Uint8Array): boolean {
    const message = readMessage(Uint8Array.from(bytes));
    if (message === undefined) throw new Error('no query');
    this.#onQuery({ resolver: this.remote.address.join('.'), message, channel: this });
    return true;
  }
  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.#onMessage = listener;
  }
  onClose(listener: Parameters<UdpChannel['onClose']>[0]): void {
    this.#onClose = listener;
  }
  close(): void {
    this.closed = true;
  }
  refuse(): void {}
  receive(bytes: Uint8Array): void {
    if (!this.closed) this.#onMessage(bytes);
  }
  end(): void {
    this.#onClose('unreachable');
  }
}

interface World {
  readonly names: TunnelNames;
  readonly queries: Query[];
  readonly channels: FakeChannel[];
  now: number;
}

type Play = (query: Query) => void;

function makeWorld(
  play: Play,
  change: { resolvers?: Uint8Array[]; families?: number[]; tcp?: () => Duplex } = {},
): World {
  const world: { -readonly [Key in keyof World]: World[Key] } = {
    names: undefined as unknown as TunnelNames,
    queries: [],
    channels: [],
    now: 0,
  };
  const stack: Pick<StackHost, 'connectTcp' | 'openUdp'> = {
    openUdp: ({ destination }) => {
      const channel = new FakeChannel(destination, (query) => {
        world.queries.push(query);
        play(query);
      });
      world.channels.push(channel);
      return channel;
    },
    connectTcp: () =>
      change.tcp === undefined ? Promise.reject(new Error('refused')) : Promise.resolve(change.tcp()),
  };
  world.names = new TunnelNames({
    stack,
    resolvers: change.resolvers ?? [first],
    families: change.families ?? [4, 16],
    entropy: seededEntropy(1),
    now: () => monoMs(world.now),
  });
  return world;
}

const addresses = (query: Query, ttl = 60): void =>
  query.channel.receive(writeAddressAnswer(query.message, [v4, v6], ttl));
const nothing = (query: Query): void =>
  query.channel.receive(
    testAnswer({
      id: query.message.id,
      name: query.message.question?.name ?? '',
      type: query.message.question?.type ?? 0,
      rcode: rcode.nxDomain,
      authority: [soa('test', 600, 30)],
    }),
  );
const failure = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a name inside the tunnel', () => {
  test('is asked for in both families, and the answer holds for as long as it says', async () => {
    const world = makeWorld((query) => addresses(query, 60));

    const found = await world.names.resolve('Host_1.Example', never);
    world.now = 59_999;
    await world.names.resolve('host_1.example.', never);
    const kept = world.queries.length;
    world.now = 60_001;
    await world.names.resolve('host_1.example', never);

    expect(found).toEqual([v6, v4]);
    expect(kept).toBe(2);
    expect(world.queries).toHaveLength(4);
    expect(world.channels.every((channel) => channel.closed)).toBe(true);
  });

  test('is asked for only in families that the tunnel carries', async () => {
    const world = makeWorld((query) => addresses(query), { families: [4] });

    expect(await world.names.resolve('host.example', never)).toEqual([v4]);
    expect(world.queries.map((query) => query.message.question?.type)).toEqual([typeA]);
  });

  test('follows aliases', async () => {
    const world = makeWorld(
      (query) => {
        const { id, question } = query.message;
        const answers = [cname('host.example', 'other.example'), a('other.example', '198.51.100.1')];
        query.channel.receive(testAnswer({ id, name: 'host.example', type: question?.type ?? 0, answers }));
      },
      { families: [4] },
    );

    expect(await world.names.resolve('host.example', never)).toEqual([v4]);
  });

  test('that does not exist is remembered as such for a while', async () => {
    const world = makeWorld(nothing);

    const missing = await failure(world.names.resolve('nowhere.test', never));
    await failure(world.names.resolve('nowhere.test', never));
    const kept = world.queries.length;
    world.now = 31_000;
    await failure(world.names.resolve('nowhere.test', never));

    expect(missing).toMatchObject({
      failure: 'name-not-found',
      message: expect.stringContaining('nowhere.test'),
    });
    expect(kept).toBe(2);
    expect(world.queries).toHaveLength(4);
  });

  test('is asked for once where many want it at the same time', async () => {
    const waiting: Query[] = [];
    const world = makeWorld((query) => void waiting.push(query), { families: [4] });

    const all = Array.from({ length: 50 }, () => world.names.resolve('host.example', never));
    for (const query of waiting) addresses(query);

    expect(await Promise.all(all)).toHaveLength(50);
    expect(world.queries).toHaveLength(1);
  });

  test('is asked for again after a second, and given up two seconds later', async () => {
    const world = makeWorld(() => undefined, { families: [4] });
    const silent = failure(world.names.resolve('host.example', never));

    await vi.advanceTimersByTimeAsync(999);
    const before = world.queries.length;
    await vi.advanceTimersByTimeAsync(1);
    const then = world.queries.length;
    await vi.advanceTimersByTimeAsync(2000);

    expect([before, then]).toEqual([1, 2]);
    expect(await silent).toMatchObject({ failure: 'timeout' });
    expect(world.queries[0].message.id).toBe(world.queries[1].message.id);
  });

  test('goes to the next resolver where one is unreachable or fails, and stays with the one that answers', async () => {
    const world = makeWorld(
      (query) => {
        if (query.resolver === '10.9.0.2') addresses(query);
        else if (query.message.question?.name === 'a.test') query.channel.end();
        else query.channel.receive(writeAnswer(query.message, { rcode: rcode.servFail }));
      },
      { resolvers: [first, second], families: [4] },
    );

    await world.names.resolve('a.test', never);
    await world.names.resolve('b.test', never);

    expect(world.queries.map((query) => query.resolver)).toEqual(['10.9.0.1', '10.9.0.2', '10.9.0.2']);
  });

  test('that nobody can look up is no missing name', async () => {
    const world = makeWorld((query) =>
      query.channel.receive(writeAnswer(query.message, { rcode: rcode.servFail })),
    );

    expect(await failure(world.names.resolve('host.example', never))).toMatchObject({
      failure: 'unreachable',
    });
  });

  test('is asked for by TCP where the answer is cut', async () => {
    const stream = new PassThrough();
    const written: Buffer[] = [];
    const tcp = (): Duplex => {
      const near = new PassThrough();
      near.write = ((chunk: Uint8Array) => {
        const framed = Buffer.from(chunk);
        written.push(framed);
        const query = readMessage(Uint8Array.from(framed.subarray(2)));
        const reply = Buffer.from(query === undefined ? [] : writeAddressAnswer(query, [v4], 60));
        const whole = Buffer.concat([Buffer.from([reply.length >>> 8, reply.length & 0xff]), reply]);
        near.push(whole.subarray(0, 5));
        near.push(whole.subarray(5));
        return true;
      }) as typeof near.write;
      return near;
    };
    const world = makeWorld(
      (query) => {
        const cut = writeAnswer(query.message, { rcode: rcode.noError });
        cut[2] = (cut[2] ?? 0) | 0x02;
        query.channel.receive(cut);
      },
      { families: [4], tcp },
    );

    expect(await world.names.resolve('host.example', never)).toEqual([v4]);
    expect(written).toHaveLength(1);
    stream.destroy();
  });

  test.each([
    ['another id', (bytes: Uint8Array) => bytes.fill(bytes[0] ^ 1, 0, 1)],
    ['another question', (bytes: Uint8Array) => bytes.fill(0x78, 13, 14)],
    ['no response', (bytes: Uint8Array) => bytes.fill(bytes[2] & 0x7f, 2, 3)],
    ['half a message', (bytes: Uint8Array) => bytes.subarray(0, 20)],
    ['nothing', () => new Uint8Array(0)],
  ])('is not answered by %s', async (_title, spoil) => {
    const world = makeWorld(
      (query) => query.channel.receive(spoil(writeAddressAnswer(query.message, [v4], 60))),
      { families: [4] },
    );
    const asked = failure(world.names.resolve('host.example', never));

    await vi.advanceTimersByTimeAsync(3000);

    expect(await asked).toMatchObject({ failure: 'timeout' });
  });

  test('goes on with one family where the other is late', async () => {
    const world = makeWorld((query) => {
      if (query.message.question?.type === typeA) addresses(query);
    });
    const found = world.names.resolve('host.example', never);

    await vi.advanceTimersByTimeAsync(50);

    expect(await found).toEqual([v4]);
  });

  test('is given up with the reason of its signal, and the question goes on for others', async () => {
    const world = makeWorld(() => undefined, { families: [4] });
    const abort = new AbortController();
    const reason = new Error('enough');
    const mine = failure(world.names.resolve('host.example', abort.signal));
    const theirs = world.names.resolve('host.example', never);

    abort.abort(reason);
    addresses(world.queries[0]);

    expect(await mine).toBe(reason);
    expect(await theirs).toEqual([v4]);
  });

  test.each(['localhost', 'a.localhost', 'LOCALHOST.'])(
    '%s is of no use at the far end, and not asked for',
    async (name) => {
      const world = makeWorld((query) => addresses(query));

      expect(await failure(world.names.resolve(name, never))).toMatchObject({ failure: 'name-not-found' });
      expect(world.queries).toHaveLength(0);
    },
  );

  test('is not asked for anywhere where the tunnel leads to no resolver', async () => {
    const world = makeWorld((query) => addresses(query), { resolvers: [] });

    expect(await failure(world.names.resolve('host.example', never))).toMatchObject({
      failure: 'name-not-found',
    });
    expect(world.channels).toHaveLength(0);
  });

  test('keeps a bounded number of answers', async () => {
    const world = makeWorld((query) => addresses(query), { families: [4] });

    for (let i = 0; i < 5000; i++) await world.names.resolve(`h${i}.test`, never);
    const before = world.queries.length;
    await world.names.resolve('h4999.test', never);
    await world.names.resolve('h0.test', never);

    expect(before).toBe(5000);
    expect(world.queries).toHaveLength(5001);
  });
});
