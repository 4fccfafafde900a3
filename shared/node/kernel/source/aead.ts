/**
 * ChaCha20-Poly1305 (RFC 8439) in place, with nonces of four zero bytes and a counter. AssemblyScript:
 * `usize` is an address in the imported memory. Constant time: branches and addresses depend on
 * lengths only. Nothing here checks bounds; shared/node/crypto/simd.ts does, before it calls.
 */

import { mix, stream } from './chacha20.ts';
import { blockAt, keyStream } from './context.ts';
import { authenticatePadded, finish, start } from './poly1305.ts';

export { contextBytes } from './context.ts';

/** Of the first four blocks of key stream the first is the key of Poly1305, the others encrypt. */
const firstRun = 192;
const run = 256;

/** Seals `length` bytes at `at`, writes the tag behind them. `additional` may have length 0. */
export function seal(
  context: usize,
  at: usize,
  length: i32,
  counter: f64,
  additional: usize,
  additionalLength: i32,
): void {
  const nonce = counter as u64;
  begin(context, nonce, additional, additionalLength);
  // What is sealed already and not authenticated yet lies from `fresh` to `at`.
  let fresh = at;
  let left = length - min(length, firstRun);
  mix(at, context + keyStream + 64, length - left);
  at += length - left;
  let block: u32 = 4;
  for (; left >= run; left -= run) {
    stream(context, block, nonce, at, fresh, ((at - fresh) as i32) >> 4);
    fresh = at;
    at += run;
    block += 4;
  }
  if (left > 0) {
    stream(context, block, nonce, 0, fresh, ((at - fresh) as i32) >> 4);
    mix(at, context + keyStream, left);
    fresh = at;
    at += left;
  }
  authenticatePadded(context, fresh, (at - fresh) as i32);
  finish(context, additionalLength, length);
  v128.store(at, v128.load(context, blockAt));
}

/** Opens `length` bytes at `at` with the tag behind them. 0 where the tag is wrong: the bytes are garbage then. */
export function open(
  context: usize,
  at: usize,
  length: i32,
  counter: f64,
  additional: usize,
  additionalLength: i32,
): i32 {
  const nonce = counter as u64;
  begin(context, nonce, additional, additionalLength);
  let left = length - min(length, firstRun);
  authenticatePadded(context, at, length - left);
  mix(at, context + keyStream + 64, length - left);
  at += length - left;
  let block: u32 = 4;
  for (; left >= run; left -= run) {
    stream(context, block, nonce, at, at, run >> 4);
    at += run;
    block += 4;
  }
  if (left > 0) {
    const whole = left & ~15;
    stream(context, block, nonce, 0, at, whole >> 4);
    authenticatePadded(context, at + whole, left - whole);
    mix(at, context + keyStream, left);
    at += left;
  }
  finish(context, additionalLength, length);
  const first = load<u64>(context, blockAt) ^ load<u64>(at);
  const second = load<u64>(context, blockAt + 8) ^ load<u64>(at, 8);
  return ((first | second) == 0) as i32;
}

/** Blocks 0 to 3 of the key stream, the one-time key, the additional bytes. */
function begin(context: usize, nonce: u64, additional: usize, additionalLength: i32): void {
  stream(context, 0, nonce, 0, 0, 0);
  start(context);
  if (additionalLength > 0) authenticatePadded(context, additional, additionalLength);
}
