/**
 * Transport data (§5.4.6): header and padding. On the path of every packet: nothing here allocates
 * or checks bounds; classify did.
 *
 *   0    type 4, three zero bytes        8    counter (u64)
 *   4    receiver's index (u32)          16   sealed packet, then its tag (16)
 */

import { readU32LE, readU64LE, writeU32LE, writeU64LE } from '../base/bytes.ts';

export const transportHeaderSize = 16;
/** Header and tag: what a datagram has more than the padded packet in it. A keepalive is only this. */
export const transportOverhead = 32;

const type = 4;
const receiverAt = 4;
const counterAt = 8;
/** §5.4.6: a packet is padded with zeros to a multiple of 16 bytes. */
const paddingUnit = 16;

/** `counter`: a whole number from 0 to 2^53 - 1. */
export function writeTransportHeader(
  bytes: Uint8Array,
  offset: number,
  receiver: number,
  counter: number,
): void {
  writeU32LE(bytes, offset, type);
  writeU32LE(bytes, offset + receiverAt, receiver);
  writeU64LE(bytes, offset + counterAt, counter);
}

/** Index of the receiver's session. */
export function readTransportIndex(bytes: Uint8Array, offset: number): number {
  return readU32LE(bytes, offset + receiverAt);
}

/**
 * The counter, or -1 where it is greater than 2^53 - 1.
 *
 * Deviation: the paper's counters reach 2^64. Ours are JS numbers; such a datagram is dropped as
 * 'counter-limit'. No session lives long enough to count that far.
 */
export function readTransportCounter(bytes: Uint8Array, offset: number): number {
  return readU64LE(bytes, offset + counterAt);
}

/**
 * Length of a packet with its padding. Padding never takes a packet past `mtu`; a packet that is
 * longer already is not padded.
 */
export function paddedLength(length: number, mtu: number): number {
  const padded = Math.ceil(length / paddingUnit) * paddingUnit;
  return padded <= mtu ? padded : Math.max(length, mtu);
}
