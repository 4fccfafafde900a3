/**
 * HMAC and HKDF (RFC 5869) over the suite's BLAKE2s, as WireGuard §5.4 uses them: KDF1, KDF2, KDF3.
 * Outputs are new arrays; the caller wipes them.
 */

import { assert } from '../base/assert.ts';
import { wipe } from '../base/bytes.ts';
import { type CryptoSuite, hashSize } from './suite.ts';

/** BLAKE2s hashes in blocks of 64 bytes; HMAC pads its key to one block (RFC 2104). */
const blockSize = 64;
const innerPad = 0x36;
const outerPad = 0x5c;

/** HMAC-BLAKE2s. Key: at most 64 bytes. */
export function hmac(suite: CryptoSuite, key: Uint8Array, message: Uint8Array): Uint8Array {
  assert(key.length <= blockSize, 'an HMAC key fits a block');
  const block = new Uint8Array(blockSize);
  block.set(key);
  for (let i = 0; i < blockSize; i++) block[i]! ^= innerPad;
  const inner = suite.hash(block, message);
  for (let i = 0; i < blockSize; i++) block[i]! ^= innerPad ^ outerPad;
  const outer = suite.hash(block, inner);
  wipe(block);
  wipe(inner);
  return outer;
}

/** One output of 32 bytes. */
export function kdf1(suite: CryptoSuite, chainingKey: Uint8Array, input: Uint8Array): Uint8Array {
  const secret = hmac(suite, chainingKey, input);
  const first = expand(suite, secret, undefined, 1);
  wipe(secret);
  return first;
}

/** Two outputs of 32 bytes each. */
export function kdf2(
  suite: CryptoSuite,
  chainingKey: Uint8Array,
  input: Uint8Array,
): readonly [Uint8Array, Uint8Array] {
  const secret = hmac(suite, chainingKey, input);
  const first = expand(suite, secret, undefined, 1);
  const second = expand(suite, secret, first, 2);
  wipe(secret);
  return [first, second];
}

/** Three outputs of 32 bytes each. */
export function kdf3(
  suite: CryptoSuite,
  chainingKey: Uint8Array,
  input: Uint8Array,
): readonly [Uint8Array, Uint8Array, Uint8Array] {
  const secret = hmac(suite, chainingKey, input);
  const first = expand(suite, secret, undefined, 1);
  const second = expand(suite, secret, first, 2);
  const third = expand(suite, secret, second, 3);
  wipe(secret);
  return [first, second, third];
}

/** HMAC of the output before (none for the first) and the number of this one. */
function expand(
  suite: CryptoSuite,
  secret: Uint8Array,
  before: Uint8Array | undefined,
  number: number,
): Uint8Array {
  const message = new Uint8Array((before === undefined ? 0 : hashSize) + 1);
  if (before !== undefined) message.set(before);
  message[message.length - 1] = number;
  const output = hmac(suite, secret, message);
  wipe(message);
  return output;
}
