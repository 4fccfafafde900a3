import { createHmac, hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hmac, kdf1, kdf2, kdf3 } from '../../../../../shared/core/crypto/hkdf.ts';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';

const runs = { seed: 5869, numRuns: 60 };
const bytes = fc.uint8Array({ maxLength: 200 });

describe('HMAC', () => {
  test('is that of OpenSSL for keys up to a block', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), bytes, (key, message) => {
        const expected = createHmac('blake2s256', key).update(message).digest();
        expect(hmac(portableSuite, key, message)).toEqual(Uint8Array.from(expected));
      }),
      runs,
    );
  });

  test('takes no key longer than a block', () => {
    expect(() => hmac(portableSuite, new Uint8Array(65), new Uint8Array(0))).toThrow('fits a block');
  });
});

describe('the key derivations', () => {
  test('are HKDF (RFC 5869) with the chaining key as salt', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), bytes, (chainingKey, input) => {
        const all = new Uint8Array(hkdfSync('blake2s256', input, chainingKey, new Uint8Array(0), 96));
        const outputs = [all.slice(0, 32), all.slice(32, 64), all.slice(64)];
        expect(kdf1(portableSuite, chainingKey, input)).toEqual(outputs[0]);
        expect(kdf2(portableSuite, chainingKey, input)).toEqual(outputs.slice(0, 2));
        expect(kdf3(portableSuite, chainingKey, input)).toEqual(outputs);
      }),
      runs,
    );
  });

  test('leave their inputs as they were', () => {
    const chainingKey = new Uint8Array(32).fill(1);
    const input = new Uint8Array(32).fill(2);

    kdf3(portableSuite, chainingKey, input);

    expect([chainingKey, input]).toEqual([new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]);
  });
});
