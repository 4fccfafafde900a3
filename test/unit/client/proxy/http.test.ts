import type { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { DialFailure } from '../../../../client/proxy/dialer.ts';
import { listenTo, proxyWorld, settle, type TestClient } from '../../../support/proxy-world.ts';

const get = 'GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n';
const connectRequest = 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n';
const hello = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

/** Head and body of an answer, the head's lines sorted out. */
function parts(text: string): { status: string; headers: string[]; body: string } {
  const end = text.indexOf('\r\n\r\n');
  const [status = '', ...headers] = text.slice(0, end).split('\r\n');
  return { status, headers, body: text.slice(end + 4) };
}

async function exchange(client: TestClient, request: string): Promise<ReturnType<typeof parts>> {
  await client.send(request);
  return parts(await client.takeText());
}

describe.each([1, 5, 10_000])('in pieces of %d bytes', (pieceBytes) => {
  test('CONNECT opens a tunnel and carries what follows at once', async () => {
    const { connect, dialer } = proxyWorld();
    const far = dialer.nextFar().then(listenTo);
    const client = connect();

    await client.send(`${connectRequest}early`, pieceBytes);
    await settle();

    expect(parts(await client.takeText()).status).toBe('HTTP/1.1 200 Connection established');
    expect((await far).text).toBe('early');
    expect(dialer.dialled).toMatchObject([{ host: 'a.example', port: 443 }]);
    dialer.far[0]!.end('late');
    expect(await client.takeText()).toBe('late');
  });

  test('a plain request goes out in origin form, and its answer comes back', async () => {
    const { connect, dialer } = proxyWorld();
    const far = dialer.nextFar();
    const client = connect();

    await client.send(
      'GET http://A.example/x?y HTTP/1.1\r\nHost: b\r\nProxy-Connection: keep-alive\r\n',
      pieceBytes,
    );
    await client.send('proxy-authorization: Basic eA==\r\nX-Own: 1\r\n\r\n', pieceBytes);
    const heard = listenTo(await far);
    await settle();
    (await far).write('HTTP/1.1 203 Fine\r\nSet-Cookie: a\r\nset-cookie: b\r\nKeep-Alive: timeout=9\r\n');
    (await far).write('Content-Length: 5\r\n\r\nhello');

    expect(heard.text).toBe(
      'GET /x?y HTTP/1.1\r\nHost: a.example\r\nX-Own: 1\r\nConnection: keep-alive\r\n\r\n',
    );
    expect(parts(await client.takeText())).toEqual({
      status: 'HTTP/1.1 203 Fine',
      headers: ['Set-Cookie: a', 'set-cookie: b', 'Content-Length: 5', 'Connection: keep-alive'],
      body: 'hello',
    });
    expect(client.closed).toBe(false);
  });
});

describe('plain requests', () => {
  test('of one origin share a connection, another origin gets a new one', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    for (const [i, host] of ['a', 'a', 'b', 'a'].entries()) {
      await client.send(`GET http://${host}.example/ HTTP/1.1\r\nHost: x\r\n\r\n`);
      await settle();
      dialer.far.at(-1)!.write(hello);
      expect([i, parts(await client.takeText()).body]).toEqual([i, 'hello']);
    }

    expect(dialer.dialled.map(({ host }) => host)).toEqual(['a.example', 'b.example', 'a.example']);
    expect(dialer.far.map((far) => far.destroyed)).toEqual([true, true, false]);
    client.stream.destroy();
    await settle();
    expect(dialer.far.at(-1)!.destroyed).toBe(true);
  });

  test('a kept connection that the origin closed meanwhile is replaced in silence', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get);
    await settle();
    dialer.far[0]!.write(hello);
    await client.take();

    await client.send(get);
    dialer.far[0]!.destroy();
    await settle();
    dialer.far[1]!.write(hello);

    expect(parts(await client.takeText()).body).toBe('hello');
    expect(dialer.dialled).toHaveLength(2);
  });

  test.each([
    ['ended', (far: Duplex) => far.end()],
    ['spoke on unasked', (far: Duplex) => far.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison')],
  ])('a kept connection that the origin %s between two requests is not used again', async (_title, spoil) => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get);
    await settle();
    dialer.far[0]!.write(hello);
    await client.take();

    spoil(dialer.far[0]!);
    await settle();
    await client.send('POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx');
    await settle();
    dialer.far.at(-1)!.write(hello);

    expect(parts(await client.takeText())).toMatchObject({ status: 'HTTP/1.1 200 OK', body: 'hello' });
  });

  test.each([
    ['a length', 'Content-Length: 9\r\n\r\nall of it', /\r\nContent-Length: 9\r\n[^]*\r\n\r\nall of it$/],
    [
      'chunks',
      'Transfer-Encoding: chunked\r\n\r\n3\r\nall\r\n6;x=y\r\n of it\r\n0\r\n\r\n',
      /\r\nTransfer-Encoding: chunked\r\n[^]*\r\n\r\n3\r\nall\r\n6\r\n of it\r\n0\r\n\r\n$/,
    ],
    ['no body at all', '\r\n', /\r\nContent-Length: 0\r\n[^]*\r\n\r\n$/],
  ])('carry a body with %s', async (_title, rest, expected) => {
    const { connect, dialer, proxy } = proxyWorld();
    const far = dialer.nextFar().then(listenTo);
    const client = connect();

    await client.send(`POST http://a.example/ HTTP/1.1\r\nHost: a\r\n${rest}`);
    await settle();

    expect((await far).text).toMatch(expected);
    expect((await far).text).not.toMatch(/via|forwarded|culvert/i);
    expect(proxy.counters.bytesUp).toBe(rest.includes('all') ? 9 : 0);
  });

  test('stream a body before it is complete, in both directions', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();

    await client.send('POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab');
    await settle();
    const heard = listenTo(dialer.far[0]!);
    await settle();
    expect(heard.text.endsWith('\r\n\r\nab')).toBe(true);
    dialer.far[0]!.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n');
    expect(parts(await client.takeText()).body).toBe('2\r\nxy\r\n');
    await client.send('cd');
    dialer.far[0]!.write('0\r\n\r\n');

    expect(await client.takeText()).toBe('0\r\n\r\n');
    expect(heard.text.endsWith('\r\n\r\nabcd')).toBe(true);
  });

  test.each<[string, string, RegExp]>([
    ['until its end, for HTTP/1.1', 'HTTP/1.1 200 OK\r\n\r\nhello', /\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/],
    ['with 204', 'HTTP/1.1 204 No Content\r\n\r\n', /^HTTP\/1\.1 204 No Content\r\n[^]*\r\n\r\n$/],
    [
      'with 304 and a length',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
      /Content-Length: 9[^]*\r\n\r\n$/,
    ],
  ])('bring back an answer %s', async (_title, answer, expected) => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get);
    await settle();

    dialer.far[0]!.end(answer);

    expect(await client.takeText()).toMatch(expected);
  });

  test('HEAD brings a length and no body', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get.replace('GET', 'HEAD'));
    await settle();

    dialer.far[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n');

    expect(parts(await client.takeText())).toMatchObject({
      headers: ['Content-Length: 5', 'Connection: keep-alive'],
      body: '',
    });
  });

  test('an HTTP/1.0 client gets an answer that ends with the connection', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send('GET http://a.example/ HTTP/1.0\r\n\r\n');
    await settle();

    dialer.far[0]!.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');

    expect(parts(await client.takeText())).toMatchObject({ headers: ['Connection: close'], body: 'hello' });
    expect(client.closed).toBe(true);
  });

  test('100-continue is asked of the origin, and its word is passed on', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(
      'PUT http://a.example/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
    );
    await settle();
    const heard = listenTo(dialer.far[0]!);
    expect(await client.takeText()).toBe('');

    dialer.far[0]!.write('HTTP/1.1 100 Continue\r\n\r\n');
    expect(await client.takeText()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    await client.send('body');
    await settle();
    expect(heard.text).toMatch(/\r\nExpect: 100-continue\r\n[^]*\r\n\r\nbody$/);
    dialer.far[0]!.write(hello);

    expect(parts(await client.takeText()).body).toBe('hello');
  });

  test('a final answer instead of 100 ends the connection, as the body may come or not', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(
      'PUT http://a.example/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
    );
    await settle();

    dialer.far[0]!.write('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n');

    expect(parts(await client.takeText())).toMatchObject({
      status: 'HTTP/1.1 413 No',
      headers: expect.arrayContaining(['Connection: close']),
    });
    expect(client.ended).toBe(true);
  });

  test('an answer before the body has come ends the connection, as the rest is no next request', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send('POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf');
    await settle();

    dialer.far[0]!.write(hello);

    expect(parts(await client.takeText()).headers).toContain('Connection: close');
    expect(client.ended).toBe(true);
  });

  test('an answer that breaks off breaks the connection', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get);
    await settle();

    dialer.far[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel');
    await settle();
    dialer.far[0]!.end();
    await settle();

    expect([client.stream.destroyed, client.ended]).toEqual([true, false]);
  });

  test('a client that goes away ends the request to the origin', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get);
    await settle();

    client.stream.destroy();
    await settle();

    expect(dialer.far[0]!.destroyed).toBe(true);
  });

  test('a client that does not read rests the origin', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get);
    await settle();
    client.stream.pause();
    const far = dialer.far[0]!;
    far.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`);

    expect(await fill(far, 64 * 1024 * 1024)).toBeLessThan(2 * 1024 * 1024);
  });

  test('an origin that does not read rests the client', async () => {
    const { connect } = proxyWorld();
    const client = connect();
    await client.send(
      `POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`,
    );
    await settle();

    expect(await fill(client.stream, 64 * 1024 * 1024)).toBeLessThan(2 * 1024 * 1024);
  });

  test('a pipelined request is left to be sent again', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();

    await client.send(get + get.replace('/x', '/second') + get);
    await settle();
    dialer.far[0]!.write(hello);

    expect(parts(await client.takeText()).body).toBe('hello');
    expect(client.ended).toBe(true);
    expect(dialer.dialled).toHaveLength(1);
  });
});

describe('an upgrade to WebSocket', () => {
  const upgrade =
    'GET http://a.example/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n';

  test('becomes a tunnel where the origin agrees', async () => {
    const { connect, dialer, proxy } = proxyWorld();
    const client = connect();
    await client.send(`${upgrade}up`);
    await settle();
    const heard = listenTo(dialer.far[0]!);

    dialer.far[0]!.write(
      'HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: v\r\n\r\ndown',
    );

    expect(await client.takeText()).toBe(
      'HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: v\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\ndown',
    );
    expect(heard.text).toMatch(
      /^GET \/ws HTTP\/1\.1\r\nHost: a\.example\r\n[^]*Upgrade: websocket\r\n\r\nup$/,
    );
    await client.send('more');
    dialer.far[0]!.write('and more');
    expect(await client.takeText()).toBe('and more');
    expect(heard.text.endsWith('upmore')).toBe(true);
    client.stream.end();
    dialer.far[0]!.end();
    await settle();
    expect(proxy.counters.connections).toBe(0);
  });

  test('is an ordinary answer where it does not', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(upgrade);
    await settle();

    dialer.far[0]!.write('HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\n0\r\n\r\n');

    expect(parts(await client.takeText())).toEqual({
      status: 'HTTP/1.1 403 No',
      headers: ['Connection: close'],
      body: 'why',
    });
    expect(client.ended).toBe(true);
  });

  test('fails like any request', async () => {
    const { connect, dialer } = proxyWorld();
    dialer.failure = 'refused';

    expect((await exchange(connect(), upgrade)).status).toBe('HTTP/1.1 502 Bad Gateway');
  });

  test('an offer of another protocol is overheard', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(
      'GET http://a.example/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n',
    );
    await settle();
    const heard = listenTo(dialer.far[0]!);
    await settle();

    expect(heard.text).toBe('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n');
  });
});

describe('a failed dial', () => {
  test.each<[DialFailure, number, string]>([
    ['refused', 502, 'connection_refused'],
    ['unreachable', 502, 'destination_ip_unroutable'],
    ['name-not-found', 502, 'dns_error'],
    ['timeout', 504, 'connection_timeout'],
    ['denied', 403, 'destination_ip_prohibited'],
    ['tunnel-down', 503, 'destination_unavailable'],
  ])('%s is status %d, for CONNECT and plain requests alike', async (failure, status, word) => {
    const { connect, dialer } = proxyWorld();
    dialer.failure = failure;

    for (const request of [get, connectRequest]) {
      const answer = await exchange(connect(), request);

      expect(answer.status).toMatch(`HTTP/1.1 ${status} `);
      expect(answer.headers).toContain(`Proxy-Status: culvert; error=${word}`);
      expect(answer.body).toBe(`It failed: ${failure}.\n`);
    }
  });

  test('leaves a plain connection usable', async () => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    dialer.failure = 'refused';
    await exchange(client, get);

    dialer.failure = undefined;
    await client.send(get);
    await settle();
    dialer.far[0]!.write(hello);

    expect(parts(await client.takeText()).body).toBe('hello');
  });

  test.each([
    ['nonsense', 'SSH-2.0-x\r\n\r\n', 502],
    ['nothing', '', 502],
    ['an unknown transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 502],
  ])('an origin that answers %s is a bad gateway', async (_title, words, status) => {
    const { connect, dialer } = proxyWorld();
    const client = connect();
    await client.send(get.replace('GET', 'PATCH'));
    await settle();

    dialer.far[0]!.end(words);

    expect(parts(await client.takeText()).status).toMatch(`HTTP/1.1 ${status} `);
  });
});

describe('what is no request for a proxy', () => {
  test.each([
    ['an https target', 'GET https://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a password in the target', 'GET http://u:p@a.example/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a CONNECT without a port', 'CONNECT a.example HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a CONNECT to no host', 'CONNECT a..b:443 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an origin form for another host', 'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n', 421],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    [
      'a transfer coding that nobody knows',
      'POST http://a.example/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      501,
    ],
    [
      'two lengths',
      'POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
    ],
    [
      'a length and chunks',
      'POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['a space before the colon', 'GET http://a.example/ HTTP/1.1\r\nHost : a\r\n\r\n', 400],
    ['a folded header', 'GET http://a.example/ HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 400],
    ['another version', 'GET http://a.example/ HTTP/3.0\r\n\r\n', 400],
    ['an unknown method', 'BREW http://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n', 501],
    ['endless headers', `GET http://a.example/ HTTP/1.1\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    ['endless lines', `GET http://a.example/${'x'.repeat(40_000)} HTTP/1.1\r\n\r\n`, 431],
    [
      'an expectation that nobody knows',
      'GET http://a.example/ HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n',
      417,
    ],
  ])('%s', async (_title, request, status) => {
    const { connect, dialer } = proxyWorld();

    expect((await exchange(connect(), request)).status).toMatch(`HTTP/1.1 ${status} `);
    expect(dialer.dialled).toEqual([]);
  });
});

describe('a password', () => {
  const credentials = { username: 'anna', password: 'pw' };
  const header = `Proxy-Authorization: Basic ${Buffer.from('anna:pw').toString('base64')}\r\n\r\n`;

  test.each([
    get,
    connectRequest,
    get.replace('\r\n\r\n', '\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
  ])('is asked for: %j', async (request) => {
    const { connect, dialer, proxy } = proxyWorld({ credentials });

    const answer = await exchange(connect(), request);

    expect(answer.status).toBe('HTTP/1.1 407 Proxy Authentication Required');
    expect(answer.headers).toContain('Proxy-Authenticate: Basic realm="culvert", charset="UTF-8"');
    expect(dialer.dialled).toEqual([]);
    expect(proxy.counters.unauthorized).toBe(1);
  });

  test('opens the proxy, and goes no further', async () => {
    const { connect, dialer } = proxyWorld({ credentials });
    const client = connect();

    await client.send(get.replace('\r\n\r\n', `\r\n${header}`));
    await settle();
    const heard = listenTo(dialer.far[0]!);
    await settle();

    expect(heard.text).toMatch(/^GET \/x\?y/);
    expect(heard.text).not.toMatch(/auth/i);
    expect((await exchange(connect(), connectRequest.replace('\r\n\r\n', `\r\n${header}`))).status).toMatch(
      / 200 /,
    );
  });
});

/** Writes until the stream stays full. */
async function fill(stream: Duplex, enough: number): Promise<number> {
  let written = 0;
  for (let turn = 0; turn < 60; turn++) {
    while (!stream.writableNeedDrain && written < enough) {
      stream.write(Buffer.alloc(16 * 1024));
      written += 16 * 1024;
    }
    await settle();
  }
  return written;
}
