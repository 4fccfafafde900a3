// Names: text ↔ wire, compression, case, and what hostile bytes may not do.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ascii } from '../../../../../shared/core/base/bytes.ts';
import {
  canonicalText,
  decodeName,
  encodeName,
  expandName,
  formatName,
  isBelow,
  nameOf,
  sameName,
  skipName,
} from '../../../../../shared/core/dns/name.ts';

const seed = 20261120;
const label63 = 'a'.repeat(63);
const label = fc.uint8Array({ minLength: 1, maxLength: 63 });
const wireName = fc
  .array(label, { maxLength: 6 })
  .map((labels) => Uint8Array.from([...labels.flatMap((bytes) => [bytes.length, ...bytes]), 0]))
  .filter((wire) => wire.length <= 255);

describe('text of names', () => {
  test.each([
    ['.', [0]],
    ['com', [3, 99, 111, 109, 0]],
    ['com.', [3, 99, 111, 109, 0]],
    ['_dns.a', [4, 95, 100, 110, 115, 1, 97, 0]],
    ['A.b', [1, 65, 1, 98, 0]],
    ['a\\.b', [3, 97, 46, 98, 0]],
    ['a\\000\\255', [3, 97, 0, 255, 0]],
    ['\\\\', [1, 92, 0]],
    ['a b', [3, 97, 32, 98, 0]],
  ])('encodes %s', (text, wire) => {
    expect([...(encodeName(text) ?? [])]).toEqual(wire);
  });

  test.each([
    '',
    '..',
    '.a',
    'a..b',
    'a..',
    'münchen.de',
    `${label63}a`,
    '\\256',
    '\\12',
    '\\',
    'a\\',
    '\\1a2',
    '\\ü',
    `${label63}.${label63}.${label63}.${label63}`,
  ])('refuses %s', (text) => {
    expect(encodeName(text)).toBeUndefined();
  });

  test('takes the longest name there can be, with and without its last dot, and nothing longer', () => {
    const longest = `${label63}.${label63}.${label63}.${'a'.repeat(61)}`;

    expect(encodeName(longest)?.length).toBe(255);
    expect(encodeName(`${longest}.`)?.length).toBe(255);
    expect(encodeName(`${longest}a`)).toBeUndefined();
    expect(encodeName(`${longest}a.`)).toBeUndefined();
  });

  test('keeps every byte on the way to text and back', () => {
    const property = fc.property(wireName, (wire) => {
      expect(encodeName(formatName(wire))).toEqual(wire);
      expect(decodeName(wire, 0)).toBe(formatName(wire));
    });

    fc.assert(property, { seed, numRuns: 300 });
  });

  test('is compared without case and last dot', () => {
    expect(canonicalText('ExAmple.COM.')).toBe('example.com');
    expect(canonicalText('.')).toBe('.');
    expect(canonicalText('a\\.')).toBe('a\\.');
  });
});

describe('names in a message', () => {
  // 'com' at 2, 'example' + pointer at 7, and a pointer to that at 17
  const bytes = Uint8Array.from([0, 0, 3, 99, 111, 109, 0, 7, ...ascii('example'), 0xc0, 2, 0xc0, 7, 9]);

  test('follow pointers backwards', () => {
    expect(decodeName(bytes, 17)).toBe('example.com');
    expect(expandName(bytes, 17)).toEqual(encodeName('example.com'));
    expect(skipName(bytes, 17)).toBe(19);
    expect(skipName(bytes, 7)).toBe(17);
  });

  test.each([
    ['a pointer to itself', [0xc0, 0], 0],
    ['a pointer forwards', [0xc0, 2, 0], 0],
    ['two pointers in a circle', [0xc0, 2, 0xc0, 0], 2],
    ['a label that leads back to its own start', [1, 97, 0xc0, 0], 0],
    ['a label type that was never used', [0x40, 0], 0],
    ['a label behind the end', [5, 97], 0],
    ['a pointer behind the end', [0, 0xc0], 1],
    ['nothing', [], 0],
  ])('are refused: %s', (_what, hostile, at) => {
    expect(expandName(Uint8Array.from(hostile), at)).toBeUndefined();
    expect(decodeName(Uint8Array.from(hostile), at)).toBeUndefined();
    expect(sameName(Uint8Array.from(hostile), at, Uint8Array.of(0), 0)).toBe(false);
  });

  test('end at 255 bytes however they are compressed', () => {
    // each name is a label of 63 and a pointer to the one before
    const parts: number[] = [0];
    let previous = 0;
    for (let i = 0; i < 5; i++) {
      const start = parts.length;
      parts.push(63, ...Array.from({ length: 63 }, () => 97), 0xc0 | (previous >> 8), previous & 0xff);
      previous = start;
    }

    expect(expandName(Uint8Array.from(parts), 1 + 66 * 2)?.length).toBe(193);
    expect(expandName(Uint8Array.from(parts), previous)).toBeUndefined();
    expect(sameName(Uint8Array.from(parts), previous, Uint8Array.from(parts), previous)).toBe(false);
  });

  test('never throw and never run on, whatever the bytes are', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(700), (hostile, at) => {
      const wire = expandName(hostile, at);
      if (wire !== undefined) expect(wire.length).toBeLessThanOrEqual(255);
      expect(skipName(hostile, at)).toBeLessThanOrEqual(hostile.length);
      sameName(hostile, at, hostile, 0);
    });

    fc.assert(property, { seed, numRuns: 500 });
  });

  test('are the same but for case', () => {
    expect(sameName(nameOf('example.com'), 0, encodeName('EXAMPLE.cOm')!, 0)).toBe(true);
    expect(sameName(nameOf('example.com'), 0, nameOf('example.org'), 0)).toBe(false);
    expect(sameName(nameOf('example.com'), 0, nameOf('www.example.com'), 0)).toBe(false);
  });

  test('stand below a suffix by whole labels', () => {
    const suffix = nameOf('culvert');

    expect(isBelow(encodeName('Edge.Culvert')!, suffix)).toBe(true);
    expect(isBelow(encodeName('culvert')!, suffix)).toBe(true);
    expect(isBelow(encodeName('notculvert')!, suffix)).toBe(false);
    expect(isBelow(encodeName('x\\007culvert')!, suffix)).toBe(false);
    expect(isBelow(encodeName('.')!, suffix)).toBe(false);
    expect(isBelow(encodeName('a.b')!, nameOf('.'))).toBe(true);
  });
});
