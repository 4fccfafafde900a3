/**
 * A CryptoSuite for the main thread: the portable one with the X25519 of node:crypto (RFC 7748), a hundred
 * times faster. For enrolment and the like; packets have their own suites, which need memory and a start.
 */

import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { assert } from '../../core/base/assert.ts';
import { isZero } from '../../core/base/bytes.ts';
import { portableSuite } from '../../core/crypto/portable.ts';
import { type CryptoSuite, keySize } from '../../core/crypto/suite.ts';

/** The DER of an X25519 key up to its 32 bytes: PKCS #8 and SPKI (RFC 8410). */
const privateHead = Buffer.from('302e020100300506032b656e04220420', 'hex');
const publicHead = Buffer.from('302a300506032b656e032100', 'hex');

export const nativeDhSuite: CryptoSuite = {
  ...portableSuite,
  name: 'native-dh',

  publicKey(secretKey) {
    const key = createPublicKey(privateKeyOf(secretKey));
    return Uint8Array.from(key.export({ format: 'der', type: 'spki' }).subarray(-keySize));
  },

  dh(secretKey, publicKey) {
    const der = Buffer.concat([publicHead, publicKey]);
    const other = createPublicKey({ key: der, format: 'der', type: 'spki' });
    const own = privateKeyOf(secretKey);
    try {
      const shared = Uint8Array.from(diffieHellman({ privateKey: own, publicKey: other }));
      return isZero(shared) ? undefined : shared;
    } catch {
      return undefined; // OpenSSL refuses public keys of low order itself.
    }
  },
};

function privateKeyOf(secretKey: Uint8Array): KeyObject {
  assert(secretKey.length === keySize, 'a secret key has 32 bytes');
  const der = Buffer.concat([privateHead, secretKey]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}
