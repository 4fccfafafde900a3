import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssertionError } from '../../../../../shared/core/base/assert.ts';
import { selfTest, selfTestBytes } from '../../../../../shared/core/crypto/known-answer.ts';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import { evpSuite } from '../../../../../shared/node/crypto/evp.ts';
import { ffiAvailable } from '../../../../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { opensslAvailable } from '../../../../../shared/node/ffi/openssl.ts';
import { cryptoSuiteContract } from '../../../../contract/crypto-suite.ts';

const ffi = ffiAvailable();
const openssl = opensslAvailable();

describe.runIf(ffi.ok && openssl.ok)('the suite on OpenSSL', () => {
  if (!ffi.ok || !openssl.ok) return;
  const memory = new WorkerMemory(64 * 1024 * 1024, ffi.libc);
  const suite = evpSuite({ openssl: openssl.openssl, memory, portable: portableSuite });
  const key = Uint8Array.from({ length: 32 }, (_, i) => i * 5 + 1);

  cryptoSuiteContract(
    'openssl-ffi in worker memory',
    () => suite,
    (size) => {
      const at = memory.alloc(size);
      return memory.bytes.subarray(at, at + size);
    },
  );
  cryptoSuiteContract('openssl-ffi outside worker memory', () => suite);

  test('gives the known answers, in worker memory and outside', () => {
    const at = memory.alloc(selfTestBytes);

    expect(selfTest(suite, memory.bytes.subarray(at, at + selfTestBytes))).toBeUndefined();
    expect(selfTest(suite)).toBeUndefined();
  });

  test('agrees with the portable suite on hashes, macs and agreements of any input', () => {
    const bytes = (max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: max });
    const secret = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(bytes(300), bytes(300), fc.uint8Array({ minLength: 1, maxLength: 32 }), (a, b, short) => {
        expect(suite.hash(a, b)).toEqual(portableSuite.hash(a, b));
        expect(suite.hash(a)).toEqual(portableSuite.hash(a));
        expect(suite.mac(short, a)).toEqual(portableSuite.mac(short, a));
      }),
      { seed: 1, numRuns: 50 },
    );
    fc.assert(
      fc.property(secret, secret, (mine, theirs) => {
        const peer = suite.publicKey(theirs);
        expect(peer).toEqual(portableSuite.publicKey(theirs));
        expect(suite.dh(mine, peer)).toEqual(portableSuite.dh(mine, peer));
        expect(suite.dh(mine, theirs)).toEqual(portableSuite.dh(mine, theirs));
      }),
      { seed: 2, numRuns: 8 },
    );
  });

  test('seals and opens packets of any size like the portable suite', () => {
    const ours = suite.transportKey(key);
    const theirs = portableSuite.transportKey(key);
    const at = memory.alloc(2048);
    for (const length of [0, 1, 15, 16, 17, 63, 64, 65, 100, 1420, 1500, 2000]) {
      const plain = Uint8Array.from({ length }, (_, i) => i * 3 + length);
      const expected = new Uint8Array(length + 16);
      expected.set(plain);
      theirs.seal(expected, 0, length, length * 2 ** 33 + 5);
      memory.bytes.set(plain, at);

      ours.seal(memory.bytes, at, length, length * 2 ** 33 + 5);

      expect(memory.bytes.slice(at, at + length + 16)).toEqual(expected);
      expect(ours.open(memory.bytes, at, length, length * 2 ** 33 + 5)).toBe(true);
      expect(memory.bytes.slice(at, at + length)).toEqual(plain);
    }
  });

  test('opens every packet of a train, also after one that was forged', () => {
    const transport = suite.transportKey(key);
    const size = 1452;
    const train = memory.alloc(10 * size);
    for (let i = 0; i < 10; i++) {
      memory.bytes.fill(i + 1, train + i * size, train + i * size + size - 16);
      transport.seal(memory.bytes, train + i * size, size - 16, i);
    }
    memory.bytes[train + 3 * size + 100]! ^= 1;

    const opened = Array.from({ length: 10 }, (_, i) =>
      transport.open(memory.bytes, train + i * size, size - 16, i),
    );

    expect(opened).toEqual([true, true, true, false, true, true, true, true, true, true]);
    for (const i of [0, 2, 4, 9]) {
      const packet = memory.bytes.subarray(train + i * size, train + i * size + size - 16);
      expect(packet.every((byte) => byte === i + 1)).toBe(true);
    }
  });

  test('two keys in use at once do not mix', () => {
    const a = suite.transportKey(key);
    const b = suite.transportKey(key.toReversed());
    const at = memory.alloc(64);
    a.seal(memory.bytes, at, 32, 1);

    expect(b.open(memory.bytes.slice(), at, 32, 1)).toBe(false);
    expect(a.open(memory.bytes, at, 32, 1)).toBe(true);
  });

  test('a packet that ends outside the memory, or a wiped key, is a bug', () => {
    const transport = suite.transportKey(key);

    expect(() => transport.seal(memory.bytes, memory.bytes.length - 20, 5, 0)).toThrow(AssertionError);
    expect(() => transport.open(memory.bytes, -1, 5, 0)).toThrow(AssertionError);
    transport.wipe();
    transport.wipe();
    expect(() => transport.seal(memory.bytes, 64, 5, 0)).toThrow(AssertionError);
  });

  test('the key does not stay behind in the memory', () => {
    suite.transportKey(key);
    suite.publicKey(key);
    suite.mac(key, new Uint8Array(3));

    expect(Buffer.from(memory.bytes.buffer).indexOf(key)).toBe(-1);
  });
});
