/** The HTTPS port with a UDP echo in the place of the tunnel, asked by clients that share no code with ours. */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readOrCreateCertificate } from '../../../../edge/registration/certificate.ts';
import { type HttpsListener, listenHttps } from '../../../../edge/registration/https-listener.ts';
import { UdpStreams } from '../../../../edge/transport/udp-streams.ts';
import type { Log } from '../../../../shared/core/base/ports.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import { seededEntropy } from '../../../support/seeded.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };
const close: (() => unknown)[] = [];
let folder: string;
let echo: Socket;
let streams: UdpStreams;
let https: HttpsListener;
let udpPort: number;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-transport-'));
  echo = createSocket('udp4');
  echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
  echo.bind(0, '127.0.0.1');
  await once(echo, 'listening');
  udpPort = echo.address().port;
  streams = new UdpStreams({
    own: () => ({ host: 'edge.example.com', udpPorts: [udpPort] }),
    log: quiet,
    limits: { perSource: 2 },
  });
  https = await listenHttps({
    handler: (request, response) => response.end(`hello ${request.httpVersion}`),
    certificate: readOrCreateCertificate({
      keyFile: join(folder, 'key'),
      certificateFile: join(folder, 'crt'),
      names: [],
      now: unixMs(1_790_000_000_000),
      entropy: seededEntropy(3),
    }),
    udpStreams: streams,
    ports: [0],
    host: '127.0.0.1',
    log: quiet,
  });
});

afterEach(async () => {
  for (const one of close.splice(0)) one();
  await https.close();
  echo.close();
  rmSync(folder, { recursive: true });
});

function session(): ClientHttp2Session {
  const made = connectHttp2(`https://127.0.0.1:${https.ports[0]}`, { rejectUnauthorized: false });
  made.on('error', () => undefined);
  close.push(() => made.destroy());
  return made;
}

async function ask(
  to: ClientHttp2Session,
  path: string,
  protocol = 'connect-udp',
): Promise<{
  readonly stream: Duplex;
  readonly headers: Record<string, unknown>;
}> {
  if (to.connecting || !to.remoteSettings.enableConnectProtocol) await once(to, 'remoteSettings');
  const stream = to.request(
    {
      ':method': 'CONNECT',
      ':protocol': protocol,
      ':scheme': 'https',
      ':authority': 'edge.example.com',
      ':path': path,
      'capsule-protocol': '?1',
    },
    { endStream: false },
  );
  stream.on('error', () => undefined);
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  return { stream, headers };
}

function pathTo(host: string, port = udpPort): string {
  return `/.well-known/masque/udp/${host}/${port}/`;
}

async function read(stream: Duplex, length: number): Promise<Buffer> {
  let heard = Buffer.alloc(0);
  while (heard.length < length) {
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    heard = Buffer.concat([heard, chunk]);
  }
  return heard;
}

async function sendRaw(text: string): Promise<string> {
  const socket = connectTls({ port: https.ports[0] ?? 0, host: '127.0.0.1', rejectUnauthorized: false });
  close.push(() => socket.destroy());
  await once(socket, 'secureConnect');
  socket.write(text);
  let heard = '';
  for await (const chunk of socket) heard += String(chunk);
  return heard;
}

describe('UDP over the HTTPS port', () => {
  it.each(['edge.culvert', 'edge.example.com', '127.0.0.1'])(
    'carries datagrams to the tunnel and back over HTTP/2 for who asks for %s',
    async (host) => {
      const { stream, headers } = await ask(session(), pathTo(host));
      expect(headers).toMatchObject({ ':status': 200, 'capsule-protocol': '?1' });

      stream.write(Buffer.from([0, 4, 0, 1, 2, 3, 0x17, 2, 9, 9, 0, 2, 0, 7]));

      expect([...(await read(stream, 10))]).toEqual([0, 4, 0, 1, 2, 3, 0, 2, 0, 7]);
      expect(streams.size).toBe(1);
    },
  );

  it('carries them over HTTP/1.1 as well', async () => {
    const socket = connectTls({ port: https.ports[0] ?? 0, host: '127.0.0.1', rejectUnauthorized: false });
    close.push(() => socket.destroy());
    await once(socket, 'secureConnect');
    const head = 'host: x\r\nconnection: upgrade\r\nupgrade: connect-udp\r\ncapsule-protocol: ?1\r\n\r\n';
    socket.write(`GET ${pathTo('edge.culvert')} HTTP/1.1\r\n${head}`);
    const answer = await read(socket, 12);
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 101 /);

    socket.write(Buffer.from([0, 3, 0, 5, 6]));

    expect([...(await read(socket, 5))]).toEqual([0, 3, 0, 5, 6]);
  });

  it.each([
    ['192.0.2.1', 0],
    ['edge.culvert', 53],
    ['localhost', 0],
  ])('leads nowhere else: not to %s, port %d', async (host, port) => {
    const { stream, headers } = await ask(session(), pathTo(host, port || udpPort));

    expect(headers[':status']).toBe(403);
    expect(headers['proxy-status']).toContain('destination_ip_prohibited');
    expect(String(await read(stream, 1))).toContain('udp-elsewhere');
    expect(streams.size).toBe(0);
  });

  it('says what is wrong with a request, over HTTP/1.1 too', async () => {
    expect((await ask(session(), '/elsewhere')).headers[':status']).toBe(400);
    expect((await ask(session(), '/', 'websocket')).headers[':status']).toBe(405);
    const upgrade = 'host: x\r\nconnection: upgrade\r\nupgrade: connect-udp\r\n\r\n';
    expect(await sendRaw(`GET ${pathTo('192.0.2.1')} HTTP/1.1\r\n${upgrade}`)).toMatch(
      /^HTTP\/1\.1 403 .*proxy-status: culvert-edge; error=destination_ip_prohibited.*udp-elsewhere/s,
    );
  });

  it('takes as many streams of one source as it says', async () => {
    const one = session();
    await ask(one, pathTo('edge.culvert'));
    const { stream } = await ask(one, pathTo('edge.culvert'));

    const refused = await ask(one, pathTo('edge.culvert'));
    stream.destroy();
    await expect.poll(() => streams.size, { timeout: 10_000 }).toBe(1);

    expect(refused.headers[':status']).toBe(503);
    expect(refused.headers['proxy-status']).toContain('connection_limit_reached');
    expect((await ask(one, pathTo('edge.culvert'))).headers[':status']).toBe(200);
  });

  it('ends a stream that makes no sense', async () => {
    const { stream } = await ask(session(), pathTo('edge.culvert'));

    stream.write(Buffer.from([0, 0]));

    await once(stream, 'close');
    await expect.poll(() => streams.size, { timeout: 10_000 }).toBe(0);
  });

  it('answers ordinary requests over both versions, whatever they would upgrade to', async () => {
    const stream = session().request({ ':path': '/' });
    expect(String(await read(stream, 9))).toBe('hello 2.0');
    const asked = 'host: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n';
    expect(await sendRaw(`GET / HTTP/1.1\r\n${asked}`)).toContain('hello 1.1');
  });
});
