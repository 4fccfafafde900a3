import { describe, expect, test } from 'vitest';
import {
  hashOfAbc,
  hashVectors,
  macVectors,
  patternOf,
  publicKeyVectors,
  sealVector,
  selfTest,
  transportVectors,
  vectorKey,
  x25519Vectors,
  xsealVector,
} from '../../../../../shared/core/crypto/known-answer.ts';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import type { CryptoSuite, TransportKey } from '../../../../../shared/core/crypto/suite.ts';
import {
  counterNonce,
  hex,
  refBlake2s,
  refDh,
  refHash,
  refPublicKey,
  refSeal,
  refXseal,
} from '../../../../vectors/openssl.ts';

const ramp = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i);
const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value));

describe('the known answers', () => {
  test('are those of OpenSSL for X25519', () => {
    for (const [secretKey, publicKey] of publicKeyVectors) {
      expect(refPublicKey(hex(secretKey))).toEqual(hex(publicKey));
    }
    for (const [secretKey, publicKey, shared] of x25519Vectors) {
      expect(refDh(hex(secretKey), hex(publicKey))).toEqual(hex(shared));
    }
  });

  test('are those of the reference for BLAKE2s', () => {
    expect(refHash(text('abc'))).toEqual(hex(hashOfAbc));
    for (const [size, digest] of hashVectors) expect(refHash(ramp(size))).toEqual(hex(digest));
    for (const [keyLength, size, tag] of macVectors) {
      expect(refBlake2s(ramp(size), ramp(keyLength), 16)).toEqual(hex(tag));
    }
  });

  test('are those of the reference for small messages', () => {
    const additional = hex(sealVector.additional);

    expect(refSeal(vectorKey, counterNonce(sealVector.counter), ramp(32), additional)).toEqual(
      hex(sealVector.sealed),
    );
    expect(refXseal(vectorKey, hex(xsealVector.nonce), text(xsealVector.plaintext), additional)).toEqual(
      hex(xsealVector.sealed),
    );
  });

  test('are those of OpenSSL for packets, counters around 2^32 and the greatest included', () => {
    const counters = new Set(transportVectors.map(([, counter]) => counter));
    const sizes = new Set(transportVectors.map(([size]) => size));

    for (const counter of [0, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1]) {
      expect(counters).toContain(counter);
    }
    for (const size of [0, 1, 64, 1420, 9001]) expect(sizes).toContain(size);
    for (const [size, counter, tag] of transportVectors) {
      expect(refSeal(vectorKey, counterNonce(counter), patternOf(size)).subarray(size)).toEqual(hex(tag));
    }
  });
});

/** A suite that is right but for one thing. */
function broken(change: Partial<CryptoSuite>): CryptoSuite {
  return { ...portableSuite, ...change };
}

/** A transport key that is right but for one thing. */
function brokenTransport(change: (inner: TransportKey) => Partial<TransportKey>): CryptoSuite {
  return broken({
    transportKey(key) {
      const inner = portableSuite.transportKey(key);
      return {
        seal: (...call) => inner.seal(...call),
        open: (...call) => inner.open(...call),
        wipe: () => inner.wipe(),
        ...change(inner),
      };
    },
  });
}

const { publicKey, dh, hash, mac, seal, open, xseal, xopen } = portableSuite;

const faults: readonly (readonly [string, CryptoSuite, string])[] = [
  ['a wrong public key', broken({ publicKey: (key) => publicKey(key).toReversed() }), 'X25519 public key'],
  ['a wrong shared secret', broken({ dh: (a, b) => dh(a, b)?.toReversed() }), 'X25519 0'],
  ['low-order points', broken({ dh: (a, b) => dh(a, b) ?? new Uint8Array(32) }), 'low-order point'],
  ['a wrong hash', broken({ hash: (a) => hash(a) }), 'two parts'],
  ['a mac that is a shortened hash', broken({ mac: (_, m) => hash(m).slice(0, 16) }), 'keyed BLAKE2s'],
  ['a mac that ignores its key', broken({ mac: (_, m) => mac(new Uint8Array(32), m) }), 'keyed BLAKE2s'],
  ['a counter of 32 bits', broken({ seal: (k, n, p, a) => seal(k, n >>> 0, p, a) }), 'Poly1305 seal'],
  ['a message that does not open', broken({ open: () => undefined }), 'Poly1305 open'],
  ['forged messages', broken({ open: (k, n, s) => open(k, n, s, hex(sealVector.additional)) }), 'forged'],
  ['a wrong long nonce', broken({ xseal: (k, _, p, a) => xseal(k, new Uint8Array(24), p, a) }), 'XChaCha'],
  ['forged cookies', broken({ xopen: (k, n, s) => xopen(k, n, s, hex(sealVector.additional)) }), 'forged'],
  [
    'a packet counter of 32 bits',
    brokenTransport((inner) => ({ seal: (b, o, l, n) => inner.seal(b, o, l, n >>> 0) })),
    'under counter',
  ],
  [
    'forged packets',
    brokenTransport((inner) => ({ open: (b, o, l, n) => (inner.open(b, o, l, n), true) })),
    'forged',
  ],
  [
    'a byte written behind a packet',
    brokenTransport((inner) => ({
      seal: (b, o, l, n) => {
        inner.seal(b, o, l, n);
        b[o + l + 16] = 0;
      },
    })),
    'bytes beside it',
  ],
  [
    'a byte written before a packet',
    brokenTransport((inner) => ({
      open: (b, o, l, n) => {
        b[o - 1] = 0;
        return inner.open(b, o, l, n);
      },
    })),
    'bytes beside it',
  ],
];

describe('the self-test', () => {
  test('passes a suite that is right', () => {
    expect(selfTest(portableSuite)).toBeUndefined();
  });

  test.each(faults)('finds %s', (_, suite, answer) => {
    expect(selfTest(suite)).toContain(answer);
  });
});
