// The names that connections say in their first bytes: real hellos of Node's own TLS, hellos made by hand, HTTP, and
// bytes that are anything.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FirstBytes, maxFirstBytes, readFirstBytes } from '../../../../edge/egress/first-bytes.ts';
import { firstBytesWaitMs, flowName } from '../../../../edge/egress/flow-name.ts';
import type { KnownName } from '../../../../edge/egress/rules.ts';

const grease = extension(0x3a3a, []);

function extension(type: number, body: readonly number[]): readonly number[] {
  return [type >> 8, type & 255, body.length >> 8, body.length & 255, ...body];
}

function serverName(name: string, type = 0): readonly number[] {
  const bytes = [...Buffer.from(name, 'latin1')];
  const entry = [type, bytes.length >> 8, bytes.length & 255, ...bytes];
  return extension(0, [entry.length >> 8, entry.length & 255, ...entry]);
}

/** No session, two cipher suites, no compression. */
const fixed = [0, 0, 4, 0x1a, 0x1a, 0x13, 1, 1, 0];

function hello(extensions: readonly (readonly number[])[]): Uint8Array {
  const all = extensions.flat();
  const body = [3, 3, ...new Uint8Array(32).fill(7), ...fixed, all.length >> 8, all.length & 255, ...all];
  return Uint8Array.from([1, 0, body.length >> 8, body.length & 255, ...body]);
}

/** In records of at most so many bytes. */
function records(handshake: Uint8Array, most = 16_384): Uint8Array {
  const pieces: number[] = [];
  for (let at = 0; at < handshake.length; at += most) {
    const piece = handshake.subarray(at, at + most);
    pieces.push(22, 3, 1, piece.length >> 8, piece.length & 255, ...piece);
  }
  return Uint8Array.from(pieces);
}

function http(text: string): Uint8Array {
  return Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
}

function said(name: string, by: 'sni' | 'http', isOuter = false): FirstBytes {
  return { kind: 'named', name, by, isOuter };
}

const usual = [grease, serverName('www.bank.example'), extension(0x2b, [2, 3, 4])];

describe('a TLS hello', () => {
  test('of a real client tells its server name, and every part of it asks for more', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const client = connect({
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      servername: 'WWW.Bank.example',
      rejectUnauthorized: false,
    });
    client.on('error', () => undefined);
    const [socket] = (await accepted) as [Socket];
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    client.destroy();
    socket.destroy();
    server.close();

    expect(readFirstBytes(bytes)).toEqual(said('www.bank.example', 'sni'));
    for (let length = 0; length < bytes.length; length += 7) {
      expect(readFirstBytes(bytes.subarray(0, length))).toEqual({ kind: 'more' });
    }
  });

  test.each([1, 5, 64, 200])('in records of %i bytes tells the same', (most) => {
    expect(readFirstBytes(records(hello(usual), most))).toEqual(said('www.bank.example', 'sni'));
  });

  test('with an encrypted inner hello may name a front', () => {
    const bytes = records(hello([...usual, extension(0xfe0d, [0, 1, 2, 3])]));

    expect(readFirstBytes(bytes)).toEqual(said('www.bank.example', 'sni', true));
  });

  test.each([
    ['no extension', records(hello([]))],
    ['no server name', records(hello([grease]))],
    ['two server names', records(hello([serverName('a.example'), serverName('b.example')]))],
    ['an address for a name', records(hello([serverName('203.0.113.9')]))],
    ['a name with a zero in it', records(hello([serverName('bank.example\0.evil')]))],
    ['a name that is too long', records(hello([serverName(`${'a.'.repeat(140)}example`)]))],
    ['another type of name', records(hello([serverName('bank.example', 5)]))],
    ['another message', Uint8Array.from([22, 3, 3, 0, 5, 2, 0, 0, 1, 0])],
    ['an empty record', Uint8Array.from([22, 3, 3, 0, 0, 22, 3, 3, 0, 0])],
    ['a record that is too large', Uint8Array.from([22, 3, 3, 0x50, 0, 1])],
    ['a message that is too large', Uint8Array.from([22, 3, 3, 0, 9, 1, 255, 255, 255, 0, 0, 0, 0, 0])],
    ['a length that lies', records(Uint8Array.from([...hello(usual)].with(38, 255)))],
  ])('with %s names nobody', (_, bytes) => {
    expect(readFirstBytes(bytes)).toEqual({ kind: 'nameless' });
  });
});

describe('an HTTP request', () => {
  test.each([
    ['GET / HTTP/1.1\nHost: www.Bank.example\n\n', said('www.bank.example', 'http')],
    ['POST /a HTTP/1.1\nX: y\nhost:  bank.example:8080 \nA: b\n\nbody', said('bank.example', 'http')],
    ['GET http://bank.example./x HTTP/1.1\nHost: other.example\n\n', said('bank.example', 'http')],
    ['GET / HTTP/1.1\nHost: bank.exam', { kind: 'more' }],
    ['GET / HTTP/1.1\nHost: bank.example\n', { kind: 'more' }],
    ['GE', { kind: 'more' }],
    ['GET / HTTP/1.1\nHost: a.example\nHost: b.example\n\n', { kind: 'nameless' }],
    ['GET / HTTP/1.1\nHost: 203.0.113.9\n\n', { kind: 'nameless' }],
    ['GET / HTTP/1.1\n\n', { kind: 'nameless' }],
    ['PRI * HTTP/2.0\n\nSM\n\n', { kind: 'nameless' }],
    ['SSH-2.0-OpenSSH_9.2\n', { kind: 'nameless' }],
    ['hello', { kind: 'nameless' }],
  ])('%j', (text, expected) => {
    expect(readFirstBytes(http(text))).toEqual(expected);
  });
});

test('bytes that are anything never throw, and never keep it reading beyond its bound', () => {
  const lying = fc
    .tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
    .map(([at, byte]) =>
      Uint8Array.from([...records(hello(usual))].with(at % records(hello(usual)).length, byte)),
    );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), lying), (bytes) => {
      const found = readFirstBytes(bytes);

      expect(['more', 'nameless', 'named']).toContain(found.kind);
      if (found.kind === 'named') expect(found.name).toMatch(/^[a-z0-9._-]{1,253}$/);
    }),
    { seed: 7, numRuns: 3000 },
  );
  const endless = new Uint8Array(maxFirstBytes).fill(65);
  endless.set(http('GET / HTTP/1.1\nX: '));
  expect(readFirstBytes(endless)).toEqual({ kind: 'nameless' });
});

describe('the name of a flow', () => {
  const lookedUp: KnownName = { name: 'bank.example', source: 'looked-up', others: [] };
  const guessed: KnownName = { name: 'bank.example', source: 'guessed', others: ['shop.example'] };

  test.each([
    ['a hello says more than a guess', guessed, said('shop.example', 'sni'), ['shop.example', 'sni']],
    ['so does a request', undefined, said('shop.example', 'http'), ['shop.example', 'http']],
    ['nothing said leaves what was known', guessed, { kind: 'nameless' }, ['bank.example', 'guessed']],
    [
      'a front that was looked up is no front',
      guessed,
      said('shop.example', 'sni', true),
      ['shop.example', 'sni'],
    ],
    [
      'a front does not replace what was looked up',
      guessed,
      said('cdn.example', 'sni', true),
      ['bank.example', 'guessed'],
    ],
    ['a front alone stays doubtful', undefined, said('cdn.example', 'sni', true), ['cdn.example', 'front']],
  ] as const)('%s', (_, known, first, expected) => {
    const name = flowName(known, first as FirstBytes);

    expect([name?.name, name?.source]).toEqual(expected);
  });

  test('is waited for only where a client speaks first and the name is not known', () => {
    expect(firstBytesWaitMs(443, undefined)).toBe(2000);
    expect(firstBytesWaitMs(443, guessed)).toBe(2000);
    expect(firstBytesWaitMs(443, lookedUp)).toBeUndefined();
    expect(firstBytesWaitMs(9000, undefined)).toBe(500);
    for (const port of [21, 22, 25, 110, 143, 3306])
      expect(firstBytesWaitMs(port, undefined)).toBeUndefined();
  });
});
