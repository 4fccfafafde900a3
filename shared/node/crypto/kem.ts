/** ML-KEM-768 (FIPS 203) of node:crypto, with keys as bytes. Secrets are the caller's to wipe. */

import { createPublicKey, decapsulate, encapsulate, generateKeyPairSync } from 'node:crypto';
import { kemCiphertextSize, kemKeySize } from '../../core/quantum/session-secret.ts';

/** The DER of a public key up to its bytes (RFC 9935: SPKI with the algorithm's identifier). */
const publicHead = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');

export interface KemKeyPair {
  /** 1184 bytes. */
  readonly publicKey: Uint8Array;
  /** Undefined where that is no ciphertext. Whoever sends a wrong one gets another secret (§6.3). */
  open(ciphertext: Uint8Array): Uint8Array | undefined;
}

export function makeKemKeys(): KemKeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ml-kem-768');
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return {
    publicKey: Uint8Array.from(der.subarray(publicHead.length)),
    open: (ciphertext) =>
      ciphertext.length === kemCiphertextSize
        ? Uint8Array.from(decapsulate(privateKey, ciphertext))
        : undefined,
  };
}

export interface KemSealed {
  readonly ciphertext: Uint8Array;
  readonly secret: Uint8Array;
}

/** Undefined where the bytes are no key (§7.2: its numbers are checked). */
export function sealToKem(publicKey: Uint8Array): KemSealed | undefined {
  if (publicKey.length !== kemKeySize) return undefined;
  try {
    const key = createPublicKey({
      key: Buffer.concat([publicHead, publicKey]),
      format: 'der',
      type: 'spki',
    });
    const { ciphertext, sharedKey } = encapsulate(key);
    return { ciphertext: Uint8Array.from(ciphertext), secret: Uint8Array.from(sharedKey) };
  } catch {
    return undefined;
  }
}
