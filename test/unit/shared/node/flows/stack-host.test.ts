// Connections and flows between two hosts on a path in memory, under a virtual clock.

import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { TcpIncoming, UdpChannel } from '../../../../../shared/node/flows/contract.ts';
import { allOf, FlowPair, once } from '../../../../support/flow-pair.ts';
import { address6B, addressA, addressB, type PairOptions } from '../../../../support/net-pair.ts';
import { patternBytes } from '../../../../support/packets.ts';

afterEach(() => {
  vi.useRealTimers();
});

const to = { destination: addressB, port: 80 };

async function connected(options: PairOptions = {}) {
  const pair = new FlowPair(options);
  let far: Duplex | undefined;
  pair.b.listenTcp(80, (incoming) => {
    far = incoming.accept();
  });
  const near = await pair.outcome(pair.a.connectTcp(to));
  return { pair, near, far: far! };
}

async function refusedWith(answer: (incoming: TcpIncoming) => void) {
  const pair = new FlowPair();
  pair.b.listenTcp(80, answer);
  return pair.outcome(pair.a.connectTcp(to)).catch((error: unknown) => error);
}

describe('a connection through the stack', () => {
  test('carries a megabyte each way at once, byte by byte', async () => {
    const { pair, near, far } = await connected({ path: { loss: 0.01, reorder: 0.02 } });
    const [forth, back] = [Buffer.from(patternBytes(1_000_000)), Buffer.from(patternBytes(900_001, 99))];
    near.end(forth);
    far.end(back);

    const [atNear, atFar] = await pair.outcome(Promise.all([allOf(near), allOf(far)]));

    expect(atNear.equals(back)).toBe(true);
    expect(atFar.equals(forth)).toBe(true);
  });

  test('carries many small writes, gathered', async () => {
    const { pair, near, far } = await connected();
    near.cork();
    for (let i = 0; i < 1000; i++) near.write(`${i},`);
    near.uncork();
    near.end();

    const text = (await pair.outcome(allOf(far))).toString();

    expect(text).toBe(Array.from({ length: 1000 }, (_, i) => `${i},`).join(''));
  });

  test.each([
    ['the asker', 0],
    ['the one who was asked', 1],
  ] as const)('goes on in the other direction after %s has ended', async (_, first) => {
    const { pair, near, far } = await connected();
    const [one, other] = first === 0 ? [near, far] : [far, near];
    one.end('question');
    const question = (await pair.outcome(allOf(other.iterator({ destroyOnReturn: false })))).toString();
    await pair.pass(5000);

    other.end('answer');

    expect(question).toBe('question');
    expect((await pair.outcome(allOf(one))).toString()).toBe('answer');
    await pair.until(() => near.closed && far.closed);
    await pair.until(() => pair.net.a.usage.connections + pair.net.b.usage.connections === 0);
  });

  test('ends for both where both end at once', async () => {
    const { pair, near, far } = await connected();
    near.end('a');
    far.end('b');

    const texts = await pair.outcome(Promise.all([allOf(near), allOf(far)]));

    expect(texts.map(String)).toEqual(['b', 'a']);
    await pair.until(() => near.closed && far.closed);
  });

  test('is broken at the other side where one destroys it', async () => {
    const { pair, near, far } = await connected();
    const error = once(far, 'error');

    near.destroy();

    expect(await pair.outcome(error)).toMatchObject({ code: 'ECONNRESET' });
    expect(far.destroyed).toBe(true);
  });

  test('gives what had arrived before it was reset, also to a slow reader', async () => {
    const { pair, near, far } = await connected();
    near.write(patternBytes(120_000));
    await pair.pass(1000);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    near.destroy();
    await pair.pass(1000);
    let received = 0;
    far.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });

    await pair.pass(1000);
    vi.advanceTimersByTime(1000);
    await pair.until(() => far.closed);

    expect(received).toBe(120_000);
    expect(far.errored).toMatchObject({ code: 'ECONNRESET' });
    expect(pair.net.b.usage.memoryBytes).toBe(0);
  });

  test('is given up where nobody reads what had arrived before it was reset', async () => {
    const { pair, near, far } = await connected();
    near.write(patternBytes(120_000));
    await pair.pass(1000);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    near.destroy();
    await pair.pass(1000);

    vi.advanceTimersByTime(11_000);
    await pair.until(() => far.closed);

    expect(far.errored).toMatchObject({ code: 'ECONNRESET' });
    expect(pair.net.b.usage.memoryBytes).toBe(0);
  });

  test('breaks without harm where nobody listens for errors', async () => {
    const { pair, near, far } = await connected();

    near.destroy();
    await pair.until(() => far.destroyed);

    expect(far.errored).toMatchObject({ code: 'ECONNRESET' });
  });

  test('fails a write that waits, where it breaks', async () => {
    const { pair, near, far } = await connected();
    while (near.write(Buffer.alloc(65_536)));
    await pair.pass(2000);
    const written = new Promise((resolve) => {
      near.write('late', resolve);
    });

    far.destroy();

    expect(await pair.outcome(written)).toMatchObject({ code: 'ECONNRESET' });
  });

  test('holds back a writer whose reader is slow, and holds little for it', async () => {
    const limits = { receiveBytes: 262_144, sendBytes: 262_144 };
    const { pair, near, far } = await connected({ limits });
    let written = 0;
    const chunk = Buffer.alloc(16_384);
    const write = (): void => {
      while (near.write(chunk, () => (written += chunk.length)));
      near.once('drain', write);
    };
    write();

    await pair.pass(60_000);

    expect(written).toBeGreaterThan(100_000);
    expect(written).toBeLessThan(900_000);
    expect(pair.net.a.usage.memoryBytes + pair.net.b.usage.memoryBytes).toBeLessThan(700_000);
    expect(far.readableLength).toBeLessThanOrEqual(256 * 1024);
    const before = written;
    far.resume();
    await pair.pass(100);
    expect(written).toBeGreaterThan(before + 1_000_000);
  });

  test('is one of five hundred at a time', async () => {
    const pair = new FlowPair();
    pair.b.listenTcp(80, (incoming) => {
      const far = incoming.accept();
      far?.pipe(far);
    });

    const echoes = await pair.outcome(
      Promise.all(
        Array.from({ length: 500 }, async (_, i) => {
          const near = await pair.a.connectTcp(to);
          near.end(`number ${i}`);
          return (await allOf(near)).toString();
        }),
      ),
    );

    expect(echoes).toEqual(Array.from({ length: 500 }, (_, i) => `number ${i}`));
    await pair.until(() => pair.net.a.usage.connections + pair.net.b.usage.connections === 0);
    expect(pair.net.a.usage.memoryBytes + pair.net.b.usage.memoryBytes).toBe(0);
  });
});

describe('connecting', () => {
  test.each([
    ['reset', 'refused'],
    ['unreachable', 'unreachable'],
    ['drop', 'timeout'],
  ] as const)('answered by %s fails as %s', async (refusal, failure) => {
    expect(await refusedWith((incoming) => incoming.refuse(refusal))).toMatchObject({ failure });
  });

  test('fails as refused where nobody listens', async () => {
    const pair = new FlowPair();

    await expect(pair.outcome(pair.a.connectTcp(to))).rejects.toMatchObject({ failure: 'refused' });
  });

  test('fails as full where a limit is reached', async () => {
    const pair = new FlowPair({ limits: { connections: 0 } });

    await expect(pair.a.connectTcp(to)).rejects.toMatchObject({ failure: 'full' });
  });

  test('fails at once where the tunnel lacks the family', async () => {
    const pair = new FlowPair();
    const source = Uint8Array.of(10, 0, 0, 1);

    await expect(pair.a.connectTcp({ destination: address6B, port: 80, source })).rejects.toMatchObject({
      message: expect.any(String) as string,
    });
  });

  test('fails with the reason of its signal, and the other side learns that nobody asks any more', async () => {
    const pair = new FlowPair();
    const stop = new AbortController();
    let asked: TcpIncoming | undefined;
    let gone = 0;
    pair.b.listenTcp(80, (incoming) => {
      asked = incoming;
      incoming.onGone(() => gone++);
    });
    const connecting = pair.a.connectTcp(to, stop.signal);
    connecting.catch(() => {});
    await pair.until(() => asked !== undefined);

    stop.abort(new Error('enough'));

    await expect(connecting).rejects.toThrow('enough');
    await pair.until(() => pair.net.b.usage.connections === 0);
    expect(gone).toBe(1);
    expect(asked?.accept()).toBeUndefined();
    asked?.refuse('reset');
  });

  test('tells who asks for whom, also for addresses that are not ours', async () => {
    const pair = new FlowPair({ acceptAny: true });
    const asked: TcpIncoming[] = [];
    pair.b.onTcp((incoming) => {
      asked.push(incoming);
      incoming.accept();
    });
    const elsewhere = Uint8Array.of(198, 18, 0, 1);

    await pair.outcome(pair.a.connectTcp({ destination: elsewhere, port: 443 }));

    expect(asked[0]?.source.address).toEqual(addressA);
    expect(asked[0]?.destination).toEqual({ address: elsewhere, port: 443 });
  });

  test('to other addresses is refused while nobody takes those', async () => {
    const pair = new FlowPair({ acceptAny: true });
    const elsewhere = { destination: Uint8Array.of(198, 18, 0, 1), port: 443 };

    await expect(pair.outcome(pair.a.connectTcp(elsewhere))).rejects.toMatchObject({ failure: 'refused' });
  });
});

describe('cut', () => {
  test('breaks what a remote address has, decided or not, and nothing else', async () => {
    const { pair, near, far } = await connected();
    const asked: TcpIncoming[] = [];
    pair.b.listenTcp(81, (incoming) => asked.push(incoming));
    pair.a.connectTcp({ ...to, port: 81 }).catch(() => {});
    pair.b.listenUdp(53, () => {});
    pair.a.openUdp({ destination: addressB, port: 53 })?.send(Buffer.from('?'));
    await pair.until(() => asked.length === 1);
    await pair.pass(100);

    pair.b.cut((remote) => remote[3] === 99);
    await pair.pass(100);
    expect(near.destroyed || far.destroyed).toBe(false);
    pair.b.cut((remote) => remote[3] === addressA[3]);
    await pair.until(() => near.destroyed && far.destroyed);

    expect(near.errored).toMatchObject({ code: 'ECONNRESET' });
    expect(pair.net.b.usage).toMatchObject({ connections: 0, udpFlows: 0 });
  });

  test('of everything at the end lets nothing new begin', async () => {
    const { pair, near, far } = await connected();

    pair.a.close();
    await pair.until(() => near.destroyed && far.destroyed);

    await expect(pair.a.connectTcp(to)).rejects.toMatchObject({ failure: 'closed' });
    expect(pair.a.openUdp(to)).toBeUndefined();
  });
});

describe('a flow of datagrams', () => {
  test('carries datagrams both ways, those before the listener included', async () => {
    const pair = new FlowPair();
    const channels: UdpChannel[] = [];
    pair.b.listenUdp(53, (channel) => channels.push(channel));
    const near = pair.a.openUdp({ destination: addressB, port: 53 })!;
    const answers: string[] = [];
    near.onMessage((bytes) => answers.push(Buffer.from(bytes).toString()));
    near.send(Buffer.from('one'));
    near.send(Buffer.from(''));
    near.send(patternBytes(9000));
    await pair.pass(100);

    const questions: number[] = [];
    channels[0]!.onMessage((bytes) => {
      questions.push(bytes.length);
      channels[0]!.send(Buffer.from(`got ${bytes.length}`));
    });
    await pair.until(() => answers.length === 3);

    expect(questions).toEqual([3, 0, 9000]);
    expect(answers).toEqual(['got 3', 'got 0', 'got 9000']);
    expect(channels[0]!.remote.address).toEqual(addressA);
    expect(channels[0]!.local).toEqual({ address: addressB, port: 53 });
  });

  test('ends where it was refused, and says so once', async () => {
    const pair = new FlowPair();
    pair.b.listenUdp(53, (channel) => channel.refuse('unreachable'));
    const near = pair.a.openUdp({ destination: addressB, port: 53 })!;
    const ends: string[] = [];
    near.onClose((end) => ends.push(end));

    near.send(Buffer.from('?'));
    await pair.until(() => ends.length > 0);
    near.close();
    await pair.pass(100);

    expect(ends).toEqual(['unreachable']);
    expect(near.send(Buffer.from('?'))).toBe(false);
  });

  test('ends by itself after silence', async () => {
    const pair = new FlowPair({ limits: { udpIdleMs: 10_000 } });
    const near = pair.a.openUdp({ destination: addressB, port: 99 })!;
    const ends: string[] = [];
    near.onClose((end) => ends.push(end));

    await pair.pass(20_000);

    expect(ends).toEqual(['idle']);
  });
});
