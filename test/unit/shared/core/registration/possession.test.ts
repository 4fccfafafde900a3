import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import {
  checkPossession,
  isCanonicalKey,
  type ProofRequest,
  proofSize,
  provePossession,
} from '../../../../../shared/core/registration/possession.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

const entropy = seededEntropy(3);
function keyPair(): { secret: Uint8Array; key: Uint8Array } {
  const secret = new Uint8Array(32);
  entropy.fill(secret);
  return { secret, key: portableSuite.publicKey(secret) };
}
const device = keyPair();
const edge = keyPair();
const stranger = keyPair();
const request: ProofRequest = {
  purpose: 'enrol',
  challenge: 'c1',
  deviceKey: device.key,
  edgeKey: edge.key,
  fields: ['token', 'Überlaptop', ''],
};
const proof = provePossession(portableSuite, device.secret, edge.key, request)!;

function accepts(changed: Partial<ProofRequest>, shown = proof, edgeSecret = edge.secret): boolean {
  return checkPossession(portableSuite, edgeSecret, { ...request, ...changed }, shown);
}

describe('a proof of possession', () => {
  test('convinces the edge that it was made for', () => {
    expect(proof).toHaveLength(proofSize);
    expect(accepts({})).toBe(true);
  });

  test.each<[string, Partial<ProofRequest>]>([
    ['another purpose', { purpose: 'rotate' }],
    ['another challenge', { challenge: 'c2' }],
    ['another key of the device', { deviceKey: stranger.key }],
    ['another key of the edge', { edgeKey: stranger.key }],
    ['other fields', { fields: ['token', 'Überlaptop', 'x'] }],
    ['fields that are cut elsewhere', { fields: ['tokenÜ', 'berlaptop', ''] }],
    ['a field less', { fields: ['token', 'Überlaptop'] }],
  ])('means nothing with %s', (_what, changed) => {
    expect(accepts(changed)).toBe(false);
  });

  test('cannot be made without the private key', () => {
    const forged = provePossession(portableSuite, stranger.secret, edge.key, request)!;

    expect(accepts({}, forged)).toBe(false);
    expect(accepts({}, proof.slice(1))).toBe(false);
    expect(accepts({}, proof, stranger.secret)).toBe(false);
  });

  test('is not to be had for keys of low order', () => {
    const zero = new Uint8Array(32);

    expect(provePossession(portableSuite, device.secret, zero, request)).toBeUndefined();
    expect(accepts({ deviceKey: zero })).toBe(false);
  });

  test('takes every text, also half a surrogate pair', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const one = { ...request, fields: [text, '\ud800'] };
        const made = provePossession(portableSuite, device.secret, edge.key, one)!;
        expect(checkPossession(portableSuite, edge.secret, one, made)).toBe(true);
      }),
      { seed: 6, numRuns: 20 },
    );
  });
});

describe('the spelling of a key', () => {
  /** 2^255 - 19 and its neighbours, little-endian. */
  function nearPrime(first: number): Uint8Array {
    const key = new Uint8Array(32).fill(0xff);
    key[0] = first;
    key[31] = 0x7f;
    return key;
  }

  test.each<[string, Uint8Array, boolean]>([
    ['a real key', device.key, true],
    ['a key with its top bit set', device.key.map((byte, i) => (i === 31 ? byte | 0x80 : byte)), false],
    ['p - 1', nearPrime(0xec), true],
    ['p', nearPrime(0xed), false],
    ['2^255 - 1', nearPrime(0xff), false],
    ['too few bytes', new Uint8Array(31), false],
  ])('%s is canonical: %#', (_what, key, canonical) => {
    expect(isCanonicalKey(key)).toBe(canonical);
  });
});
