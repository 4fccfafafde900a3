/**
 * Cookie reply (§5.4.7): encode, decode, size.
 *
 *   0    type 3, three zero bytes        8    nonce (24)
 *   4    receiver's index (u32)          32   sealed cookie (32)
 */

import { readU32LE, writeU32LE } from '../base/bytes.ts';
import { macSize, tagSize, xnonceSize } from '../crypto/suite.ts';
import { assertRoom, viewField, writeField } from './layout.ts';

export const cookieReplySize = 64;

const type = 3;
const receiverAt = 4;
const nonceAt = 8;
const cookieAt = 32;

export interface CookieReply {
  /** Sender's index of the message that this answers. */
  readonly receiver: number;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
  /** 32 bytes. */
  readonly sealedCookie: Uint8Array;
}

export function writeCookieReply(message: CookieReply, out: Uint8Array, offset: number): void {
  assertRoom(out, offset, cookieReplySize);
  writeU32LE(out, offset, type);
  writeU32LE(out, offset + receiverAt, message.receiver);
  writeField(out, offset + nonceAt, message.nonce, xnonceSize);
  writeField(out, offset + cookieAt, message.sealedCookie, macSize + tagSize);
}

/** Reads a message that classify named a cookie reply. The fields are views into `bytes`. */
export function readCookieReply(bytes: Uint8Array, offset: number): CookieReply {
  assertRoom(bytes, offset, cookieReplySize);
  return {
    receiver: readU32LE(bytes, offset + receiverAt),
    nonce: viewField(bytes, offset + nonceAt, xnonceSize),
    sealedCookie: viewField(bytes, offset + cookieAt, macSize + tagSize),
  };
}
