// The local proxy with a program that people use: curl, in every protocol of the one port, against a web server on
// loopback. The dialer is the reference one of the tests, so nothing leaves this machine.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ProxyServer } from '../../client/proxy/server.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { DirectDialer } from '../support/direct-dialer.ts';
import { describeWith } from '../support/requires.ts';

interface Outcome {
  readonly code: number | null;
  readonly body: Buffer;
  /** What `-w` printed. */
  readonly err: string;
}

const blob = Buffer.alloc(20 * 1024 * 1024, 'culvert, byte for byte. ');
const crowd = 2000;
/** CURLE_PROXY and CURLE_COULDNT_CONNECT; SOCKS4 and 5 failures come as the first. */
const curlProxyFailure = 97;

describeWith({ tools: ['curl'] }, 'curl through the local proxy', () => {
  const dialer = new DirectDialer({
    'web.test': '127.0.0.1',
    'my_host.test': '127.0.0.1',
    'six.test': '::1',
  });
  let proxy: ProxyServer;
  let web: HttpServer;
  let web6: HttpServer;
  let origin: string;
  let connections = 0;
  let uploads: string[] = [];

  beforeAll(async () => {
    [web, web6] = [newWeb(), newWeb()];
    const port = await listen(web, '127.0.0.1', 0);
    await listen(web6, '::1', port);
    origin = `web.test:${port}`;
    proxy = new ProxyServer({ dialer, log: silentLog });
    await proxy.listen(0);
  });
  beforeEach(() => {
    proxy.setGate({ kind: 'open' });
    connections = 0;
    uploads = [];
  });
  afterAll(async () => {
    await proxy.close();
    web.close();
    web6.close();
  });

  function newWeb(): HttpServer {
    const server = createHttpServer((request, response) => {
      const hash = createHash('sha256');
      request.on('data', (chunk: Buffer) => hash.update(chunk));
      request.on('end', () => {
        if (request.method === 'PUT') uploads.push(hash.digest('hex'));
        if (request.url === '/blob') response.end(blob);
        else if (request.url === '/headers') response.end(request.rawHeaders.join('\n'));
        else response.end(`hello ${request.headers.host ?? ''}`);
      });
    });
    server.on('connection', () => {
      connections++;
    });
    return server;
  }

  const port = (): string => origin.split(':')[1] ?? '';
  const ways: [string, () => string[]][] = [
    ['SOCKS5 with names resolved at the far end', () => ['-x', `socks5h://127.0.0.1:${proxy.port}`]],
    ['SOCKS5 over IPv6', () => ['-x', `socks5h://[::1]:${proxy.port}`]],
    ['SOCKS4a', () => ['-x', `socks4a://127.0.0.1:${proxy.port}`]],
    ['HTTP CONNECT', () => ['-p', '-x', `http://127.0.0.1:${proxy.port}`]],
    ['plain HTTP', () => ['-x', `http://127.0.0.1:${proxy.port}`]],
  ];

  test.each(ways)('reaches a web server by name: %s', async (_title, way) => {
    const outcome = await curl(...way(), `http://${origin}/`);

    expect([outcome.code, outcome.body.toString()]).toEqual([0, `hello ${origin}`]);
    expect(dialer.dialled.at(-1)).toEqual({ host: 'web.test', port: Number(port()) });
  });

  test.each(ways)('reaches a host with an underscore in its name: %s', async (_title, way) => {
    const outcome = await curl(...way(), `http://my_host.test:${port()}/`);

    expect(outcome.body.toString()).toBe(`hello my_host.test:${port()}`);
  });

  test.each(ways.filter(([title]) => title !== 'SOCKS4a'))(
    'reaches an IPv6 literal: %s',
    async (_title, way) => {
      const outcome = await curl(...way(), `http://[::1]:${port()}/`);

      expect(outcome.body.toString()).toBe(`hello [::1]:${port()}`);
    },
  );

  test.each([
    ['SOCKS5', () => ['-x', `socks5://127.0.0.1:${proxy.port}`]],
    ['SOCKS4', () => ['-x', `socks4://127.0.0.1:${proxy.port}`]],
  ])('reaches an IPv4 literal: %s', async (_title, way) => {
    const outcome = await curl(...way(), `http://127.0.0.1:${port()}/`);

    expect(outcome.body.toString()).toBe(`hello 127.0.0.1:${port()}`);
  });

  test.each(ways)('downloads 20 MB, byte for byte: %s', async (_title, way) => {
    const outcome = await curl(...way(), `http://${origin}/blob`);

    expect(outcome.code).toBe(0);
    expect(outcome.body.equals(blob)).toBe(true);
  });

  test.each(ways)('uploads 20 MB by length and in chunks, byte for byte: %s', async (_title, way) => {
    const hash = createHash('sha256').update(blob).digest('hex');

    await curlWith(blob, ...way(), '-T', '-', `http://${origin}/up`);
    await curlWith(blob, ...way(), '-X', 'PUT', '--data-binary', '@-', `http://${origin}/up`);

    expect(uploads).toEqual([hash, hash]);
  });

  test('three plain requests share one connection to the origin', async () => {
    const proxied = ['-x', `http://127.0.0.1:${proxy.port}`];

    const outcome = await curl(...proxied, ...Array<string>(3).fill(`http://${origin}/`));

    expect(outcome.body.toString()).toBe(`hello ${origin}`.repeat(3));
    expect(connections).toBe(1);
  });

  test('the origin of a plain request sees nothing of the proxy', async () => {
    const outcome = await curl('-x', `http://x:y@127.0.0.1:${proxy.port}`, `http://${origin}/headers`);

    const lines = outcome.body.toString().split('\n');
    expect(lines.filter((_line, i) => i % 2 === 0)).toEqual(['Host', 'User-Agent', 'Accept', 'Connection']);
  });

  test.each([
    ['SOCKS5', 'socks5h', [curlProxyFailure, '000']],
    ['SOCKS4a', 'socks4a', [curlProxyFailure, '000']],
    ['plain HTTP', 'http', [0, '503']],
  ])('is refused at once while the gate is closed, and cut: %s', async (_title, scheme, expected) => {
    proxy.setGate({ kind: 'closed', reason: 'culvert is not connected.' });
    const dials = dialer.dialled.length;

    const outcome = await curl('-x', `${scheme}://127.0.0.1:${proxy.port}`, `http://${origin}/`);

    expect([outcome.code, outcome.err]).toEqual(expected);
    expect(dialer.dialled).toHaveLength(dials);
  });

  test.each([
    ['nobody listens', '127.0.0.1:9', '502'],
    ['no such name', 'nowhere.test:80', '502'],
    ['the proxy itself', 'localhost:PORT', '403'],
  ])('says in HTTP why not: %s', async (_title, place, status) => {
    const target = place.replace('PORT', String(proxy.port));

    const outcome = await curl('-x', `http://127.0.0.1:${proxy.port}`, `http://${target}/x`);

    expect([outcome.code, outcome.err]).toEqual([0, status]);
  });

  test.each([
    ['SOCKS5', ['socks5h'], 0],
    ['HTTP', ['http'], 0],
    ['CONNECT', ['http', '-p'], 0],
  ])('gives the password where one is wanted: %s', async (_title, [scheme = '', ...more], code) => {
    const guarded = new ProxyServer({
      dialer,
      log: silentLog,
      credentials: { username: 'anna', password: 'p:w' },
    });
    guarded.setGate({ kind: 'open' });
    await guarded.listen(0);
    const at = `${scheme}://127.0.0.1:${guarded.port}`;

    const right = await curl(...more, '-x', at, '-U', 'anna:p:w', `http://${origin}/`);
    const wrong = await curl(...more, '-x', at, '-U', 'anna:no', `http://${origin}/`);

    expect([right.code, right.body.toString()]).toEqual([code, `hello ${origin}`]);
    expect(wrong.body.toString()).not.toContain('hello');
    expect(guarded.counters.unauthorized).toBe(1);
    await guarded.close();
  });

  test('shows a page to a browser', async () => {
    const outcome = await curl(`http://localhost:${proxy.port}/`);

    expect(outcome.body.toString()).toContain('This is the local proxy of culvert.');
  });

  test(`holds ${crowd} tunnels at once and lets go of them`, async () => {
    const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket));
    const echoPort = await listen(echo, '127.0.0.1', 0);
    const request = Uint8Array.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, echoPort >>> 8, echoPort & 0xff]);
    const sockets: Socket[] = [];
    for (let i = 0; i < crowd; i++) {
      const socket = connect(proxy.port, '127.0.0.1').on('error', () => {});
      socket.write(request);
      sockets.push(socket);
    }

    const answers = await Promise.all(sockets.map((socket, i) => converse(socket, `number ${i}`)));

    expect(answers).toEqual(sockets.map((_socket, i) => `number ${i}`));
    expect(proxy.counters.connections).toBe(crowd);
    for (const socket of sockets) socket.end();
    await until(() => proxy.counters.connections === 0);
    echo.close();
  });
});

function curl(...words: string[]): Promise<Outcome> {
  return curlWith('', ...words);
}

function curlWith(input: string | Buffer, ...words: string[]): Promise<Outcome> {
  const always = ['-sS', '--noproxy', '', '--max-time', '60', '-o', '-', '-w', '%{stderr}%{http_code}'];
  const child = spawn('curl', [...always, ...words], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => {}); // It may be done before it has read all.
  child.stdin.end(input);
  const body: Buffer[] = [];
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => body.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return new Promise((resolve) => {
    child.once('close', (code) => {
      // Only the status: what curl says of a failure differs between its versions.
      resolve({ code, body: Buffer.concat(body), err: err.slice(-3) });
    });
  });
}

async function listen(server: Server | HttpServer, host: string, port: number): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Both replies of SOCKS5 (12 bytes), then words and their echo. */
async function converse(socket: Socket, words: string): Promise<string> {
  let received = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (received.length === 12) socket.write(words);
  });
  await until(() => received.length >= 12 + words.length);
  return received.subarray(12).toString();
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('waited too long');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
