/**
 * The preshared key of a session that an attacker with a quantum computer cannot open later: from the shared secret of
 * ML-KEM-768 (FIPS 203) and everything that both ends said. Derivation only; keys are made and encapsulated elsewhere.
 *
 *   transcript = H(label, each field with its length)   secret = KDF1(transcript, shared secret)
 *
 * H and KDF1 are those of WireGuard (§5.4). Every field is bound: another key on either side gives another secret, and
 * then no handshake.
 */

import { assert } from '../base/assert.ts';
import { ascii, concat } from '../base/bytes.ts';
import { kdf1 } from '../crypto/hkdf.ts';
import type { CryptoSuite } from '../crypto/suite.ts';

/** ML-KEM-768: sizes of FIPS 203, table 3. */
export const kemKeySize = 1184;
export const kemCiphertextSize = 1088;
export const kemSecretSize = 32;

const label = 'culvert post-quantum session v1';

export interface SessionTranscript {
  /** Long-lived public keys of both, as WireGuard has them. */
  readonly deviceKey: Uint8Array;
  readonly edgeKey: Uint8Array;
  /** The device's key for this session alone. */
  readonly sessionKey: Uint8Array;
  readonly kemKey: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** 32 bytes, new; the caller wipes it and the shared secret. */
export function sessionSecret(
  suite: CryptoSuite,
  transcript: SessionTranscript,
  sharedSecret: Uint8Array,
): Uint8Array {
  const { deviceKey, edgeKey, sessionKey, kemKey, ciphertext } = transcript;
  assert(sharedSecret.length === kemSecretSize, 'the shared secret has 32 bytes');
  assert(kemKey.length === kemKeySize && ciphertext.length === kemCiphertextSize, 'ML-KEM-768 was used');
  let hash = suite.hash(ascii(label));
  for (const field of [deviceKey, edgeKey, sessionKey, kemKey, ciphertext]) {
    hash = suite.hash(hash, concat(lengthOf(field), field));
  }
  return kdf1(suite, hash, sharedSecret);
}

function lengthOf(field: Uint8Array): Uint8Array {
  return Uint8Array.of(field.length >>> 8, field.length & 0xff);
}
