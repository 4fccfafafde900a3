import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { endpointSize } from '../../../../../shared/core/base/endpoint.ts';
import {
  compareAddresses,
  comparePrefixes,
  formatAddress,
  formatEndpoint,
  formatPrefix,
  parseAddress,
  parseEndpoint,
  parsePrefix,
  parseScopedAddress,
  prefixContains,
  readEndpoint,
  writeEndpoint,
} from '../../../../../shared/core/base/ip.ts';

const seed = 4;

function bytesOf(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new Error(`no address: ${text}`);
  return bytes;
}

function prefixOf(text: string) {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`no prefix: ${text}`);
  return prefix;
}

describe('addresses', () => {
  test.each([
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['0001:02::', '1:2::'],
  ])('reads %s and writes %s', (text, expected) => {
    expect(formatAddress(bytesOf(text))).toBe(expected);
  });

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.-1',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '1.2.3.0x4',
    '1..2.3',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7:',
    ':1:2:3:4:5:6:7',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '::01.2.3.4',
    '1:2:3:4:5:6:7:1.2.3.4',
    'fe80::1%2',
    '[::1]',
    `${'0'.repeat(200)}::`,
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  test('reads back whatever it writes', () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc
        .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
        .map((a) => Uint8Array.from(a)),
    );
    fc.assert(
      fc.property(address, (bytes) => {
        expect(parseAddress(formatAddress(bytes))).toEqual(bytes);
      }),
      { seed },
    );
  });

  test('formats in the middle of a buffer', () => {
    expect(formatAddress(Uint8Array.of(9, 10, 0, 0, 1, 9), 1, 4)).toBe('10.0.0.1');
  });

  test('takes a numeric scope only where one is asked for, and only on IPv6', () => {
    expect(parseScopedAddress('fe80::1%7')).toEqual({ address: bytesOf('fe80::1'), scope: 7 });
    expect(parseScopedAddress('fe80::1')?.scope).toBe(0);
    expect(parseScopedAddress('fe80::1%eth0')).toBeUndefined();
    expect(parseScopedAddress('fe80::1%4294967296')).toBeUndefined();
    expect(parseScopedAddress('10.0.0.1%7')).toBeUndefined();
  });

  test('sorts IPv4 before IPv6, then by value', () => {
    const texts = ['fd00::2', '10.0.0.2', 'fd00::1', '9.255.0.0'];
    const sorted = texts
      .map(bytesOf)
      .toSorted(compareAddresses)
      .map((bytes) => formatAddress(bytes));
    expect(sorted).toEqual(['9.255.0.0', '10.0.0.2', 'fd00::1', 'fd00::2']);
  });
});

describe('prefixes', () => {
  test.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['255.255.255.255/0', '0.0.0.0/0'],
    ['10.255.255.255/9', '10.128.0.0/9'],
    ['fd00::ffff', 'fd00::ffff/128'],
    ['fd00::ffff/124', 'fd00::fff0/124'],
    ['ffff::/0', '::/0'],
  ])('reads %s as %s', (text, expected) => {
    expect(formatPrefix(prefixOf(text))).toBe(expected);
  });

  test.each([
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '/8',
    '1/8',
  ])('refuses %j', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });

  test('contain what begins with their bits, of their own family', () => {
    const prefix = prefixOf('10.128.0.0/9');

    expect(prefixContains(prefix, bytesOf('10.128.0.0'))).toBe(true);
    expect(prefixContains(prefix, bytesOf('10.255.255.255'))).toBe(true);
    expect(prefixContains(prefix, bytesOf('10.127.255.255'))).toBe(false);
    expect(prefixContains(prefixOf('0.0.0.0/0'), bytesOf('1.2.3.4'))).toBe(true);
    expect(prefixContains(prefixOf('0.0.0.0/0'), bytesOf('::'))).toBe(false);
  });

  test('sort by address, then by length', () => {
    const texts = ['::/0', '10.0.0.0/16', '10.0.0.0/8', '9.0.0.0/8'];
    const sorted = texts.map(prefixOf).toSorted(comparePrefixes).map(formatPrefix);
    expect(sorted).toEqual(['9.0.0.0/8', '10.0.0.0/8', '10.0.0.0/16', '::/0']);
  });
});

describe('endpoints', () => {
  test.each([
    ['1.2.3.4:51820', '1.2.3.4', 51820],
    ['[::1%2]:51820', '::1%2', 51820],
    ['[FD00:0::1]:1', 'fd00::1', 1],
  ])('reads %s', (text, address, port) => {
    const endpoint = parseEndpoint(text);

    expect(endpoint).toEqual({ address, port });
    expect(parseEndpoint(formatEndpoint({ address, port }))).toEqual(endpoint);
  });

  test.each([
    '',
    '1.2.3.4',
    '1.2.3.4:',
    '1.2.3.4:0',
    '1.2.3.4:65536',
    '::1:51820',
    '[1.2.3.4]:1',
    '[::1]',
    '[::1]1',
    'host:1',
    '[::1%lo]:1',
  ])('refuses %j', (text) => {
    expect(parseEndpoint(text)).toBeUndefined();
  });

  test('go through a record at any offset', () => {
    const record = new Uint8Array(endpointSize + 5).fill(0xaa);

    expect(writeEndpoint(record, 3, { address: 'fe80::1%259', port: 51820 })).toBe(true);

    expect([...record.subarray(3, 7)]).toEqual([6, 0, 0xca, 0x6c]);
    expect([...record.subarray(23, 27)]).toEqual([0, 0, 1, 3]);
    expect([...record.subarray(27, 51)].every((byte) => byte === 0)).toBe(true);
    expect([...record.subarray(0, 3), ...record.subarray(51)]).toEqual([0xaa, 0xaa, 0xaa, 0xaa, 0xaa]);
    expect(readEndpoint(record, 3)).toEqual({ address: 'fe80::1%259', port: 51820 });
  });

  test('of IPv4 leave the rest of the address zero', () => {
    const record = new Uint8Array(endpointSize).fill(0xff);

    expect(writeEndpoint(record, 0, { address: '10.0.0.1', port: 1 })).toBe(true);

    expect([...record.subarray(0, 9)]).toEqual([4, 0, 0, 1, 10, 0, 0, 1, 0]);
    expect(readEndpoint(record, 0)).toEqual({ address: '10.0.0.1', port: 1 });
  });

  test('that are names or no ports are not written', () => {
    const record = new Uint8Array(endpointSize);

    expect(writeEndpoint(record, 0, { address: 'example.org', port: 1 })).toBe(false);
    expect(writeEndpoint(record, 0, { address: '10.0.0.1', port: 65536 })).toBe(false);
    expect(writeEndpoint(record, 1, { address: '10.0.0.1', port: 1 })).toBe(false);
    expect(readEndpoint(record, 0)).toBeUndefined();
  });
});
