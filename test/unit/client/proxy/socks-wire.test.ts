import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Parser } from '../../../../client/proxy/message.ts';
import { sniff } from '../../../../client/proxy/sniff.ts';
import { parseSocks4 } from '../../../../client/proxy/socks4.ts';
import { chooseMethod } from '../../../../client/proxy/socks5.ts';
import {
  encodeDatagramHeader,
  encodeReply,
  parseDatagram,
  parseGreeting,
  parseLogin,
  parseRequest,
} from '../../../../client/proxy/socks5-wire.ts';

const text = (value: string): number[] => [...Buffer.from(value)];
const named = (name: string): number[] => [name.length, ...text(name)];

describe('every message is understood once it is whole, and not a byte earlier', () => {
  test.each<[string, Parser<unknown>, number[], unknown]>([
    ['greeting', parseGreeting, [5, 2, 0, 2], Uint8Array.of(0, 2)],
    ['greeting of 255 methods', parseGreeting, [5, 255, ...Array(255).fill(9)], new Uint8Array(255).fill(9)],
    ['login', parseLogin, [1, ...named('anna'), ...named('pw')], { username: 'anna', password: 'pw' }],
    ['empty login', parseLogin, [1, 0, 0], { username: '', password: '' }],
    [
      'IPv4 request',
      parseRequest,
      [5, 1, 0, 1, 192, 0, 2, 1, 1, 187],
      { command: 1, host: '192.0.2.1', port: 443 },
    ],
    [
      'IPv6 request',
      parseRequest,
      [5, 3, 0, 4, 0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 7, 0, 0],
      { command: 3, host: '2001:db8::7', port: 0 },
    ],
    [
      'name request',
      parseRequest,
      [5, 1, 0, 3, ...named('my_host.example'), 0, 80],
      { command: 1, host: 'my_host.example', port: 80 },
    ],
    [
      'address as a name',
      parseRequest,
      [5, 1, 0, 3, ...named('2001:DB8::1'), 0, 80],
      { command: 1, host: '2001:db8::1', port: 80 },
    ],
    [
      'impossible name',
      parseRequest,
      [5, 1, 0, 3, ...named('a b'), 0, 80],
      { command: 1, host: undefined, port: 80 },
    ],
    ['empty name', parseRequest, [5, 1, 0, 3, 0, 0, 80], { command: 1, host: undefined, port: 80 }],
    [
      'SOCKS4',
      parseSocks4,
      [4, 1, 0, 80, 192, 0, 2, 1, ...text('me'), 0],
      { command: 1, host: '192.0.2.1', port: 80 },
    ],
    [
      'SOCKS4a',
      parseSocks4,
      [4, 1, 0, 80, 0, 0, 0, 1, 0, ...text('a.example'), 0],
      { command: 1, host: 'a.example', port: 80 },
    ],
    [
      'SOCKS4 to 0.0.0.0',
      parseSocks4,
      [4, 1, 0, 80, 0, 0, 0, 0, 0],
      { command: 1, host: '0.0.0.0', port: 80 },
    ],
  ])('%s', (_title, parse, message, value) => {
    const bytes = Uint8Array.from([...message, 0xee, 0xee]);

    for (let size = 0; size < message.length; size++) {
      expect(parse(bytes.subarray(0, size))).toEqual({ kind: 'more' });
    }

    expect(parse(bytes)).toEqual({ kind: 'complete', value, size: message.length });
  });
});

describe('nonsense is known as such', () => {
  test.each<[string, Parser<unknown>, number[]]>([
    ['greeting of another version', parseGreeting, [4]],
    ['greeting without methods', parseGreeting, [5, 0]],
    ['login of another version', parseLogin, [5]],
    ['request of another version', parseRequest, [4]],
    ['SOCKS4 of another version', parseSocks4, [5]],
    ['SOCKS4 with an endless user', parseSocks4, [4, 1, 0, 80, 1, 2, 3, 4, ...Array(256).fill(65)]],
    ['SOCKS4 with a long user', parseSocks4, [4, 1, 0, 80, 1, 2, 3, 4, ...Array(256).fill(65), 0]],
    ['SOCKS4a with an endless name', parseSocks4, [4, 1, 0, 80, 0, 0, 0, 4, 0, ...Array(256).fill(65)]],
    ['no protocol', sniff, [0x16, 3, 1]],
    ['a zero', sniff, [0]],
  ])('%s', (_title, parse, bytes) => {
    expect(parse(Uint8Array.from(bytes))).toEqual({ kind: 'bad' });
  });

  test('an unknown address type is told apart, as it has its own reply', () => {
    expect(parseRequest(Uint8Array.of(5, 1, 0, 2))).toMatchObject({ value: 'bad-address-type' });
  });
});

test.each([
  [5, 'socks5'],
  [4, 'socks4'],
  [0x43, 'http'],
  [0x67, 'http'],
  [0x0d, 'http'],
])('a first byte of %d means %s', (first, protocol) => {
  expect(sniff(Uint8Array.of(first, 1))).toEqual({ kind: 'complete', value: protocol, size: 0 });
});

test.each([
  [[0], false, 0],
  [[2, 0], false, 0],
  [[2], false, 2],
  [[1, 3], false, 0xff],
  [[0, 2], true, 2],
  [[0], true, 0xff],
])('of the methods %j, with a password wanted: %s, it takes %d', (offered, wanted, method) => {
  expect(chooseMethod(Uint8Array.from(offered), wanted)).toBe(method);
});

test('replies carry an address of either family', () => {
  expect([...encodeReply(5)]).toEqual([5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
  expect([...encodeReply(0, '127.0.0.1', 40_000)]).toEqual([5, 0, 0, 1, 127, 0, 0, 1, 0x9c, 0x40]);
  expect([...encodeReply(0, '::1', 1)]).toEqual([5, 0, 0, 4, ...Array(15).fill(0), 1, 0, 1]);
});

describe('a datagram', () => {
  test.each(['192.0.2.7', '2001:db8::7'])('comes back from its own header: %s', (host) => {
    const bytes = Buffer.concat([encodeDatagramHeader(host, 53), Buffer.from('hello')]);

    expect(parseDatagram(bytes)).toEqual({ kind: 'whole', host, port: 53, payload: Buffer.from('hello') });
  });

  test('may go to a name and be empty', () => {
    const bytes = Uint8Array.from([0, 0, 0, 3, ...named('a.example'), 0, 53]);

    expect(parseDatagram(bytes)).toEqual({
      kind: 'whole',
      host: 'a.example',
      port: 53,
      payload: new Uint8Array(0),
    });
  });

  test.each<[number[], string]>([
    [[], 'malformed'],
    [[0, 0, 0], 'malformed'],
    [[0, 0, 0, 1, 1, 2, 3, 4, 0], 'malformed'],
    [[0, 0, 0, 1, 1, 2, 3, 4, 0, 0, 9], 'malformed'],
    [[0, 0, 0, 2, 1, 2, 3, 4, 0, 53], 'malformed'],
    [[0, 0, 0, 3, 3, 65, 32, 65, 0, 53], 'malformed'],
    [[0, 0, 1, 1, 1, 2, 3, 4, 0, 53, 9], 'fragment'],
    [[0, 0, 0x81, 1, 1, 2, 3, 4, 0, 53, 9], 'fragment'],
  ])('of %j is %s', (bytes, kind) => {
    expect(parseDatagram(Uint8Array.from(bytes))).toEqual({ kind });
  });
});

test('arbitrary bytes never throw, and more bytes never change what was complete', () => {
  const parsers: Parser<unknown>[] = [parseGreeting, parseLogin, parseRequest, parseSocks4, sniff];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 0, max: 5 }), (bytes, first) => {
      bytes[0] = first;
      for (const parse of parsers) {
        const parsed = parse(bytes);
        if (parsed.kind !== 'complete') continue;
        expect(parsed.size).toBeLessThanOrEqual(bytes.length);
        if (parsed.value !== 'bad-address-type') {
          expect(parse(Buffer.concat([bytes, Buffer.from('more')]))).toEqual(parsed);
        }
      }
      parseDatagram(bytes);
    }),
    { seed: 4002 },
  );
});
