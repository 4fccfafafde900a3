import { expect, test } from 'vitest';
import { encodeHex } from '../../../../../shared/core/base/bytes.ts';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import {
  kemCiphertextSize,
  kemKeySize,
  type SessionTranscript,
  sessionSecret,
} from '../../../../../shared/core/quantum/session-secret.ts';
import { makeKemKeys, sealToKem } from '../../../../../shared/node/crypto/kem.ts';
import { nativeDhSuite } from '../../../../../shared/node/crypto/native-dh.ts';

const said: SessionTranscript = {
  deviceKey: new Uint8Array(32).fill(1),
  edgeKey: new Uint8Array(32).fill(2),
  sessionKey: new Uint8Array(32).fill(3),
  kemKey: new Uint8Array(kemKeySize).fill(4),
  ciphertext: new Uint8Array(kemCiphertextSize).fill(5),
};
const shared = new Uint8Array(32).fill(6);

test('the derivation never changes: both ends may be of different versions', () => {
  expect(encodeHex(sessionSecret(portableSuite, said, shared))).toBe(
    '26f0522e2f79262ca31d3acd05ccc90a52969571dcf6997dca0271327991a864',
  );
});

test.each(Object.keys(said) as (keyof SessionTranscript)[])('another %s gives another secret', (field) => {
  const other = { ...said, [field]: said[field].with(0, 0xff) };

  expect(sessionSecret(portableSuite, other, shared)).not.toEqual(sessionSecret(portableSuite, said, shared));
});

test('both ends of a real ML-KEM exchange derive the same secret, whatever suite they have', () => {
  const kem = makeKemKeys();
  expect(kem.publicKey).toHaveLength(kemKeySize);
  const sealed = sealToKem(kem.publicKey);
  if (sealed === undefined) throw new Error('the key was refused');

  const { ciphertext, secret } = sealed;
  const both = { ...said, kemKey: kem.publicKey, ciphertext };
  const atEdge = sessionSecret(nativeDhSuite, both, secret);
  const opened = kem.open(ciphertext);

  expect(opened).toEqual(secret);
  expect(sessionSecret(portableSuite, both, opened ?? new Uint8Array(32))).toEqual(atEdge);
});

test('a changed ciphertext gives another secret, a short one none, and bytes that are no key are refused', () => {
  const kem = makeKemKeys();
  const sealed = sealToKem(kem.publicKey);
  if (sealed === undefined) throw new Error('the key was refused');

  expect(kem.open(sealed.ciphertext.with(0, (sealed.ciphertext[0] ?? 0) ^ 1))).not.toEqual(sealed.secret);
  expect(kem.open(sealed.ciphertext.subarray(1))).toBeUndefined();
  expect(sealToKem(new Uint8Array(kemKeySize - 1))).toBeUndefined();
  // Its numbers are past the modulus (FIPS 203, §7.2).
  expect(sealToKem(new Uint8Array(kemKeySize).fill(0xff))).toBeUndefined();
});
