import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headroom, type PacketBatch } from '../../../../../shared/core/packet/batch.ts';
import { Disguise } from '../../../../../shared/core/wire/disguise.ts';
import { maxTransportPrefix, messageSizes } from '../../../../../shared/core/wire/disguise-rules.ts';
import { Filler } from '../../../../../shared/core/wire/filler.ts';
import { messageType } from '../../../../../shared/core/wire/message.ts';
import { transportHeaderSize } from '../../../../../shared/core/wire/transport.ts';
import { batchOf, emptyBatch, packetsOf } from '../../../../support/batches.ts';
import { firstVersionFields, fullFields, rulesOf } from '../../../../support/disguises.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

const full = rulesOf(fullFields);
const kinds = [
  ['initiation', messageType.initiation, messageSizes.initiation],
  ['response', messageType.response, messageSizes.response],
  ['cookieReply', messageType.cookieReply, messageSizes.cookieReply],
  ['transport', messageType.transport, 500],
] as const;

function disguise(rules = full, seed = 1): Disguise {
  return new Disguise(rules, seededEntropy(seed));
}

/** A message full of the same byte, marked, as its datagram. */
function datagramOf(own: Disguise, type: (typeof kinds)[number][1], size: number): Uint8Array {
  const message = new Uint8Array(size).fill(0x55);
  own.mark(message, 0, type);
  return own.datagram(message, type);
}

function u32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

describe('a disguise', () => {
  test('puts noise before a message and another value into its type', () => {
    for (const [name, type, size] of kinds) {
      const datagram = datagramOf(disguise(), type, size);
      const prefix = full.prefix[name];

      expect(datagram.length).toBe(prefix + size);
      expect(u32(datagram, prefix)).toBeGreaterThanOrEqual(full.types[name].from);
      expect(u32(datagram, prefix)).toBeLessThanOrEqual(full.types[name].to);
      expect([...datagram.subarray(prefix + 4)]).toEqual(Array.from({ length: size - 4 }, () => 0x55));
    }
  });

  test('writes a single value as it is, little-endian', () => {
    const datagram = datagramOf(disguise(rulesOf(firstVersionFields)), messageType.transport, 32);

    expect([...datagram.subarray(0, 4)]).toEqual([0x5e, 0xec, 0x1c, 0x65]); // 1696394334
  });

  test('is taken off in place: the slot is the message alone', () => {
    for (const [name, type, size] of kinds) {
      const own = disguise();
      const batch = batchOf([datagramOf(own, type, size)]);
      const before = batch.offset[0]!;

      expect(own.reveal(batch, 0)).toBe(type);
      expect([batch.offset[0]! - before, batch.length[0]]).toEqual([full.prefix[name], size]);
    }
  });

  test('calls plain WireGuard, noise and stumps undisguised, and leaves them alone', () => {
    const own = disguise();
    const plain = kinds.map(([, type, size]) => {
      const message = new Uint8Array(size);
      message[0] = type;
      return message;
    });
    const stumps = kinds.map(([, type, size]) => datagramOf(own, type, size).subarray(0, 23));
    const all = [...plain, ...stumps, ...own.junk(), new Uint8Array(0)];
    const batch = batchOf(all);

    for (const [i, one] of all.entries()) {
      expect(own.reveal(batch, i)).toBe('undisguised');
      expect(batch.length[i]).toBe(one.length);
    }
  });

  test('knows handshakes by their exact length, and tells what has their type and not their length', () => {
    const own = disguise();
    for (const [, type, size] of kinds.slice(0, 3)) {
      const long = datagramOf(own, type, size + 1);
      const short = datagramOf(own, type, size - 1);

      expect([own.typeOf(long, 0, long.length), own.typeOf(short, 0, short.length)]).toEqual([
        'wrong-length',
        'wrong-length',
      ]);
    }
  });

  test('takes no data packet for anything else, and no other message for data', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 400 }), (bytes) => {
        const own = disguise();
        const verdict = own.typeOf(bytes, 0, bytes.length);
        expect(['undisguised', 'wrong-length', 1, 2, 3, 4]).toContain(verdict);
        if (verdict === 4) expect(bytes.length).toBeGreaterThanOrEqual(18 + 32);
      }),
      { seed: 5 },
    );
  });

  test('never begins a datagram as WireGuard does', () => {
    const own = disguise();
    for (let n = 0; n < 2000; n++) {
      expect(datagramOf(own, messageType.transport, 32)[0]).toBeGreaterThan(4);
    }
  });

  test('finds room for its longest noise before every packet', () => {
    expect(maxTransportPrefix + transportHeaderSize).toBeLessThanOrEqual(headroom);
  });
});

describe('noise before an initiation', () => {
  function junkOf(batch: PacketBatch, own = disguise()): readonly Uint8Array[] {
    own.pushJunk(batch, 0, 0);
    return packetsOf(batch);
  }

  test('has the number and the sizes that were asked for', () => {
    const junk = junkOf(emptyBatch());

    expect(junk).toHaveLength(4);
    for (const { length } of junk) {
      expect(length).toBeGreaterThanOrEqual(40);
      expect(length).toBeLessThanOrEqual(900);
    }
    expect(new Set(junk.map(({ length }) => length)).size).toBeGreaterThan(1);
  });

  test('never has the length of a handshake message', () => {
    const near = disguise(rulesOf({ jc: '100', jmin: '147', jmax: '148' }));

    expect(new Set(near.junk().map(({ length }) => length))).toEqual(new Set([147]));
  });

  test('leaves a part of the batch to messages', () => {
    const many = rulesOf({ jc: '128', jmin: '1000', jmax: '1000' });

    expect(junkOf(emptyBatch({ capacity: 16 }), disguise(many))).toHaveLength(14);
    expect(junkOf(emptyBatch({ arenaSize: 8000 }), disguise(many)).length).toBeLessThanOrEqual(7);
  });
});

describe('the filler', () => {
  test('gives the numbers of its generator', () => {
    // xoshiro128** from the state 1, 2, 3, 4.
    const entropy = { fill: (bytes: Uint8Array) => bytes.set([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]) };
    const state: [number, number, number, number] = [1, 2, 3, 5];
    const filler = new Filler(entropy);

    for (let n = 0; n < 100; n++) expect(filler.next()).toBe(referenceNext(state));
  });

  test('stays between its bounds and reaches both', () => {
    const filler = new Filler(seededEntropy(3));
    const seen = new Set(Array.from({ length: 200 }, () => filler.between(7, 9)));

    expect([...seen].toSorted((a, b) => a - b)).toEqual([7, 8, 9]);
    expect(filler.between(5, 5)).toBe(5);
    expect(filler.between(0, 0xffff_ffff)).toBeGreaterThan(0);
  });
});

/** The same generator in numbers that never overflow. */
function referenceNext(s: [number, number, number, number]): number {
  const word = (value: bigint): number => Number(BigInt.asUintN(32, value));
  const rotated = (value: number, by: bigint): number =>
    word((BigInt(value) << by) | (BigInt(value) >> (32n - by)));
  const result = word(BigInt(rotated(word(BigInt(s[1]) * 5n), 7n)) * 9n);
  const shifted = word(BigInt(s[1]) << 9n);
  s[2] = word(BigInt(s[2]) ^ BigInt(s[0]));
  s[3] = word(BigInt(s[3]) ^ BigInt(s[1]));
  s[1] = word(BigInt(s[1]) ^ BigInt(s[2]));
  s[0] = word(BigInt(s[0]) ^ BigInt(s[3]));
  s[2] = word(BigInt(s[2]) ^ BigInt(shifted));
  s[3] = rotated(s[3], 11n);
  return result;
}
