import { describe, expect, it } from 'vitest';
import {
  readVarint,
  varintSize,
  varintSizeOf,
  writeVarint,
} from '../../../../../shared/core/masque/varint.ts';

describe('integers of variable length', () => {
  // RFC 9000 appendix A.1.
  it.each([
    [[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], Number.POSITIVE_INFINITY],
    [[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333],
    [[0x7b, 0xbd], 15_293],
    [[0x25], 37],
    [[0x40, 0x25], 37],
    [[0xc0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Number.MAX_SAFE_INTEGER],
  ])('reads %j as %d', (bytes, value) => {
    expect(varintSize(bytes[0] ?? 0)).toBe(bytes.length);
    expect(readVarint(Uint8Array.from([0xff, ...bytes]), 1)).toBe(value);
  });

  it.each([0, 63, 64, 16_383, 16_384, 0x3fff_ffff, 0x4000_0000, Number.MAX_SAFE_INTEGER])(
    'writes %d in its shortest form, which reads back',
    (value) => {
      const bytes = new Uint8Array(10).fill(0xff);

      const size = writeVarint(bytes, 1, value);

      expect(size).toBe(varintSizeOf(value));
      expect(varintSize(bytes[1] ?? 0)).toBe(size);
      expect(readVarint(bytes, 1)).toBe(value);
      expect([bytes[0], bytes[1 + size]]).toEqual([0xff, 0xff]);
    },
  );

  it('refuses to write what has no form', () => {
    expect(() => writeVarint(new Uint8Array(8), 0, -1)).toThrow();
    expect(() => writeVarint(new Uint8Array(8), 0, 2 ** 60)).toThrow();
  });
});
