/** What all codecs of messages share: taking a field out of a message and putting one in. */

import { assert } from '../base/assert.ts';

/** Asserts that a message of `size` bytes has its place at `offset`. Hostile input was classified before. */
export function assertRoom(bytes: Uint8Array, offset: number, size: number): void {
  assert(offset >= 0 && offset + size <= bytes.length, 'a message lies inside its memory');
}

/** A view of `size` bytes; borrowed, changes with the message. */
export function viewField(bytes: Uint8Array, offset: number, size: number): Uint8Array {
  return bytes.subarray(offset, offset + size);
}

/** Copies a field of exactly `size` bytes into a message. */
export function writeField(bytes: Uint8Array, offset: number, field: Uint8Array, size: number): void {
  assert(field.length === size, 'a field has its size');
  bytes.set(field, offset);
}
