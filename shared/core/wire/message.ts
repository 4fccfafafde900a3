/**
 * The four messages (§5.4): their types, their sizes, and classify, the one place where a
 * datagram's bounds are checked before anything reads it.
 */

import { assert } from '../base/assert.ts';
import { readU32LE } from '../base/bytes.ts';
import type { DropReason } from '../base/drop.ts';
import { cookieReplySize } from './cookie-reply.ts';
import { initiationSize } from './initiation.ts';
import { responseSize } from './response.ts';
import { transportOverhead } from './transport.ts';

/** First four bytes of a message, little-endian: the type and three reserved zero bytes. */
export const messageType = {
  initiation: 1,
  response: 2,
  cookieReply: 3,
  transport: 4,
} as const;

export type MessageType = (typeof messageType)[keyof typeof messageType];

const typeSize = 4;

/**
 * What the `length` bytes at `offset` are. Afterwards the readers of that message need no further
 * checks of bounds. Never allocates.
 */
export function classify(
  bytes: Uint8Array,
  offset: number,
  length: number,
): MessageType | Extract<DropReason, 'too-short' | 'unknown-type' | 'wrong-length'> {
  assert(offset + length <= bytes.length, 'a datagram lies inside its memory');
  if (length < typeSize) return 'too-short';
  switch (readU32LE(bytes, offset)) {
    case messageType.transport:
      return length >= transportOverhead ? messageType.transport : 'too-short';
    case messageType.initiation:
      return length === initiationSize ? messageType.initiation : 'wrong-length';
    case messageType.response:
      return length === responseSize ? messageType.response : 'wrong-length';
    case messageType.cookieReply:
      return length === cookieReplySize ? messageType.cookieReply : 'wrong-length';
    default:
      return 'unknown-type';
  }
}
