/**
 * Poly1305 (RFC 8439 §2.5) with words of 32 bits. AssemblyScript. No branch and no address depends on
 * a secret.
 */

import { blockAt, factorAt, keyStream, low, padAt, sumAt } from './context.ts';

/** Takes the one-time key from the first block of key stream (RFC 8439 §2.6). */
export function start(context: usize): void {
  for (let i: usize = 0; i < 40; i += 8) store<u64>(context + i, 0, sumAt);
  store<u64>(context, load<u32>(context, keyStream) & 0x0fff_ffff, factorAt);
  store<u64>(context, load<u32>(context, keyStream + 4) & 0x0fff_fffc, factorAt + 8);
  store<u64>(context, load<u32>(context, keyStream + 8) & 0x0fff_fffc, factorAt + 16);
  store<u64>(context, load<u32>(context, keyStream + 12) & 0x0fff_fffc, factorAt + 24);
  store<u64>(context, load<u64>(context, keyStream + 16), padAt);
  store<u64>(context, load<u64>(context, keyStream + 24), padAt + 8);
}

/**
 * Adds blocks of 16 bytes to the sum of Poly1305 (RFC 8439 §2.5): sum = (sum + block) * factor mod
 * 2^130 - 5. Words are carried once per block only: h0 stays below 3.3 * 2^32 with the block added,
 * h1 to h3 below 3 * 2^32, h4 below 5; factors are below 2^28, so that each product sum is below 2^64.
 */
export function authenticate(context: usize, from: usize, blocks: i32): void {
  let h0 = load<u64>(context, sumAt);
  let h1 = load<u64>(context, sumAt + 8);
  let h2 = load<u64>(context, sumAt + 16);
  let h3 = load<u64>(context, sumAt + 24);
  let h4 = load<u64>(context, sumAt + 32);
  const r0 = load<u64>(context, factorAt);
  const r1 = load<u64>(context, factorAt + 8);
  const r2 = load<u64>(context, factorAt + 16);
  const r3 = load<u64>(context, factorAt + 24);
  const s1 = r1 + (r1 >> 2);
  const s2 = r2 + (r2 >> 2);
  const s3 = r3 + (r3 >> 2);
  const end = from + ((blocks as usize) << 4);
  while (from < end) {
    h0 += load<u32>(from) as u64;
    h1 += load<u32>(from, 4) as u64;
    h2 += load<u32>(from, 8) as u64;
    h3 += load<u32>(from, 12) as u64;
    h4 += 1;
    const d0 = h0 * r0 + h1 * s3 + (h2 * s2 + h3 * s1);
    const d1 = h0 * r1 + h1 * r0 + (h2 * s3 + h3 * s2) + h4 * s1;
    const d2 = h0 * r2 + h1 * r1 + (h2 * r0 + h3 * s3) + h4 * s2;
    const d3 = h0 * r3 + h1 * r2 + (h2 * r1 + h3 * r0) + h4 * s3;
    h4 = h4 * r0 + (d3 >> 32);
    h3 = (d3 & low) + (d2 >> 32);
    h2 = (d2 & low) + (d1 >> 32);
    h1 = (d1 & low) + (d0 >> 32);
    h0 = (d0 & low) + (h4 >> 2) * 5;
    h4 &= 3;
    from += 16;
  }
  store<u64>(context, h0, sumAt);
  store<u64>(context, h1, sumAt + 8);
  store<u64>(context, h2, sumAt + 16);
  store<u64>(context, h3, sumAt + 24);
  store<u64>(context, h4, sumAt + 32);
}

/** Authenticates `length` bytes, the last block filled up with zeros. */
export function authenticatePadded(context: usize, from: usize, length: i32): void {
  if (length >= 16) authenticate(context, from, length >> 4);
  if ((length & 15) == 0) return;
  from += length & ~15;
  let to = context + blockAt;
  v128.store(to, i32x4.splat(0));
  if (length & 8) {
    store<u64>(to, load<u64>(from));
    from += 8;
    to += 8;
  }
  if (length & 4) {
    store<u32>(to, load<u32>(from));
    from += 4;
    to += 4;
  }
  if (length & 2) {
    store<u16>(to, load<u16>(from));
    from += 2;
    to += 2;
  }
  if (length & 1) store<u8>(to, load<u8>(from));
  authenticate(context, context + blockAt, 1);
}

/** The lengths (RFC 8439 §2.8); then sum mod 2^130 - 5, plus pad, mod 2^128, to `blockAt`. */
export function finish(context: usize, additionalLength: i32, length: i32): void {
  store<u64>(context, additionalLength as u64, blockAt);
  store<u64>(context, length as u64, blockAt + 8);
  authenticate(context, context + blockAt, 1);
  let h0 = load<u64>(context, sumAt);
  let h1 = load<u64>(context, sumAt + 8);
  let h2 = load<u64>(context, sumAt + 16);
  let h3 = load<u64>(context, sumAt + 24);
  let h4 = load<u64>(context, sumAt + 32);
  // Twice, since the first pass may carry out of the top word again.
  for (let pass = 0; pass < 2; pass++) {
    h1 += h0 >> 32;
    h2 += h1 >> 32;
    h3 += h2 >> 32;
    h4 += h3 >> 32;
    h0 = (h0 & low) + (h4 >> 2) * 5;
    h1 &= low;
    h2 &= low;
    h3 &= low;
    h4 &= 3;
  }
  // Subtracts 2^130 - 5 where the sum is not smaller: adding 5 carries into bit 130 then.
  const g0 = h0 + 5;
  const g1 = h1 + (g0 >> 32);
  const g2 = h2 + (g1 >> 32);
  const g3 = h3 + (g2 >> 32);
  const take: u64 = 0 - ((h4 + (g3 >> 32)) >> 2);
  h0 = (h0 & ~take) | (g0 & low & take);
  h1 = (h1 & ~take) | (g1 & low & take);
  h2 = (h2 & ~take) | (g2 & low & take);
  h3 = (h3 & ~take) | (g3 & low & take);
  h0 += load<u32>(context, padAt) as u64;
  h1 += (load<u32>(context, padAt + 4) as u64) + (h0 >> 32);
  h2 += (load<u32>(context, padAt + 8) as u64) + (h1 >> 32);
  h3 += (load<u32>(context, padAt + 12) as u64) + (h2 >> 32);
  store<u32>(context, h0 as u32, blockAt);
  store<u32>(context, h1 as u32, blockAt + 4);
  store<u32>(context, h2 as u32, blockAt + 8);
  store<u32>(context, h3 as u32, blockAt + 12);
}
