/**
 * What `wg genkey`, `wg pubkey` and `wg genpsk` do, without running them (RFC 7748 §5 and §6.1).
 * Keys never leave through arguments or files here.
 */

import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { assert } from '../../core/base/assert.ts';

const keySize = 32;

/** The DER of a PKCS #8 X25519 key, up to its 32 bytes (RFC 8410 §7). */
const pkcs8Head = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** 32 new bytes, clamped (RFC 7748 §5). The caller owns and wipes them. */
export function generatePrivateKey(): Uint8Array {
  const key = new Uint8Array(randomBytes(keySize));
  key[0] = (key[0] ?? 0) & 248;
  key[31] = ((key[31] ?? 0) & 127) | 64;
  return key;
}

/** 32 new bytes. */
export function generatePresharedKey(): Uint8Array {
  return new Uint8Array(randomBytes(keySize));
}

/** The public key of a private one, clamped or not. */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  assert(privateKey.length === keySize, 'a private key has 32 bytes');
  const der = Buffer.concat([pkcs8Head, privateKey]);
  try {
    const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
    return new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(-keySize));
  } finally {
    der.fill(0);
  }
}
