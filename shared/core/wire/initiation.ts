/**
 * Handshake initiation (§5.4.2): encode, decode, size. The macs at its end belong to admission and
 * are neither read nor written here.
 *
 *   0    type 1, three zero bytes        40   sealed static key (48)
 *   4    sender's index (u32)            88   sealed timestamp (28)
 *   8    ephemeral public key (32)       116  mac1 (16), mac2 (16)
 */

import { readU32LE, writeU32LE } from '../base/bytes.ts';
import { keySize, tagSize } from '../crypto/suite.ts';
import { assertRoom, viewField, writeField } from './layout.ts';
import { timestampSize } from './tai64n.ts';

export const initiationSize = 148;

const type = 1;
const senderAt = 4;
const ephemeralAt = 8;
const staticAt = 40;
const timestampAt = 88;

export interface Initiation {
  /** The initiator's index: the response goes there. */
  readonly sender: number;
  /** 32 bytes. */
  readonly ephemeral: Uint8Array;
  /** 48 bytes. */
  readonly sealedStatic: Uint8Array;
  /** 28 bytes. */
  readonly sealedTimestamp: Uint8Array;
}

/** Writes the 116 bytes before the macs. */
export function writeInitiation(message: Initiation, out: Uint8Array, offset: number): void {
  assertRoom(out, offset, initiationSize);
  writeU32LE(out, offset, type);
  writeU32LE(out, offset + senderAt, message.sender);
  writeField(out, offset + ephemeralAt, message.ephemeral, keySize);
  writeField(out, offset + staticAt, message.sealedStatic, keySize + tagSize);
  writeField(out, offset + timestampAt, message.sealedTimestamp, timestampSize + tagSize);
}

/** Reads a message that classify named an initiation. The fields are views into `bytes`. */
export function readInitiation(bytes: Uint8Array, offset: number): Initiation {
  assertRoom(bytes, offset, initiationSize);
  return {
    sender: readU32LE(bytes, offset + senderAt),
    ephemeral: viewField(bytes, offset + ephemeralAt, keySize),
    sealedStatic: viewField(bytes, offset + staticAt, keySize + tagSize),
    sealedTimestamp: viewField(bytes, offset + timestampAt, timestampSize + tagSize),
  };
}
