import { once } from 'node:events';
import { createServer, connect as dialSocket, type Socket } from 'node:net';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ProxyServer } from '../../../../client/proxy/server.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';
import { listenTo, proxyWorld, StubDialer, settle } from '../../../support/proxy-world.ts';

const socks5 = Uint8Array.from([5, 1, 0, 5, 1, 0, 3, 9, ...Buffer.from('a.example'), 0, 80]);
const associate = Uint8Array.from([5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
const socks4 = Uint8Array.from([4, 1, 0, 80, 1, 2, 3, 4, 0]);
const get = 'GET http://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n';
const connectRequest = 'CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n';
const hello = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

describe('a closed gate', () => {
  const reason = 'culvert is not connected.';

  test('refuses in the words of each protocol, and dials nothing', async () => {
    const { connect, dialer } = proxyWorld({ closed: reason });
    const ask = async (request: string | Uint8Array): Promise<Buffer> => {
      const client = connect();
      await client.send(request);
      return client.take();
    };

    expect([...(await ask(socks5))]).toEqual([5, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
    expect([...(await ask(associate))]).toEqual([5, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
    expect([...(await ask(socks4))]).toEqual([0, 0x5b, 0, 0, 0, 0, 0, 0]);
    for (const request of [get, connectRequest]) {
      const text = (await ask(request)).toString();
      expect(text).toMatch(/^HTTP\/1\.1 503 /);
      expect(text.endsWith(`\r\n\r\n${reason}\n`)).toBe(true);
    }
    expect([dialer.dialled, dialer.flows]).toEqual([[], []]);
  });

  test('is how a server begins', async () => {
    const dialer = new StubDialer();
    const proxy = new ProxyServer({ dialer, log: silentLog });
    await proxy.listen(0);
    const socket = dialSocket(proxy.port, '127.0.0.1');
    socket.write(get);

    expect(String((await once(socket, 'data'))[0])).toMatch(/ 503 /);
    expect(dialer.dialled).toEqual([]);
    socket.destroy();
    await proxy.close();
  });

  test('cuts what runs', async () => {
    const { proxy, connect, dialer } = proxyWorld();
    const [tunnel, socks, download] = [connect(), connect(), connect()];
    await tunnel.send(connectRequest);
    await socks.send(socks5);
    await download.send(get);
    await settle();
    dialer.far[2]!.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel');
    await settle();

    proxy.setGate({ kind: 'closed', reason });
    await settle();

    expect([tunnel, socks, download].map(({ stream }) => stream.destroyed)).toEqual([true, true, true]);
    expect(dialer.far.map(({ destroyed }) => destroyed)).toEqual([true, true, true]);
    expect(proxy.counters).toMatchObject({ connections: 0, cut: 3 });
  });

  test('answers what was being dialled or had no answer yet', async () => {
    const { proxy, connect, dialer } = proxyWorld();
    const waiting = connect();
    await waiting.send(get);
    await settle();
    dialer.failure = 'never';
    const [five, four, http] = [connect(), connect(), connect()];
    await five.send(socks5);
    await four.send(socks4);
    await http.send(get);
    await settle();

    proxy.setGate({ kind: 'closed', reason });

    expect([...(await five.take())].slice(2, 4)).toEqual([5, 3]);
    expect([...(await four.take())]).toEqual([0, 0x5b, 0, 0, 0, 0, 0, 0]);
    expect(await http.takeText()).toMatch(/^HTTP\/1\.1 503 [^]*culvert is not connected\.\n$/);
    expect(await waiting.takeText()).toMatch(/^HTTP\/1\.1 503 /);
    expect(proxy.counters.failed['tunnel-down']).toBe(3);
  });

  test('holds for a kept connection too, and opens again', async () => {
    const { proxy, connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get);
    await settle();
    dialer.far[0]!.write(hello);
    await client.take();

    proxy.setGate({ kind: 'closed', reason });
    await client.send(get);
    expect(await client.takeText()).toMatch(/ 503 /);
    proxy.setGate({ kind: 'open' });
    await client.send(get);
    await settle();
    dialer.far[1]!.write(hello);

    expect(await client.takeText()).toMatch(/hello$/);
  });
});

describe('time', () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const limits = {
    greetingMs: 1000,
    dialMs: 2000,
    keepAliveMs: 3000,
    lingerMs: 500,
    sweepMs: 100,
    idleMs: 10_000,
  };

  test.each([
    ['says nothing', ''],
    ['stops inside a SOCKS5 greeting', '\x05\x02'],
    ['stops inside a SOCKS5 request', '\x05\x01\x00\x05\x01'],
    ['stops inside a SOCKS4 request', '\x04\x01'],
    ['stops inside an HTTP head', 'GET http://a.example/ HT'],
  ])('a client that %s is closed', async (_title, words) => {
    const { connect, proxy } = proxyWorld({ limits });
    const client = connect();
    await client.send(Buffer.from(words, 'latin1'));

    await vi.advanceTimersByTimeAsync(999);
    expect(client.stream.destroyed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await settle();

    expect(client.stream.destroyed).toBe(true);
    expect(proxy.counters).toMatchObject({ connections: 0, timedOut: 1 });
  });

  test('a client that sends a head byte by byte gets no more time for it', async () => {
    const { connect } = proxyWorld({ limits });
    const client = connect();
    for (const byte of 'GET http') {
      await client.send(byte);
      await vi.advanceTimersByTimeAsync(200);
    }
    await settle();

    expect(client.stream.destroyed).toBe(true);
  });

  test('a kept HTTP connection has its time for the next head', async () => {
    const { connect, dialer } = proxyWorld({ limits });
    const client = connect();
    await client.send(get);
    await settle();
    await vi.advanceTimersByTimeAsync(5000);
    dialer.far[0]!.write(hello);
    expect(await client.takeText()).toMatch(/hello$/);

    await client.send('GET ');
    await vi.advanceTimersByTimeAsync(2999);
    expect(client.stream.destroyed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await settle();

    expect(client.stream.destroyed).toBe(true);
  });

  test('a destination has its time to answer', async () => {
    const { connect, dialer, proxy } = proxyWorld({ limits });
    dialer.failure = 'never';
    const [five, http] = [connect(), connect()];
    await five.send(socks5);
    await http.send(connectRequest);
    await settle();

    await vi.advanceTimersByTimeAsync(2000);

    expect([...(await five.take())].slice(2, 4)).toEqual([5, 6]);
    expect(await http.takeText()).toMatch(/^HTTP\/1\.1 504 /);
    expect(proxy.counters.failed.timeout).toBe(2);
  });

  test('a refused client that does not close is closed', async () => {
    const { connect, proxy } = proxyWorld({ limits, closed: 'no' });
    const client = connect();
    await client.send(socks4);
    await settle();
    expect(client.ended).toBe(true);
    expect(proxy.counters.connections).toBe(1);

    await vi.advanceTimersByTimeAsync(500);
    await settle();

    expect(proxy.counters.connections).toBe(0);
  });

  test('a tunnel is closed after its idle time, and bytes of either direction keep it', async () => {
    const { connect, dialer, proxy } = proxyWorld({ limits });
    const client = connect();
    await client.send(socks5);
    await settle();
    const rest = (sweeps: number): void => {
      for (let i = 0; i < sweeps; i++) proxy.sweep();
    };

    rest(100);
    await client.send('x');
    await settle();
    rest(100);
    dialer.far[0]!.write('y');
    await settle();
    rest(100);
    await settle();
    expect(client.stream.destroyed).toBe(false);
    rest(1);
    await settle();

    expect([client.stream.destroyed, dialer.far[0]!.destroyed]).toEqual([true, true]);
    expect(proxy.counters.timedOut).toBe(1);
  });

  test('nobody is woken for idle connections where there are none', async () => {
    const { connect, proxy } = proxyWorld({ limits });
    const before = vi.getTimerCount();
    const client = connect();
    await client.send(socks5);
    await settle();
    const during = vi.getTimerCount();

    client.stream.destroy();
    await settle();
    await vi.advanceTimersByTimeAsync(limits.idleMs);

    expect(during).toBeGreaterThan(before);
    expect([proxy.counters.connections, vi.getTimerCount()]).toEqual([0, before]);
  });

  test('a half-closed tunnel has less of it', async () => {
    const { connect, dialer, proxy } = proxyWorld({ limits: { ...limits, halfClosedIdleMs: 1000 } });
    const client = connect();
    await client.send(socks5);
    listenTo(dialer.far[0]!);
    client.stream.end();
    await settle();

    for (let i = 0; i < 11; i++) proxy.sweep();
    await settle();

    expect(client.stream.destroyed).toBe(true);
  });
});

describe('bounds', () => {
  test('one connection too many is closed unheard, until another has gone', async () => {
    const { connect, proxy } = proxyWorld({ limits: { maxConnections: 2 } });
    const [first] = [connect(), connect()];
    const third = connect();
    await settle();
    expect(third.stream.destroyed).toBe(true);
    expect(proxy.counters.turnedAway.full).toBe(1);

    first.stream.destroy();
    await settle();
    const fourth = connect();
    await fourth.send(socks5);

    expect((await fourth.take()).length).toBe(12);
  });

  test.each(['10.0.0.1', '192.168.1.5', '2001:db8::1', '::ffff:10.0.0.1', ''])(
    'a peer at %j is turned away',
    async (peer) => {
      const { connect, proxy } = proxyWorld();
      const client = connect(peer);
      await settle();

      expect(client.stream.destroyed).toBe(true);
      expect(proxy.counters.turnedAway.notLocal).toBe(1);
    },
  );

  test('what is none of the protocols is closed', async () => {
    const { connect, proxy } = proxyWorld();
    const client = connect();

    await client.send(Uint8Array.of(0x16, 3, 1, 2, 0));

    expect((await client.take()).length).toBe(0);
    expect(client.closed).toBe(true);
    expect(proxy.counters.malformed).toBe(1);
  });

  test('arbitrary bytes never throw and never stay', async () => {
    const bug = vi.fn();
    const starts = [
      '',
      '\x05',
      '\x05\x01\x00\x05\x01\x00',
      '\x04\x01',
      'GET ',
      'CONNECT ',
      'POST http://a/ HTTP/1.1\r\n',
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...starts),
        fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 4 }),
        async (start, pieces) => {
          const { connect, proxy, dialer } = proxyWorld();
          dialer.failure = 'refused';
          process.once('uncaughtException', bug);
          const client = connect();
          await client.send(Buffer.from(start, 'latin1'));
          for (const piece of pieces) await client.send(piece);
          client.stream.end();
          await settle();
          client.stream.destroy();
          await settle();
          process.off('uncaughtException', bug);
          expect(proxy.counters.connections).toBe(0);
        },
      ),
      { seed: 4003, numRuns: 150 },
    );
    expect(bug).not.toHaveBeenCalled();
  });
});

describe('the port', () => {
  let proxy: ProxyServer;
  let dialer: StubDialer;

  beforeEach(async () => {
    dialer = new StubDialer();
    proxy = new ProxyServer({ dialer, log: silentLog });
    proxy.setGate({ kind: 'open' });
    await proxy.listen(0);
  });
  afterEach(() => proxy.close());

  async function ask(request: string, host = '127.0.0.1'): Promise<string> {
    const socket = dialSocket(proxy.port, host);
    socket.write(request);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    return answer.toString();
  }

  test.each(['127.0.0.1', '::1'])('answers at %s with a page that says what it is', async (host) => {
    const authority = host.includes(':') ? `[${host}]:${proxy.port}` : `${host}:${proxy.port}`;
    const page = await ask(`GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`, host);

    expect(page).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(page).toContain('local proxy of culvert');
    expect(page).toContain(`socks5h://${authority}`);
    expect(page).toContain('Content-Type: text/plain');
  });

  test('serves a configuration for browsers that never goes direct, but on this machine', async () => {
    const answer = await ask(`GET /proxy.pac HTTP/1.1\r\nHost: localhost:${proxy.port}\r\n\r\n`);
    const script = answer.slice(answer.indexOf('\r\n\r\n') + 4);
    const find = (url: string, host: string): unknown =>
      runInNewContext(`${script}; FindProxyForURL(${JSON.stringify(url)}, ${JSON.stringify(host)})`);

    expect(answer).toContain('Content-Type: application/x-ns-proxy-autoconfig');
    expect(find('http://a.example/', 'a.example')).toBe(`PROXY localhost:${proxy.port}`);
    expect(find('http://10.0.0.1/', '10.0.0.1')).toBe(`PROXY localhost:${proxy.port}`);
    expect(find('http://127.0.0.1.evil.example/', '127.0.0.1.evil.example')).toMatch(/^PROXY/);
    expect(find('http://127.0.0.1/', '127.0.0.1')).toBe('DIRECT');
  });

  test('refuses everything else that is meant for itself', async () => {
    const own = `127.0.0.1:${proxy.port}`;
    const asked: [string, number][] = [
      [`GET /admin HTTP/1.1\r\nHost: ${own}\r\n\r\n`, 403],
      [`POST / HTTP/1.1\r\nHost: ${own}\r\nContent-Length: 0\r\n\r\n`, 405],
      [`GET / HTTP/1.1\r\nHost: evil.example:${proxy.port}\r\n\r\n`, 421],
      [`GET http://${own}/x HTTP/1.1\r\nHost: ${own}\r\n\r\n`, 403],
      [`GET http://${own}/ HTTP/1.1\r\nHost: ${own}\r\n\r\n`, 200],
      [`CONNECT ${own} HTTP/1.1\r\nHost: ${own}\r\n\r\n`, 403],
      [`CONNECT localhost:${proxy.port} HTTP/1.1\r\nHost: x\r\n\r\n`, 403],
    ];

    for (const [request, status] of asked) expect(await ask(request)).toMatch(`HTTP/1.1 ${status} `);
    expect(dialer.dialled).toEqual([]);
  });

  test('says that a port is taken, in either family', async () => {
    const second = new ProxyServer({ dialer, log: silentLog });
    await expect(second.listen(proxy.port)).rejects.toMatchObject({ code: 'port-in-use' });
    const squatter = createServer();
    squatter.listen(0, '::1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as { port: number };

    await expect(second.listen(port)).rejects.toMatchObject({ code: 'port-in-use' });

    // And holds nothing of what it could not have whole.
    const free = createServer().listen(port, '127.0.0.1');
    await once(free, 'listening');
    free.close();
    squatter.close();
  });

  test('ends all its connections when it closes, twice if need be', async () => {
    const socket: Socket = dialSocket(proxy.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(socks5);
    await once(socket, 'data');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));

    await proxy.close();
    await proxy.close();

    await closed;
    expect(proxy.port).toBe(0);
    expect(dialer.far[0]!.destroyed).toBe(true);
  });

  test('resets a client when its destination breaks', async () => {
    const socket: Socket = dialSocket({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.write(socks5);
    await once(socket, 'data');

    dialer.far[0]!.destroy();

    expect((await once(socket, 'error'))[0]).toMatchObject({ code: 'ECONNRESET' });
  });
});
