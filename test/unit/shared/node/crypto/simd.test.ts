import { describe, expect, test } from 'vitest';
import { AssertionError } from '../../../../../shared/core/base/assert.ts';
import { patternOf, selfTest, selfTestBytes } from '../../../../../shared/core/crypto/known-answer.ts';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import { type CryptoSuite, tagSize } from '../../../../../shared/core/crypto/suite.ts';
import { combinedSuite } from '../../../../../shared/node/crypto/combined.ts';
import { evpSuite } from '../../../../../shared/node/crypto/evp.ts';
import { primitivesSuite } from '../../../../../shared/node/crypto/primitives.ts';
import { simdSuite } from '../../../../../shared/node/crypto/simd.ts';
import { ffiAvailable } from '../../../../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { opensslAvailable } from '../../../../../shared/node/ffi/openssl.ts';
import { primitivesAvailable } from '../../../../../shared/node/ffi/openssl-primitives.ts';
import { loadKernel } from '../../../../../shared/node/kernel/kernel.ts';
import { cryptoSuiteContract } from '../../../../contract/crypto-suite.ts';

const key = Uint8Array.from({ length: 32 }, (_, i) => i * 5 + 1);
const ffi = ffiAvailable();
const openssl = opensslAvailable();
const primitives = primitivesAvailable();
const boundary = 2 ** 32;
/** Of transport messages: what stands before the ciphertext. */
const header = 16;

function newMemory(): WorkerMemory {
  return new WorkerMemory(64 * 1024 * 1024, ffi.ok ? ffi.libc : undefined);
}

function simdOn(memory: WorkerMemory): CryptoSuite {
  const loaded = loadKernel(memory.wasm);
  if (!loaded.ok) throw new Error(loaded.reason);
  return simdSuite({ kernel: loaded.kernel, memory, portable: portableSuite });
}

function combinedOn(memory: WorkerMemory): CryptoSuite {
  if (!openssl.ok) throw new Error(openssl.reason);
  const large = evpSuite({ openssl: openssl.openssl, memory, portable: portableSuite });
  return combinedSuite({ large, small: simdOn(memory), fromBytes: 704 });
}

function primitivesOn(memory: WorkerMemory): CryptoSuite {
  if (!openssl.ok || !primitives.ok) throw new Error('no primitives here');
  const rest = evpSuite({ openssl: openssl.openssl, memory, portable: portableSuite });
  return primitivesSuite({ primitives: primitives.primitives, memory, rest });
}

describe('the suite on the kernel', () => {
  suiteTests('wasm', simdOn);

  test('clears the last key when that is wiped, and no other', () => {
    const memory = newMemory();
    const suite = simdOn(memory);
    const [one, two] = [suite.transportKey(key), suite.transportKey(key.toReversed())];
    const at = memory.alloc(64);
    const holds = (bytes: Uint8Array): boolean =>
      Buffer.from(memory.bytes.buffer).includes(Buffer.from(bytes));

    one.seal(memory.bytes, at, 10, 0);
    expect([holds(key), holds(key.toReversed())]).toEqual([true, false]);
    two.seal(memory.bytes, at, 10, 0);
    one.wipe();
    expect([holds(key), holds(key.toReversed())]).toEqual([false, true]);
    two.wipe();
    expect([holds(key), holds(key.toReversed())]).toEqual([false, false]);
  });

  test('leaves neither key nor plaintext of a small message behind', () => {
    const memory = newMemory();
    const suite = simdOn(memory);
    const transport = suite.transportKey(key.toReversed());
    const plaintext = patternOf(32);
    const at = memory.alloc(64);
    transport.seal(memory.bytes, at, 10, 0);

    const sealed = suite.seal(key, 1, plaintext, patternOf(5));
    suite.open(key, 1, sealed, patternOf(5));

    const whole = Buffer.from(memory.bytes.buffer);
    expect([whole.includes(Buffer.from(key)), whole.includes(Buffer.from(plaintext))]).toEqual([
      false,
      false,
    ]);
    expect(transport.open(memory.bytes, at, 10, 0)).toBe(true);
  });
});

describe.runIf(ffi.ok && primitives.ok)('the suite on the primitives of OpenSSL', () => {
  suiteTests('openssl-primitives', primitivesOn);

  test('clears the last key when that is wiped, and gives nothing out that was not authentic', () => {
    const memory = newMemory();
    const suite = primitivesOn(memory);
    const [one, two] = [suite.transportKey(key), suite.transportKey(key.toReversed())];
    const at = memory.alloc(128, 64) + 64;
    const holds = (bytes: Uint8Array): boolean =>
      Buffer.from(memory.bytes.buffer).includes(Buffer.from(bytes));
    memory.bytes.set(patternOf(32), at);

    one.seal(memory.bytes, at, 32, 0);
    expect(holds(key)).toBe(true);
    const sealed = memory.bytes.slice(at, at + 32);
    expect(two.open(memory.bytes, at, 32, 0)).toBe(false);

    expect(memory.bytes.subarray(at, at + 32)).toEqual(sealed);
    two.wipe();
    expect([holds(key), holds(key.toReversed())]).toEqual([false, false]);
    expect(() => two.seal(memory.bytes, at, 32, 1)).toThrow(AssertionError);
  });

  test('is not tried with an OpenSSL of another series', () => {
    expect(primitivesAvailable('4.0.0').ok).toBe(false);
    expect(primitivesAvailable('1.1.1w').ok).toBe(false);
    expect(primitivesAvailable(undefined).ok).toBe(true);
  });
});

describe.runIf(ffi.ok && openssl.ok)('the suite of both', () => {
  suiteTests('openssl-ffi+wasm', combinedOn);

  test('names the crossover, or that there is none', () => {
    const small = simdOn(newMemory());
    const name = (fromBytes: number): string =>
      combinedSuite({ large: { ...portableSuite, name: 'openssl-ffi' }, small, fromBytes }).name;

    expect(name(704)).toBe('openssl-ffi+wasm (≥ 704 B openssl)');
    expect(name(Infinity)).toBe('openssl-ffi+wasm (packets wasm)');
  });

  test('gives packets below the crossover to one suite and the others to the other', () => {
    const used: string[] = [];
    const spy = (name: string): CryptoSuite => ({
      ...portableSuite,
      name,
      transportKey: () => ({
        seal: () => used.push(`${name} seals`),
        open: () => used.push(`${name} opens`) > 0,
        wipe: () => used.push(`${name} wipes`),
      }),
    });
    const transport = combinedSuite({
      large: spy('large'),
      small: spy('small'),
      fromBytes: 704,
    }).transportKey(key);
    const bytes = new Uint8Array(2000);

    for (const length of [0, 703, 704, 1420]) {
      transport.seal(bytes, 0, length, 0);
      transport.open(bytes, 0, length, 0);
    }
    transport.wipe();

    expect(used).toEqual([
      'small seals',
      'small opens',
      'small seals',
      'small opens',
      'large seals',
      'large opens',
      'large seals',
      'large opens',
      'large wipes',
      'small wipes',
    ]);
  });
});

function suiteTests(name: string, make: (memory: WorkerMemory) => CryptoSuite): void {
  const memory = newMemory();
  const suite = make(memory);
  const { bytes } = memory;

  cryptoSuiteContract(
    `${name} in worker memory`,
    () => suite,
    (size) => {
      const at = memory.alloc(size);
      return bytes.subarray(at, at + size);
    },
  );
  cryptoSuiteContract(`${name} outside worker memory`, () => suite);

  test('gives the known answers, in worker memory and outside', () => {
    const at = memory.alloc(selfTestBytes);

    expect(selfTest(suite, bytes.subarray(at, at + selfTestBytes))).toBeUndefined();
    expect(selfTest(suite)).toBeUndefined();
  });

  test('seals and opens every length up to 300 and around a full packet like the portable suite', () => {
    const ours = suite.transportKey(key);
    const theirs = portableSuite.transportKey(key);
    const at = memory.alloc(2048);
    const counters = [0, 1, boundary - 1, boundary, boundary + 1, 2 ** 53 - 1];
    const lengths = [...range(0, 301), ...range(440, 460), ...range(690, 720), ...range(1400, 1501)];
    for (const length of lengths) {
      const counter = counters[length % counters.length]!;
      const offset = at + 32 + (length % 17);
      const expected = new Uint8Array(length + tagSize);
      expected.set(patternOf(length));
      theirs.seal(expected, 0, length, counter);
      bytes.fill(0x5a, at, at + 2048);
      bytes.set(patternOf(length), offset);

      ours.seal(bytes, offset, length, counter);
      const sealed = bytes.slice(at, at + 2048);
      const opened = ours.open(bytes, offset, length, counter);

      const around = new Uint8Array(2048).fill(0x5a);
      around.set(expected, offset - at);
      expect(Buffer.compare(sealed, around), `${length} bytes sealed`).toBe(0);
      expect(opened, `${length} bytes opened`).toBe(true);
      around.set(patternOf(length), offset - at);
      expect(Buffer.compare(bytes.subarray(at, at + 2048), around), `${length} bytes opened`).toBe(0);
    }
  });

  test.each([1420, 704, 688, 300, 100, 16, 1])(
    'opens every packet of consecutive trains that were sealed back to back: %i bytes',
    (length) => {
      // The hazard: whoever writes outside its own slot spoils the tag of the packet before.
      const stride = header + length + tagSize;
      const packets = 40;
      const transport = suite.transportKey(key);
      const start = memory.alloc((packets + 2) * stride);
      bytes.fill(0xee, start, start + (packets + 2) * stride);
      const slot = (i: number): number => start + (i + 1) * stride;
      for (let i = 0; i < packets; i++) {
        bytes.fill(i, slot(i) + header, slot(i) + header + length);
        transport.seal(bytes, slot(i) + header, length, boundary - 20 + i);
      }
      const sealed = bytes.slice(start, start + (packets + 2) * stride);

      // Sealed in a row backwards, it must come out the same.
      for (let i = packets - 1; i >= 0; i--) {
        bytes.fill(i, slot(i) + header, slot(i) + header + length);
        transport.seal(bytes, slot(i) + header, length, boundary - 20 + i);
      }
      expect(Buffer.compare(bytes.subarray(start, start + (packets + 2) * stride), sealed)).toBe(0);

      for (let i = 0; i < packets; i++) {
        expect(transport.open(bytes, slot(i) + header, length, boundary - 20 + i), `packet ${i}`).toBe(true);
        const plain = bytes.subarray(slot(i) + header, slot(i) + header + length);
        expect(
          plain.every((byte) => byte === i),
          `packet ${i}`,
        ).toBe(true);
        expect(bytes.subarray(slot(i), slot(i) + header).every((byte) => byte === 0xee)).toBe(true);
      }
      expect(bytes.subarray(start, start + stride).every((byte) => byte === 0xee)).toBe(true);
      expect(bytes.subarray(slot(packets), slot(packets) + stride).every((byte) => byte === 0xee)).toBe(true);
    },
  );

  test('opens the others of a train when one was forged', () => {
    const transport = suite.transportKey(key);
    for (const length of [100, 1420]) {
      const stride = length + tagSize;
      const train = memory.alloc(10 * stride);
      for (let i = 0; i < 10; i++) transport.seal(bytes, train + i * stride, length, i);
      bytes[train + 3 * stride + 50]! ^= 1;

      const opened = range(0, 10).map((i) => transport.open(bytes, train + i * stride, length, i));

      expect(opened).toEqual(range(0, 10).map((i) => i !== 3));
    }
  });

  test('keeps keys apart that take turns packet by packet', () => {
    const keys = range(0, 50).map((i) => suite.transportKey(key.map((byte) => byte ^ i)));
    const at = memory.alloc(50 * 1024);
    for (const [i, one] of keys.entries()) {
      bytes.fill(i, at + i * 1024, at + i * 1024 + 40 + 15 * i);
      one.seal(bytes, at + i * 1024, 40 + 15 * i, 7);
    }

    for (const [i, one] of keys.entries()) {
      const wrong = keys[(i + 1) % keys.length]!;
      const copy = bytes.slice(at + i * 1024, at + (i + 1) * 1024);
      expect(wrong.open(copy, 0, 40 + 15 * i, 7)).toBe(false);
      expect(one.open(bytes, at + i * 1024, 40 + 15 * i, 7)).toBe(true);
      expect(bytes[at + i * 1024 + 39]).toBe(i);
    }
  });

  test('a packet that ends outside the memory, or a wiped key, is a bug', () => {
    const transport = suite.transportKey(key);
    const { length } = bytes;
    for (const [offset, size] of [
      [length - 20, 5],
      [length - 1000, 985],
      [-1, 5],
      [64, -1],
      [Number.NaN, 5],
      [2 ** 32, 5],
    ] as const) {
      expect(() => transport.seal(bytes, offset, size, 0)).toThrow(AssertionError);
      expect(() => transport.open(bytes, offset, size, 0)).toThrow(AssertionError);
    }
    transport.seal(bytes, length - 21, 5, 0);
    expect(transport.open(bytes, length - 21, 5, 0)).toBe(true);

    transport.wipe();
    transport.wipe();

    expect(() => transport.seal(bytes, 64, 5, 0)).toThrow(AssertionError);
    expect(() => transport.open(bytes, 64, 1000, 0)).toThrow(AssertionError);
  });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
