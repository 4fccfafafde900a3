/**
 * The two macs at the end of both handshake messages (§5.4.4). mac1 shows that the sender knows
 * our public key, mac2 that it can receive at its address. A message here is a view of exactly its
 * bytes: [ … | mac1 16 | mac2 16 ].
 */

import { equalBytes } from '../base/bytes.ts';
import { type CryptoSuite, macSize } from '../crypto/suite.ts';
import { labelCookie, labelMac1 } from '../noise/labels.ts';

/** Key of mac1 in messages to the owner of `publicKey`. */
export function macKey(suite: CryptoSuite, publicKey: Uint8Array): Uint8Array {
  return suite.hash(labelMac1, publicKey);
}

/** Key of cookie replies from the owner of `publicKey` (§5.4.7). */
export function cookieKey(suite: CryptoSuite, publicKey: Uint8Array): Uint8Array {
  return suite.hash(labelCookie, publicKey);
}

/** View of a message's mac1. */
export function mac1Of(message: Uint8Array): Uint8Array {
  return message.subarray(message.length - 2 * macSize, message.length - macSize);
}

function mac2Of(message: Uint8Array): Uint8Array {
  return message.subarray(message.length - macSize);
}

export function writeMac1(suite: CryptoSuite, key: Uint8Array, message: Uint8Array): void {
  mac1Of(message).set(expectedMac1(suite, key, message));
}

export function checkMac1(suite: CryptoSuite, key: Uint8Array, message: Uint8Array): boolean {
  return equalBytes(expectedMac1(suite, key, message), mac1Of(message));
}

/** Needs mac1 in its place. Without a cookie mac2 is zeros. */
export function writeMac2(suite: CryptoSuite, cookie: Uint8Array | undefined, message: Uint8Array): void {
  if (cookie === undefined) mac2Of(message).fill(0);
  else mac2Of(message).set(expectedMac2(suite, cookie, message));
}

export function checkMac2(suite: CryptoSuite, cookie: Uint8Array, message: Uint8Array): boolean {
  return equalBytes(expectedMac2(suite, cookie, message), mac2Of(message));
}

function expectedMac1(suite: CryptoSuite, key: Uint8Array, message: Uint8Array): Uint8Array {
  return suite.mac(key, message.subarray(0, message.length - 2 * macSize));
}

function expectedMac2(suite: CryptoSuite, cookie: Uint8Array, message: Uint8Array): Uint8Array {
  return suite.mac(cookie, message.subarray(0, message.length - macSize));
}
