// What people write for an upstream.
import { describe, expect, test } from 'vitest';
import { CulvertError } from '../../../../../shared/core/control/codes.ts';
import {
  addressesOf,
  isPublicService,
  parseUpstream,
  withFamily,
} from '../../../../../shared/node/resolver/parse-upstream.ts';

describe('an upstream as people write it', () => {
  test.each([
    ['tls://1.1.1.1', 'dot', '1.1.1.1', 853, ''],
    ['TLS://1.1.1.1:8853', 'dot', '1.1.1.1', 8853, ''],
    ['tls://[2606:4700:4700::1111]', 'dot', '2606:4700:4700::1111', 853, ''],
    ['https://1.1.1.1/dns-query', 'doh', '1.1.1.1', 443, '/dns-query'],
    ['https://1.1.1.1', 'doh', '1.1.1.1', 443, '/dns-query'],
    ['https://DNS.example:8443/q?a=1{?dns}', 'doh', 'dns.example', 8443, '/q?a=1'],
    ['https://dns.example/x{?dns}', 'doh', 'dns.example', 443, '/x'],
    ['udp://192.168.1.1', 'plain', '192.168.1.1', 53, ''],
    ['1.1.1.1', 'dot', '1.1.1.1', 853, ''],
    ['2001:DB8::53', 'dot', '2001:db8::53', 853, ''],
    ['192.168.1.1', 'dot', '192.168.1.1', 853, ''],
    ['192.168.1.1:853', 'dot', '192.168.1.1', 853, ''],
    ['192.168.1.1:443', 'doh', '192.168.1.1', 443, '/dns-query'],
    ['127.0.0.1:5300', 'plain', '127.0.0.1', 5300, ''],
    ['[::1]:53', 'plain', '::1', 53, ''],
    [' tls://dns.example. ', 'dot', 'dns.example', 853, ''],
  ])('%s', (text, transport, host, port, path) => {
    const spec = parseUpstream(text);

    expect(spec).toMatchObject({ transport, host, port, path });
    expect(parseUpstream(spec.text)).toEqual(spec);
  });

  test.each([
    '',
    'dns.example',
    'ftp://1.1.1.1',
    'tls://',
    'tls://1.1.1.1/path',
    'tls://1.1.1.1:0',
    'tls://1.1.1.1:70000',
    'tls://1.1.1',
    'tls://1.1.1.256',
    'tls://2606::1',
    'tls://[2606::1',
    'tls://[1.1.1.1]',
    'tls://a b',
    'tls://user@1.1.1.1',
    'udp://dns.example',
    'udp://1.1.1.1#dns.example',
    'tls://münchen.example',
    'tls://-..example',
    '1.1.1.1:',
    `tls://${'a'.repeat(2000)}`,
  ])('%j is refused with a sentence and a remedy', (text) => {
    expect(() => parseUpstream(text)).toThrow(CulvertError);
    expect(() => parseUpstream(text)).toThrow(/is no DNS upstream/);
  });

  test('an address that is built in is asked in the preferred form', () => {
    expect(parseUpstream('1.1.1.1', 'doh').text).toBe('https://1.1.1.1/dns-query');
    expect(parseUpstream('192.168.1.1', 'doh').text).toBe('tls://192.168.1.1');
  });
});

describe('where it is asked', () => {
  const places = (text: string): string[] =>
    addressesOf(parseUpstream(text)).map(({ address, identity }) => `${address} ${identity}`);

  test('1.1.1.1 is four addresses, the one that was named first, each with its own certificate', () => {
    expect(places('tls://1.0.0.1')).toEqual([
      '1.0.0.1 1.0.0.1',
      '1.1.1.1 1.1.1.1',
      '2606:4700:4700::1111 2606:4700:4700::1111',
      '2606:4700:4700::1001 2606:4700:4700::1001',
    ]);
  });

  test('names that are built in need no DNS', () => {
    expect(places('https://family.cloudflare-dns.com/dns-query')).toEqual([
      '1.1.1.3 family.cloudflare-dns.com',
      '2606:4700:4700::1113 family.cloudflare-dns.com',
      '1.0.0.3 family.cloudflare-dns.com',
      '2606:4700:4700::1003 family.cloudflare-dns.com',
    ]);
    expect(places('tls://one.one.one.one')[0]).toBe('1.1.1.1 one.one.one.one');
  });

  test('filters are known by name in their certificates', () => {
    expect(places('tls://1.1.1.2')[0]).toBe('1.1.1.2 security.cloudflare-dns.com');
  });

  test('a port, a certificate or plain DNS mean that one address', () => {
    expect(places('tls://1.1.1.1:8853')).toEqual(['1.1.1.1 1.1.1.1']);
    expect(places('tls://192.0.2.1#dns.example')).toEqual(['192.0.2.1 dns.example']);
    expect(places('udp://1.1.1.1')).toEqual(['1.1.1.1 1.1.1.1']);
  });

  test('other names have to be looked up', () => {
    expect(places('tls://dns.example')).toEqual([]);
  });
});

describe('filters', () => {
  test.each([
    ['tls://1.1.1.1', 'full', 'tls://1.1.1.3'],
    ['tls://[2606:4700:4700::1001]', 'malware', 'tls://[2606:4700:4700::1002]'],
    ['https://1.1.1.1/dns-query', 'malware', 'https://1.1.1.2/dns-query'],
    ['https://cloudflare-dns.com/dns-query', 'full', 'https://family.cloudflare-dns.com/dns-query'],
    ['tls://1.1.1.2', 'full', 'tls://1.1.1.3'],
    ['tls://1.1.1.3', 'off', 'tls://1.1.1.3'],
  ] as const)('move %s with %s to %s', (text, family, expected) => {
    const { specs, unfiltered } = withFamily([parseUpstream(text)], family);

    expect(specs.map((spec) => spec.text)).toEqual([expected]);
    expect(unfiltered).toEqual([]);
  });

  test('say whom they do not reach', () => {
    const custom = [parseUpstream('tls://dns.example'), parseUpstream('tls://9.9.9.9')];

    expect(withFamily(custom, 'full').unfiltered).toEqual(custom);
    expect(withFamily(custom, 'off').unfiltered).toEqual([]);
  });
});

test('resolvers of the Internet at large are told from others', () => {
  expect(isPublicService(parseUpstream('tls://dns.google'))).toBe(true);
  expect(isPublicService(parseUpstream('udp://192.168.1.1'))).toBe(false);
});
