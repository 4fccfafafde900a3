// The reference that everything else is compared with must itself be right.
import { describe, expect, test } from 'vitest';
import { hex, refBlake2s, refHash, refSeal } from '../../../../vectors/openssl.ts';
import { blake2sGrandHash, rfc8439 } from '../../../../vectors/published.ts';

/** The sequence of RFC 7693 appendix E. */
function sequence(length: number, seed: number): Uint8Array {
  let a = Math.imul(0xdead4bad, seed) >>> 0;
  let b = 1;
  return Uint8Array.from({ length }, () => {
    const t = (a + b) >>> 0;
    a = b;
    b = t;
    return t >>> 24;
  });
}

describe('the reference', () => {
  test('seals the message of RFC 8439 §2.8.2', () => {
    const plaintext = Uint8Array.from(Buffer.from(rfc8439.plaintext));

    const sealed = refSeal(hex(rfc8439.key), hex(rfc8439.nonce), plaintext, hex(rfc8439.additional));

    expect(sealed).toEqual(hex(rfc8439.sealed));
  });

  test('hashes plain BLAKE2s as OpenSSL does', () => {
    for (const size of [0, 1, 63, 64, 65, 128, 300]) {
      const message = sequence(size, size + 1);
      expect(refBlake2s(message, new Uint8Array(0), 32)).toEqual(refHash(message));
    }
  });

  test('comes to the grand hash of RFC 7693 appendix E, keys and short outputs included', () => {
    const digests: Uint8Array[] = [];
    for (const outLength of [16, 20, 28, 32]) {
      for (const size of [0, 3, 64, 65, 255, 1024]) {
        const message = sequence(size, size);
        digests.push(refBlake2s(message, new Uint8Array(0), outLength));
        digests.push(refBlake2s(message, sequence(outLength, outLength), outLength));
      }
    }

    expect(refBlake2s(Buffer.concat(digests), new Uint8Array(0), 32)).toEqual(hex(blake2sGrandHash));
  });
});
