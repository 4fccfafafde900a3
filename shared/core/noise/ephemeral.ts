/** The key pair that a handshake uses once (§5.4.2, §5.4.3), drawn when it is needed or ahead. */

import type { Entropy } from '../base/ports.ts';
import { type CryptoSuite, keySize } from '../crypto/suite.ts';

export interface KeyPair {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Belongs to the handshake that it is given to, which wipes it. */
export interface EphemeralKey extends KeyPair {
  /** X25519 with the static key of the other side; undefined where that is of low order. */
  readonly shared: Uint8Array | undefined;
}

export function drawKeyPair(suite: CryptoSuite, entropy: Entropy): KeyPair {
  const secretKey = new Uint8Array(keySize);
  entropy.fill(secretKey);
  return { secretKey, publicKey: suite.publicKey(secretKey) };
}

export function drawEphemeral(suite: CryptoSuite, entropy: Entropy, remoteStatic: Uint8Array): EphemeralKey {
  const pair = drawKeyPair(suite, entropy);
  return { ...pair, shared: suite.dh(pair.secretKey, remoteStatic) };
}
