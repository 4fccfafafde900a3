import { describe, expect, test } from 'vitest';
import type { DialFailure } from '../../../../client/proxy/dialer.ts';
import type { ProxyServer } from '../../../../client/proxy/server.ts';
import { listenTo, proxyWorld, settle } from '../../../support/proxy-world.ts';

const connectRequest = [5, 1, 0, 3, 9, ...Buffer.from('a.example'), 0, 80];
const socks5 = Uint8Array.from([5, 1, 0, ...connectRequest]);
const socks4a = Uint8Array.from([4, 1, 0, 80, 0, 0, 0, 7, 0, ...Buffer.from('a.example'), 0]);
const granted4 = [0, 0x5a, 0, 0, 0, 0, 0, 0];
const rejected4 = [0, 0x5b, 0, 0, 0, 0, 0, 0];
const reply = (code: number): number[] => [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
const credentials = { username: 'anna', password: 'pw' };
const login = (username: string, password: string): number[] => [
  1,
  username.length,
  ...Buffer.from(username),
  password.length,
  ...Buffer.from(password),
];

describe.each([1, 2, 3, 7, 1000])('in pieces of %d bytes', (pieceBytes) => {
  test.each([
    ['SOCKS5', socks5, [5, 0, ...reply(0)]],
    ['SOCKS4a', socks4a, granted4],
  ])('%s connects by name and carries what follows at once', async (_title, request, answer) => {
    const { connect, dialer } = proxyWorld();
    const far = dialer.nextFar().then(listenTo);
    const client = connect();

    await client.send(Buffer.concat([request, Buffer.from('early words')]), pieceBytes);

    expect([...(await client.take())]).toEqual(answer);
    expect((await far).text).toBe('early words');
    expect(dialer.dialled).toMatchObject([{ host: 'a.example', port: 80 }]);
  });

  test('a login is asked for and checked', async () => {
    const { connect, proxy } = proxyWorld({ credentials });
    const client = connect();

    await client.send([5, 2, 0, 2, ...login('anna', 'pw'), ...connectRequest] as never, pieceBytes);

    expect([...(await client.take())]).toEqual([5, 2, 1, 0, ...reply(0)]);
    expect(proxy.counters.unauthorized).toBe(0);
  });
});

describe('who may not', () => {
  test.each([
    ['a wrong password', [5, 1, 2, ...login('anna', 'no')], [5, 2, 1, 1]],
    ['no password', [5, 1, 0, ...connectRequest], [5, 0xff]],
    ['SOCKS4, which has none', [...socks4a], rejected4],
  ])('is refused with %s', async (_title, bytes, answer) => {
    const { connect, dialer, proxy } = proxyWorld({ credentials });
    const client = connect();

    await client.send(Uint8Array.from(bytes));

    expect([...(await client.take())]).toEqual(answer);
    expect(client.closed).toBe(true);
    expect(dialer.dialled).toEqual([]);
    expect(proxy.counters.unauthorized).toBe(1);
  });

  test('but any password will do where none is wanted and the client knows no other way', async () => {
    const { connect } = proxyWorld();
    const client = connect();

    await client.send(Uint8Array.from([5, 1, 2, ...login('x', 'y'), ...connectRequest]));

    expect([...(await client.take())]).toEqual([5, 2, 1, 0, ...reply(0)]);
  });
});

describe('a failed dial', () => {
  test.each<[DialFailure, number]>([
    ['refused', 5],
    ['unreachable', 4],
    ['name-not-found', 4],
    ['timeout', 6],
    ['denied', 2],
    ['tunnel-down', 3],
  ])('%s is reply %d in SOCKS5 and a no in SOCKS4', async (failure, code) => {
    const { connect, dialer, proxy } = proxyWorld();
    dialer.failure = failure;
    const [five, four] = [connect(), connect()];

    await five.send(socks5);
    await four.send(socks4a);

    expect([...(await five.take())]).toEqual([5, 0, ...reply(code)]);
    expect([...(await four.take())]).toEqual(rejected4);
    expect([five.closed, four.closed]).toEqual([true, true]);
    expect(proxy.counters.failed[failure]).toBe(2);
  });
});

describe('what cannot be asked for', () => {
  test.each([
    ['BIND', [5, 2, 0, 1, 1, 2, 3, 4, 0, 80], reply(7)],
    ['an unknown command', [5, 9, 0, 1, 1, 2, 3, 4, 0, 80], reply(7)],
    ['an unknown address type', [5, 1, 0, 9], reply(8)],
    ['a name that cannot be', [5, 1, 0, 3, 3, 97, 32, 98, 0, 80], reply(4)],
    ['port 0', [5, 1, 0, 1, 1, 2, 3, 4, 0, 0], reply(4)],
    ['another version', [4, 1, 0, 1], []],
  ])('%s is refused without a dial', async (_title, request, answer) => {
    const { connect, dialer } = proxyWorld();
    const client = connect();

    await client.send(Uint8Array.from([5, 1, 0, ...request]));

    expect([...(await client.take())]).toEqual([5, 0, ...answer]);
    expect(client.closed).toBe(true);
    expect(dialer.dialled).toEqual([]);
  });

  test.each([
    ['BIND', [4, 2, 0, 80, 1, 2, 3, 4, 0]],
    ['port 0', [4, 1, 0, 0, 1, 2, 3, 4, 0]],
    ['a name that cannot be', [4, 1, 0, 80, 0, 0, 0, 1, 0, 32, 0]],
  ])('%s is refused in SOCKS4', async (_title, request) => {
    const { connect, dialer } = proxyWorld();
    const client = connect();

    await client.send(Uint8Array.from(request));

    expect([...(await client.take())]).toEqual(rejected4);
    expect(dialer.dialled).toEqual([]);
  });
});

describe('an established tunnel', () => {
  test('ends each direction alone', async () => {
    const { connect, dialer, proxy } = proxyWorld();
    const client = connect();
    await client.send(socks5);
    await client.take();
    const far = dialer.far[0]!;
    const heard = listenTo(far);

    client.stream.end('question');
    await settle();
    expect(heard).toEqual({ text: 'question', ended: true });
    far.write('half ');
    await settle();
    far.end('answer');

    expect(await client.takeText()).toBe('half answer');
    expect(client.ended).toBe(true);
    expect(proxy.counters).toMatchObject({ connections: 0, bytesUp: 8, bytesDown: 11 });
  });

  test('passes on an end that came before the dial was done', async () => {
    const { connect, dialer } = proxyWorld();
    const far = dialer.nextFar().then(listenTo);
    const client = connect();

    client.stream.end(socks5);
    await settle();

    expect(await far).toEqual({ text: '', ended: true });
    dialer.far[0]!.end('still answered');
    expect((await client.takeText()).endsWith('still answered')).toBe(true);
  });

  test('the far end may end first', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(socks5);
    const heard = listenTo(dialer.far[0]!);

    dialer.far[0]!.end('goodbye');
    await settle();
    expect(client.ended).toBe(true);
    client.stream.end('and you');
    await settle();

    expect(heard).toEqual({ text: 'and you', ended: true });
  });

  test('delivers what the client left behind, although the client has gone meanwhile', async () => {
    const { connect, dialer, proxy } = proxyWorld();
    const client = connect();
    await client.send(socks5);
    const far = dialer.far[0]!;
    far.end();
    // The second write is more than the far end holds unread, but no reason yet to rest the client.
    await client.send(Buffer.alloc(far.readableHighWaterMark - 1));
    await settle();
    client.stream.end(Buffer.alloc(10));
    await settle();
    expect([client.stream.closed, proxy.counters.connections]).toEqual([true, 1]);

    const heard = listenTo(far);
    await settle();

    expect([heard.text.length, heard.ended]).toEqual([far.readableHighWaterMark + 9, true]);
    expect(proxy.counters.connections).toBe(0);
  });

  test.each([
    ['when the gate closes', (proxy: ProxyServer) => proxy.setGate({ kind: 'closed', reason: 'no' })],
    ['after its idle time', (proxy: ProxyServer) => [1, 2, 3].forEach(() => proxy.sweep())],
    ['when the proxy ends', (proxy: ProxyServer) => void proxy.close()],
  ])('drops what the client left behind %s', async (_title, stop) => {
    const { connect, dialer, proxy } = proxyWorld({ limits: { sweepMs: 10, halfClosedIdleMs: 20 } });
    const client = connect();
    await client.send(socks5);
    const far = dialer.far[0]!;
    far.end();
    await client.send(Buffer.alloc(far.readableHighWaterMark - 1));
    await settle();
    client.stream.end(Buffer.alloc(10));
    await settle();

    stop(proxy);
    await settle();

    expect(far.destroyed).toBe(true);
    expect(proxy.counters.connections).toBe(0);
  });

  test('breaks for the other side when one side breaks', async () => {
    const { connect, dialer, proxy } = proxyWorld();
    const [a, b] = [connect(), connect()];
    await a.send(socks5);
    await b.send(socks5);

    dialer.far[0]!.destroy();
    b.stream.destroy();
    await settle();

    expect([a.stream.destroyed, a.ended]).toEqual([true, false]);
    expect(dialer.far[1]!.destroyed).toBe(true);
    expect(proxy.counters.connections).toBe(0);
  });

  test('holds little for a client that does not read', async () => {
    const { connect, dialer, proxy } = proxyWorld();
    const client = connect();
    await client.send(socks5);
    await client.take();
    client.stream.pause();
    const far = dialer.far[0]!;

    let written = 0;
    for (let turn = 0; turn < 2000; turn++) {
      while (!far.writableNeedDrain && written < 64 * 1024 * 1024) {
        far.write(Buffer.alloc(16 * 1024));
        written += 16 * 1024;
      }
      if (turn % 20 === 0) await settle();
    }

    expect(written).toBeLessThan(2 * 1024 * 1024);
    far.end();
    client.stream.resume();
    await settle();
    for (let turn = 0; turn < 100 && !client.ended; turn++) await settle();
    expect(client.received.length).toBe(written);
    expect(proxy.counters.bytesDown).toBe(written);
  });

  test('holds little for a destination that does not read', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(socks5);

    let written = 0;
    for (let turn = 0; turn < 2000; turn++) {
      while (!client.stream.writableNeedDrain && written < 64 * 1024 * 1024) {
        client.stream.write(Buffer.alloc(16 * 1024));
        written += 16 * 1024;
      }
      if (turn % 20 === 0) await settle();
    }

    expect(written).toBeLessThan(2 * 1024 * 1024);
    expect(dialer.far[0]!.readableLength).toBeLessThan(256 * 1024);
  });
});

test('a client that goes away ends its dial', async () => {
  const { connect, dialer, proxy } = proxyWorld();
  dialer.failure = 'never';
  const client = connect();
  await client.send(socks5);

  client.stream.destroy();
  await settle();

  expect(dialer.dialled[0]!.signal.aborted).toBe(true);
  expect(proxy.counters.connections).toBe(0);
});
