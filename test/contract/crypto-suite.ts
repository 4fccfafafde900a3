// What every CryptoSuite must do, compared with OpenSSL and with published vectors.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  lowOrderPoints,
  patternOf,
  selfTest,
  selfTestBytes,
  vectorKey,
} from '../../shared/core/crypto/known-answer.ts';
import { type CryptoSuite, tagSize } from '../../shared/core/crypto/suite.ts';
import {
  counterNonce,
  hex,
  refBlake2s,
  refDh,
  refHash,
  refOpen,
  refPublicKey,
  refSeal,
  refXseal,
} from '../vectors/openssl.ts';
import { x25519Iterated } from '../vectors/published.ts';

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const counter = fc.oneof(
  fc.nat({ max: 1000 }),
  fc.integer({ min: 2 ** 32 - 3, max: 2 ** 32 + 3 }),
  fc.maxSafeNat(),
);
const small = fc.uint8Array({ maxLength: 300 });
const runs = { seed: 20_261_120, numRuns: 60 };
const guard = 0x5a;

/**
 * Describes the contract for one suite. `makeBytes` gives the memory that packets are sealed in, for
 * suites that treat memory of their own differently.
 */
export function cryptoSuiteContract(
  name: string,
  makeSuite: () => CryptoSuite,
  makeBytes: (size: number) => Uint8Array = (size) => new Uint8Array(size),
): void {
  describe(`the crypto suite ${name}`, () => {
    const suite = makeSuite();

    test('gives the same after a secret key was forgotten, and with more keys than it may keep', () => {
      const suite = makeSuite();
      const secrets = [1, 2, 3, 4].map((fill) => new Uint8Array(32).fill(fill));
      const publics = secrets.map((secret) => suite.publicKey(secret));
      const shared = secrets.map((secret, i) => suite.dh(secret, publics[(i + 1) % 4]!));

      for (const secret of secrets) suite.forget?.(secret);

      expect(secrets.map((secret) => suite.publicKey(secret))).toEqual(publics);
      expect(secrets.map((secret, i) => suite.dh(secret, publics[(i + 1) % 4]!))).toEqual(shared);
    });

    test('knows the known answers', () => {
      expect(selfTest(suite, makeBytes(selfTestBytes))).toBeUndefined();
    });

    test('has a name', () => {
      expect(suite.name).not.toBe('');
    });

    dhContract(suite);
    hashContract(suite);
    messageContract(suite);
    transportContract(suite, makeBytes);
  });
}

function dhContract(suite: CryptoSuite): void {
  test('derives public keys and shared secrets as OpenSSL does', () => {
    fc.assert(
      fc.property(key, key, (secretKey, otherSecret) => {
        const publicKey = refPublicKey(otherSecret);
        expect(suite.publicKey(otherSecret)).toEqual(publicKey);
        expect(suite.dh(secretKey, publicKey)).toEqual(refDh(secretKey, publicKey));
      }),
      { ...runs, numRuns: 20 },
    );
  });

  test('ignores the top bit of a public key, and leaves both keys as they were', () => {
    const secretKey = vectorKey.slice();
    const publicKey = suite.publicKey(patternOf(32));
    const marked = publicKey.slice();
    marked[31]! |= 0x80;
    const before = [secretKey.slice(), marked.slice()];

    expect(suite.dh(secretKey, marked)).toEqual(suite.dh(secretKey, publicKey));
    expect([secretKey, marked]).toEqual(before);
  });

  test('comes to the scalars of RFC 7748 after 1 and 1000 rounds', () => {
    let scalar = hex('09'.padEnd(64, '0'));
    let point = scalar;
    const found: [number, string][] = [];
    for (let round = 1; round <= 1000; round++) {
      const next = suite.dh(scalar, point)!;
      point = scalar;
      scalar = next;
      if (round === 1 || round === 1000) found.push([round, Buffer.from(scalar).toString('hex')]);
    }

    expect(found).toEqual(x25519Iterated);
  });

  test('refuses public keys of low order, with the top bit and without', () => {
    for (const point of lowOrderPoints) {
      const bytes = hex(point);
      expect(suite.dh(vectorKey, bytes)).toBeUndefined();
      bytes[31]! |= 0x80;
      expect(suite.dh(vectorKey, bytes)).toBeUndefined();
    }
  });
}

function hashContract(suite: CryptoSuite): void {
  test('hashes one part and two parts as OpenSSL does', () => {
    fc.assert(
      fc.property(small, small, (first, second) => {
        expect(suite.hash(first)).toEqual(refHash(first));
        expect(suite.hash(first, second)).toEqual(refHash(first, second));
      }),
      runs,
    );
  });

  test('makes macs as RFC 7693 says, with keys of every length', () => {
    for (let length = 1; length <= 32; length++) {
      const macKey = patternOf(length);
      for (const size of [0, 1, 24, 63, 64, 65, 116, 132]) {
        expect(suite.mac(macKey, patternOf(size))).toEqual(refBlake2s(patternOf(size), macKey, 16));
      }
    }
  });
}

function messageContract(suite: CryptoSuite): void {
  test('seals small messages as OpenSSL does, and opens what it sealed', () => {
    fc.assert(
      fc.property(key, counter, small, small, (sealKey, n, plaintext, additional) => {
        const sealed = suite.seal(sealKey, n, plaintext, additional);
        expect(sealed).toEqual(refSeal(sealKey, counterNonce(n), plaintext, additional));
        expect(suite.open(sealKey, n, sealed, additional)).toEqual(plaintext);
      }),
      runs,
    );
  });

  test('seals with a long nonce as the XChaCha draft says, and opens what it sealed', () => {
    const nonce = fc.uint8Array({ minLength: 24, maxLength: 24 });
    fc.assert(
      fc.property(key, nonce, small, small, (sealKey, n, plaintext, additional) => {
        const sealed = suite.xseal(sealKey, n, plaintext, additional);
        expect(sealed).toEqual(refXseal(sealKey, n, plaintext, additional));
        expect(suite.xopen(sealKey, n, sealed, additional)).toEqual(plaintext);
      }),
      runs,
    );
  });

  test('opens no message of which any bit was changed, or that is too short for its tag', () => {
    const nonce = patternOf(24);
    const additional = patternOf(5);
    const sealed = suite.seal(vectorKey, 7, patternOf(12), additional);
    const xsealed = suite.xseal(vectorKey, nonce, patternOf(12), additional);

    for (let bit = 0; bit < sealed.length * 8; bit++) {
      expect(suite.open(vectorKey, 7, flipped(sealed, bit), additional)).toBeUndefined();
      expect(suite.xopen(vectorKey, nonce, flipped(xsealed, bit), additional)).toBeUndefined();
    }
    for (let bit = 0; bit < additional.length * 8; bit++) {
      expect(suite.open(vectorKey, 7, sealed, flipped(additional, bit))).toBeUndefined();
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(suite.open(vectorKey, 7, sealed.subarray(0, length), additional)).toBeUndefined();
      expect(suite.xopen(vectorKey, nonce, xsealed.subarray(0, length), additional)).toBeUndefined();
    }
    expect(suite.open(vectorKey, 8, sealed, additional)).toBeUndefined();
    expect(suite.open(vectorKey, 7, sealed, additional)).toEqual(patternOf(12));
  });
}

function transportContract(suite: CryptoSuite, makeBytes: (size: number) => Uint8Array): void {
  test('seals packets in place as OpenSSL does, at every alignment, and touches nothing beside them', () => {
    const size = fc.oneof(fc.nat({ max: 300 }), fc.integer({ min: 1200, max: 1500 }), fc.nat({ max: 9000 }));
    fc.assert(
      fc.property(key, counter, size, fc.nat({ max: 70 }), (sealKey, n, length, offset) => {
        const memory = makeBytes(offset + length + tagSize + 33);
        memory.fill(guard);
        memory.set(patternOf(length), offset);
        const before = memory.slice();
        const transport = suite.transportKey(sealKey);

        transport.seal(memory, offset, length, n);
        const after = memory.slice();
        const opened = transport.open(memory, offset, length, n);

        before.set(refSeal(sealKey, counterNonce(n), patternOf(length)), offset);
        expect(Buffer.compare(after, before)).toBe(0);
        expect(opened).toBe(true);
        before.set(patternOf(length), offset);
        expect(Buffer.compare(memory.subarray(0, offset + length), before.subarray(0, offset + length))).toBe(
          0,
        );
        expect(memory.subarray(offset + length + tagSize)).toEqual(new Uint8Array(33).fill(guard));
        transport.wipe();
      }),
      runs,
    );
  });

  test('opens packets that OpenSSL sealed, and lets OpenSSL open its own', () => {
    const transport = suite.transportKey(vectorKey);
    for (const length of [0, 1, 16, 40, 64, 700, 1420]) {
      const memory = makeBytes(length + tagSize);
      memory.set(refSeal(vectorKey, counterNonce(9), patternOf(length)));
      expect(transport.open(memory, 0, length, 9)).toBe(true);
      expect(Buffer.compare(memory.subarray(0, length), patternOf(length))).toBe(0);
      transport.seal(memory, 0, length, 10);
      expect(Buffer.compare(refOpen(vectorKey, counterNonce(10), memory), patternOf(length))).toBe(0);
    }
    transport.wipe();
  });

  test('opens no packet of which any byte was changed, or that has another counter', () => {
    const length = 100;
    const transport = suite.transportKey(vectorKey);
    const sealed = refSeal(vectorKey, counterNonce(2 ** 32 + 1), patternOf(length));
    const memory = makeBytes(length + tagSize);

    for (let i = 0; i < sealed.length; i++) {
      memory.set(flipped(sealed, i * 8 + (i % 8)));
      expect(transport.open(memory, 0, length, 2 ** 32 + 1)).toBe(false);
    }
    for (const wrong of [0, 1, 2 ** 32, 2 ** 33 + 1, 2 ** 53 - 1]) {
      memory.set(sealed);
      expect(transport.open(memory, 0, length, wrong)).toBe(false);
    }
    memory.set(sealed);
    expect(transport.open(memory, 0, length, 2 ** 32 + 1)).toBe(true);
    transport.wipe();
  });

  test('keeps many keys apart, and a copy of each', () => {
    const raw = Array.from({ length: 40 }, (_, i) => patternOf(32).map((byte) => byte ^ i));
    const keys = raw.map((bytes) => {
      const given = bytes.slice();
      const transport = suite.transportKey(given);
      given.fill(0);
      return transport;
    });
    const memory = makeBytes(1500);

    for (const round of [0, 1]) {
      for (const [i, transport] of keys.entries()) {
        const length = 50 + 30 * i;
        memory.set(patternOf(length));
        transport.seal(memory, 0, length, round);
        const expected = refSeal(raw[i]!, counterNonce(round), patternOf(length));
        expect(Buffer.compare(memory.subarray(0, length + tagSize), expected)).toBe(0);
      }
    }
    for (const transport of keys) transport.wipe();
  });

  test('forgets a wiped key and keeps the others', () => {
    const kept = suite.transportKey(vectorKey);
    const wiped = suite.transportKey(vectorKey);
    const expected = refSeal(vectorKey, counterNonce(3), patternOf(80));
    const memory = makeBytes(80 + tagSize);

    wiped.wipe();
    memory.set(patternOf(80));
    try {
      wiped.seal(memory, 0, 80, 3);
    } catch {
      // A suite may as well refuse.
    }
    const fromWiped = memory.slice();
    memory.set(patternOf(80));
    kept.seal(memory, 0, 80, 3);

    expect(Buffer.compare(fromWiped, expected)).not.toBe(0);
    expect(Buffer.compare(memory, expected)).toBe(0);
    kept.wipe();
  });
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}
