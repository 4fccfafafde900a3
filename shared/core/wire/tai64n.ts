/**
 * TAI64N timestamps (§5.1): twelve bytes, big-endian, that grow with time. A responder takes only
 * an initiation with a greater timestamp than the peer's last, so ours must always grow.
 *
 *   0    2^62 + 10 + Unix seconds (u64)        8    nanoseconds (u32)
 */

import { readU32BE, writeU32BE } from '../base/bytes.ts';
import { secondMs, type UnixMs } from '../base/time.ts';

export const timestampSize = 12;

const secondsHighBase = 0x4000_0000;
/** TAI was ten seconds ahead of UTC when Unix time began. Later leap seconds are left out, as everywhere. */
const taiAheadSeconds = 10;
const nanosecondsPerMs = 1_000_000;
const nanosecondsPerSecond = 1_000_000_000;
/** About 17 ms. */
const granuleNs = 2 ** 24;

/**
 * The timestamp of a moment.
 *
 * Deviation: nanoseconds are rounded down to whole granules of 2^24, so that a passer-on of our
 * clock learns nothing useful for timing attacks. Consequence: the next handshake with the same peer
 * in the same granule needs nextTimestamp.
 */
export function timestampOf(now: UnixMs): Uint8Array {
  const seconds = Math.floor(now / secondMs);
  const nanoseconds = Math.floor(now - seconds * secondMs) * nanosecondsPerMs;
  return encode(seconds + taiAheadSeconds, nanoseconds - (nanoseconds % granuleNs));
}

/**
 * The timestamp of `now`, or the granule after `last` where the clock stood still or went back: a
 * clock that is set right while we run must not shut us out. `last` is the last one sent to this
 * peer (one for all peers would run ahead of the clock).
 */
export function nextTimestamp(last: Uint8Array | undefined, now: UnixMs): Uint8Array {
  const timestamp = timestampOf(now);
  if (last === undefined || compareTimestamps(timestamp, last) > 0) return timestamp;
  const nanoseconds = readU32BE(last, 8) + granuleNs;
  const seconds = (readU32BE(last, 0) - secondsHighBase) * 2 ** 32 + readU32BE(last, 4);
  return nanoseconds < nanosecondsPerSecond ? encode(seconds, nanoseconds) : encode(seconds + 1, 0);
}

/** Negative, zero or positive as `a` is before, the same as or after `b`. Not in constant time: nothing secret. */
export function compareTimestamps(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < timestampSize; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function encode(seconds: number, nanoseconds: number): Uint8Array {
  const timestamp = new Uint8Array(timestampSize);
  writeU32BE(timestamp, 0, secondsHighBase + Math.floor(seconds / 2 ** 32));
  writeU32BE(timestamp, 4, seconds);
  writeU32BE(timestamp, 8, nanoseconds);
  return timestamp;
}
