import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dropReasons } from '../../../../../shared/core/base/drop.ts';
import { classify, messageType } from '../../../../../shared/core/wire/message.ts';

const sizes = { initiation: 148, response: 92, cookieReply: 64 } as const;

function datagram(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(4, length)).fill(0x77);
  bytes.set([type, 0, 0, 0]);
  return bytes.subarray(0, length);
}

describe('classify', () => {
  test.each([
    [1, 148, messageType.initiation],
    [1, 147, 'wrong-length'],
    [1, 149, 'wrong-length'],
    [2, 92, messageType.response],
    [2, 91, 'wrong-length'],
    [2, 93, 'wrong-length'],
    [3, 64, messageType.cookieReply],
    [3, 63, 'wrong-length'],
    [3, 65, 'wrong-length'],
    [4, 31, 'too-short'],
    [4, 32, messageType.transport],
    [4, 33, messageType.transport],
    [4, 65_535, messageType.transport],
    [0, 148, 'unknown-type'],
    [5, 148, 'unknown-type'],
    [255, 32, 'unknown-type'],
    [1, 4, 'wrong-length'],
    [4, 4, 'too-short'],
    [4, 3, 'too-short'],
    [1, 0, 'too-short'],
  ] as const)('takes type %d with %d bytes for %s', (type, length, expected) => {
    expect(classify(datagram(type, length), 0, length)).toBe(expected);
  });

  test('wants all three reserved bytes to be zero', () => {
    for (const [name, type] of Object.entries(messageType)) {
      for (let at = 1; at <= 3; at++) {
        const length = name in sizes ? sizes[name as keyof typeof sizes] : 32;
        const bytes = datagram(type, length);
        bytes[at] = 1;
        expect(classify(bytes, 0, length)).toBe('unknown-type');
      }
    }
  });

  test('says a type or a reason for any bytes anywhere, and looks only at its own', () => {
    const known: unknown[] = [...Object.values(messageType), ...dropReasons];
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(250),
        fc.nat(250),
        fc.nat(5),
        (bytes, a, b, type) => {
          const offset = a % (bytes.length + 1);
          const length = b % (bytes.length - offset + 1);
          if (length >= 4) bytes.set([type, 0, 0, 0], offset);

          const verdict = classify(bytes, offset, length);

          expect(known).toContain(verdict);
          expect(classify(bytes.slice(offset, offset + length), 0, length)).toBe(verdict);
        },
      ),
      { seed: 4, numRuns: 500 },
    );
  });

  test('throws where the caller names bytes that are not there: that is a bug', () => {
    expect(() => classify(new Uint8Array(40), 10, 32)).toThrow('inside its memory');
  });
});
