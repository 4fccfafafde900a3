/**
 * Handshake response (§5.4.3): encode, decode, size. The macs at its end belong to admission and
 * are neither read nor written here.
 *
 *   0    type 2, three zero bytes        12   ephemeral public key (32)
 *   4    sender's index (u32)            44   sealed nothing (16)
 *   8    receiver's index (u32)          60   mac1 (16), mac2 (16)
 */

import { readU32LE, writeU32LE } from '../base/bytes.ts';
import { keySize, tagSize } from '../crypto/suite.ts';
import { assertRoom, viewField, writeField } from './layout.ts';

export const responseSize = 92;

const type = 2;
const senderAt = 4;
const receiverAt = 8;
const ephemeralAt = 12;
const nothingAt = 44;

export interface Response {
  /** The responder's index: data goes there. */
  readonly sender: number;
  /** The initiator's index, from the initiation. */
  readonly receiver: number;
  /** 32 bytes. */
  readonly ephemeral: Uint8Array;
  /** 16 bytes: the tag of an empty message. */
  readonly sealedNothing: Uint8Array;
}

/** Writes the 60 bytes before the macs. */
export function writeResponse(message: Response, out: Uint8Array, offset: number): void {
  assertRoom(out, offset, responseSize);
  writeU32LE(out, offset, type);
  writeU32LE(out, offset + senderAt, message.sender);
  writeU32LE(out, offset + receiverAt, message.receiver);
  writeField(out, offset + ephemeralAt, message.ephemeral, keySize);
  writeField(out, offset + nothingAt, message.sealedNothing, tagSize);
}

/** Reads a message that classify named a response. The fields are views into `bytes`. */
export function readResponse(bytes: Uint8Array, offset: number): Response {
  assertRoom(bytes, offset, responseSize);
  return {
    sender: readU32LE(bytes, offset + senderAt),
    receiver: readU32LE(bytes, offset + receiverAt),
    ephemeral: viewField(bytes, offset + ephemeralAt, keySize),
    sealedNothing: viewField(bytes, offset + nothingAt, tagSize),
  };
}
