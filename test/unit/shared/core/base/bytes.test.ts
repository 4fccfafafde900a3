import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ascii,
  concat,
  decodeBase64,
  decodeBase64Key,
  decodeHex,
  encodeBase64,
  encodeHex,
  equalBytes,
  isZero,
  readU16BE,
  readU32BE,
  readU32LE,
  readU64BE,
  readU64LE,
  wipe,
  writeU16BE,
  writeU32BE,
  writeU32LE,
  writeU64BE,
  writeU64LE,
} from '../../../../../shared/core/base/bytes.ts';

const runs = { seed: 4648, numRuns: 200 };
const bytes = fc.uint8Array({ maxLength: 80 });

describe('hexadecimal', () => {
  test('is that of Node, and reads back in either case', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const text = encodeHex(value);
        expect(text).toBe(Buffer.from(value).toString('hex'));
        expect(decodeHex(text)).toEqual(value);
        expect(decodeHex(text.toUpperCase())).toEqual(value);
      }),
      runs,
    );
  });

  test.each(['0', 'abc', '0g', 'g0', '0x', ' 00 ', '00\n', '/0', ':0', '@0', '`0', '００', '-1', '+1'])(
    'refuses %j',
    (text) => {
      expect(decodeHex(text)).toBeUndefined();
    },
  );
});

describe('base64', () => {
  test('is that of Node, and reads back', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const text = encodeBase64(value);
        expect(text).toBe(Buffer.from(value).toString('base64'));
        expect(decodeBase64(text)).toEqual(value);
      }),
      runs,
    );
  });

  test('reads a text only where it is the one that its bytes have', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), (text) => {
        const value = decodeBase64(text);
        if (value !== undefined) expect(encodeBase64(value)).toBe(text);
      }),
      runs,
    );
    for (const first of 'AEIMQUYcgkosw048ABCDEFGH+/=_-') {
      for (const second of 'AQgwBCDEFGH+/=_-') {
        for (const text of [`A${first}${second}=`, `A${first}==`, `AA${first}${second}`]) {
          const value = decodeBase64(text);
          if (value !== undefined) expect(encodeBase64(value)).toBe(text);
        }
      }
    }
  });

  test.each([
    'A',
    'AA',
    'AAA',
    'A===',
    '====',
    '=AAA',
    'A=AA',
    'AA=A',
    'AB==',
    'AAB=',
    'AA==AA==',
    'AA-_',
    'AAA\n',
    'é===',
  ])('refuses %j', (text) => {
    expect(decodeBase64(text)).toBeUndefined();
  });

  test('takes a key of exactly 44 canonical characters', () => {
    const key = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);
    const text = encodeBase64(key);

    expect(text).toHaveLength(44);
    expect(decodeBase64Key(text)).toEqual(key);
    expect(decodeBase64Key(encodeBase64(key.subarray(1)))).toBeUndefined();
    expect(decodeBase64Key(encodeBase64(new Uint8Array(33)))).toBeUndefined();
    expect(decodeBase64Key(text.slice(0, 43))).toBeUndefined();
    expect(decodeBase64Key(`${text.slice(0, 42)}B=`)).toBeUndefined();
    expect(decodeBase64Key(` ${text.slice(1)}`)).toBeUndefined();
    expect(decodeBase64Key('')).toBeUndefined();
  });
});

describe('comparing', () => {
  test('is true for the same bytes only', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(equalBytes(a, a.slice())).toBe(true);
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0);
      }),
      runs,
    );
  });

  test('sees a single bit at every place', () => {
    const a = new Uint8Array(32);
    for (let bit = 0; bit < 256; bit++) {
      const b = new Uint8Array(32);
      b[bit >> 3] = 1 << (bit & 7);
      expect(equalBytes(a, b)).toBe(false);
      expect(isZero(b)).toBe(false);
    }
    expect(isZero(a)).toBe(true);
  });

  test('tells a part from the whole', () => {
    expect(equalBytes(new Uint8Array(3), new Uint8Array(4))).toBe(false);
    expect(equalBytes(new Uint8Array(0), new Uint8Array(0))).toBe(true);
  });
});

describe('numbers in bytes', () => {
  test('are written and read as Node does, at any offset, and nothing beside them changes', () => {
    const offset = fc.nat({ max: 9 });
    const u64 = fc.oneof(fc.maxSafeNat(), fc.integer({ min: 2 ** 32 - 2, max: 2 ** 32 + 2 }));
    fc.assert(
      fc.property(
        fc.nat({ max: 65_535 }),
        fc.nat({ max: 2 ** 32 - 1 }),
        u64,
        offset,
        (u16, u32, long, at) => {
          const mine = new Uint8Array(20).fill(0xee);
          const node = Buffer.alloc(20, 0xee);
          const rows = [
            [writeU16BE, readU16BE, u16, () => node.writeUInt16BE(u16, at)],
            [writeU32BE, readU32BE, u32, () => node.writeUInt32BE(u32, at)],
            [writeU32LE, readU32LE, u32, () => node.writeUInt32LE(u32, at)],
            [writeU64BE, readU64BE, long, () => node.writeBigUInt64BE(BigInt(long), at)],
            [writeU64LE, readU64LE, long, () => node.writeBigUInt64LE(BigInt(long), at)],
          ] as const;
          for (const [write, read, value, writeNode] of rows) {
            write(mine, at, value);
            writeNode();
            expect(Buffer.compare(mine, node)).toBe(0);
            expect(read(mine, at)).toBe(value);
          }
        },
      ),
      runs,
    );
  });

  test('are -1 where 64 bits hold more than a JS number can', () => {
    const cases: [bigint, number][] = [
      [2n ** 53n - 1n, 2 ** 53 - 1],
      [2n ** 53n, -1],
      [2n ** 53n + 1n, -1],
      [2n ** 63n, -1],
      [2n ** 64n - 1n, -1],
    ];
    for (const [value, expected] of cases) {
      const buffer = Buffer.alloc(8);
      buffer.writeBigUInt64LE(value);
      expect(readU64LE(buffer, 0)).toBe(expected);
      buffer.writeBigUInt64BE(value);
      expect(readU64BE(buffer, 0)).toBe(expected);
    }
  });
});

describe('arrays', () => {
  test('are joined in order', () => {
    expect(concat(Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3))).toEqual(Uint8Array.of(1, 2, 3));
    expect(concat()).toEqual(new Uint8Array(0));
  });

  test('are wiped wholly, and nothing beside a view', () => {
    const whole = new Uint8Array(8).fill(7);

    wipe(whole.subarray(2, 5));

    expect(whole).toEqual(Uint8Array.of(7, 7, 0, 0, 0, 7, 7, 7));
  });

  test('hold ASCII text and no other', () => {
    expect(ascii('mac1----')).toEqual(Uint8Array.from(Buffer.from('mac1----')));
    expect(() => ascii('é')).toThrow('ASCII');
  });
});
