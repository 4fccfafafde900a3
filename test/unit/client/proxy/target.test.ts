import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatAuthority,
  parseAuthority,
  parseHost,
  parseHttpTarget,
} from '../../../../client/proxy/target.ts';

const long = 'a'.repeat(63);

describe('a host', () => {
  test.each([
    ['example.com', 'example.com'],
    ['EXAMPLE.com.', 'example.com.'],
    ['_dmarc.my_host.example', '_dmarc.my_host.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['localhost', 'localhost'],
    ['3com.example', '3com.example'],
    ['192.0.2.1', '192.0.2.1'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    [`${long}.${long}.${long}.${'a'.repeat(61)}`, `${long}.${long}.${long}.${'a'.repeat(61)}`],
  ])('%j is %j', (text, host) => {
    expect(parseHost(text)).toBe(host);
  });

  test.each([
    '',
    '.',
    '..',
    'a..b',
    '.a',
    'a b',
    'a\0b',
    'a\r\nb',
    'a/b',
    'a:b',
    'a%00',
    'bücher.example',
    '[192.0.2.1]',
    '[example.com]',
    '[2001:db8::1',
    'fe80::1%eth0',
    '127.1',
    '2130706433',
    '0x7f000001',
    '1.2.3.4.5',
    '256.1.1.1',
    '010.0.0.1',
    `a${long}`,
    `${long}.${long}.${long}.${'a'.repeat(62)}`,
  ])('%j is none', (text) => {
    expect(parseHost(text)).toBeUndefined();
  });
});

describe('an authority', () => {
  test.each([
    ['example.com:443', { host: 'example.com', port: 443 }],
    ['[::1]:65535', { host: '::1', port: 65_535 }],
    ['192.0.2.1:1', { host: '192.0.2.1', port: 1 }],
  ])('%j is %j', (text, target) => {
    expect(parseAuthority(text)).toEqual(target);
    expect(formatAuthority(target)).toBe(text);
  });

  test('takes the default port where it has none', () => {
    expect(parseAuthority('a.example', 80)).toEqual({ host: 'a.example', port: 80 });
    expect(parseAuthority('[::1]:', 80)).toEqual({ host: '::1', port: 80 });
    expect(formatAuthority({ host: '::1', port: 80 }, 80)).toBe('[::1]');
  });

  test.each([
    'a',
    ':80',
    'a:',
    'a:0',
    'a:65536',
    'a:080',
    'a:8 0',
    'a:-1',
    'a:1:2',
    '::1:80',
    'u@a:80',
    '[::1]80',
  ])('%j is none', (text) => {
    expect(parseAuthority(text)).toBeUndefined();
  });
});

describe('a target of plain HTTP', () => {
  test.each([
    ['http://a.example', 'a.example', 80, '/', 'a.example'],
    ['HTTP://A.example:8080/x?y=1#z', 'a.example', 8080, '/x?y=1', 'a.example:8080'],
    ['http://a.example:80/', 'a.example', 80, '/', 'a.example'],
    ['http://a.example?q', 'a.example', 80, '/?q', 'a.example'],
    ['http://[::1]:81/a//b', '::1', 81, '/a//b', '[::1]:81'],
  ])('%j goes to %s port %d for %s', (text, host, port, path, authority) => {
    expect(parseHttpTarget(text)).toEqual({ host, port, path, authority });
  });

  test.each([
    'https://a.example/',
    'ftp://a.example/',
    'http:///x',
    'http://u:p@a.example/',
    '/x',
    'http://a:x/',
    '',
  ])('%j is none', (text) => {
    expect(parseHttpTarget(text)).toBeUndefined();
  });
});

test('arbitrary text never throws, and what is a host stays one', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const host = parseHost(text);
      if (host !== undefined) expect(parseHost(host)).toBe(host);
      parseAuthority(text, 80);
      parseHttpTarget(`http://${text}`);
    }),
    { seed: 4001 },
  );
});
