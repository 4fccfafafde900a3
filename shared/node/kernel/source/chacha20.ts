/**
 * ChaCha20 (RFC 8439 §2.4), four blocks at a time, with the work of Poly1305 woven in. AssemblyScript.
 * No branch and no address depends on a secret.
 */

import { factorAt, keyStream, low, sumAt, zeros } from './context.ts';

/**
 * Four blocks of key stream (RFC 8439 §2.3), one per lane: XORed onto 256 bytes at `to`, or stored in
 * the context where `to` is 0. Meanwhile up to 20 blocks from `from` on are authenticated, two in each
 * double round: multiplications and vectors use different units of the processor.
 */
export function stream(context: usize, block: u32, nonce: u64, to: usize, from: usize, blocks: i32): void {
  const counter = i32x4.add(i32x4.splat(block), i32x4(0, 1, 2, 3));
  const nonceLow = i32x4.splat(nonce as i32);
  const nonceHigh = i32x4.splat((nonce >> 32) as i32);
  let x0 = i32x4.splat(0x6170_7865);
  let x1 = i32x4.splat(0x3320_646e);
  let x2 = i32x4.splat(0x7962_2d32);
  let x3 = i32x4.splat(0x6b20_6574);
  let x4 = v128.load_splat<u32>(context, 0);
  let x5 = v128.load_splat<u32>(context, 4);
  let x6 = v128.load_splat<u32>(context, 8);
  let x7 = v128.load_splat<u32>(context, 12);
  let x8 = v128.load_splat<u32>(context, 16);
  let x9 = v128.load_splat<u32>(context, 20);
  let x10 = v128.load_splat<u32>(context, 24);
  let x11 = v128.load_splat<u32>(context, 28);
  let x12 = counter;
  let x13 = i32x4.splat(0);
  let x14 = nonceLow;
  let x15 = nonceHigh;
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
  for (let i = 0; i < 10; i++) {
    // Columns.
    x0 = i32x4.add(x0, x4);
    x12 = rotate16(v128.xor(x12, x0));
    x1 = i32x4.add(x1, x5);
    x13 = rotate16(v128.xor(x13, x1));
    x2 = i32x4.add(x2, x6);
    x14 = rotate16(v128.xor(x14, x2));
    x3 = i32x4.add(x3, x7);
    x15 = rotate16(v128.xor(x15, x3));
    x8 = i32x4.add(x8, x12);
    x4 = rotate12(v128.xor(x4, x8));
    x9 = i32x4.add(x9, x13);
    x5 = rotate12(v128.xor(x5, x9));
    x10 = i32x4.add(x10, x14);
    x6 = rotate12(v128.xor(x6, x10));
    x11 = i32x4.add(x11, x15);
    x7 = rotate12(v128.xor(x7, x11));
    x0 = i32x4.add(x0, x4);
    x12 = rotate8(v128.xor(x12, x0));
    x1 = i32x4.add(x1, x5);
    x13 = rotate8(v128.xor(x13, x1));
    x2 = i32x4.add(x2, x6);
    x14 = rotate8(v128.xor(x14, x2));
    x3 = i32x4.add(x3, x7);
    x15 = rotate8(v128.xor(x15, x3));
    x8 = i32x4.add(x8, x12);
    x4 = rotate7(v128.xor(x4, x8));
    x9 = i32x4.add(x9, x13);
    x5 = rotate7(v128.xor(x5, x9));
    x10 = i32x4.add(x10, x14);
    x6 = rotate7(v128.xor(x6, x10));
    x11 = i32x4.add(x11, x15);
    x7 = rotate7(v128.xor(x7, x11));
    // Diagonals.
    x0 = i32x4.add(x0, x5);
    x15 = rotate16(v128.xor(x15, x0));
    x1 = i32x4.add(x1, x6);
    x12 = rotate16(v128.xor(x12, x1));
    x2 = i32x4.add(x2, x7);
    x13 = rotate16(v128.xor(x13, x2));
    x3 = i32x4.add(x3, x4);
    x14 = rotate16(v128.xor(x14, x3));
    x10 = i32x4.add(x10, x15);
    x5 = rotate12(v128.xor(x5, x10));
    x11 = i32x4.add(x11, x12);
    x6 = rotate12(v128.xor(x6, x11));
    x8 = i32x4.add(x8, x13);
    x7 = rotate12(v128.xor(x7, x8));
    x9 = i32x4.add(x9, x14);
    x4 = rotate12(v128.xor(x4, x9));
    x0 = i32x4.add(x0, x5);
    x15 = rotate8(v128.xor(x15, x0));
    x1 = i32x4.add(x1, x6);
    x12 = rotate8(v128.xor(x12, x1));
    x2 = i32x4.add(x2, x7);
    x13 = rotate8(v128.xor(x13, x2));
    x3 = i32x4.add(x3, x4);
    x14 = rotate8(v128.xor(x14, x3));
    x10 = i32x4.add(x10, x15);
    x5 = rotate7(v128.xor(x5, x10));
    x11 = i32x4.add(x11, x12);
    x6 = rotate7(v128.xor(x6, x11));
    x8 = i32x4.add(x8, x13);
    x7 = rotate7(v128.xor(x7, x8));
    x9 = i32x4.add(x9, x14);
    x4 = rotate7(v128.xor(x4, x9));
    const pause = min(from + 32, end);
    // As in `authenticate`: a function cannot return five words.
    while (from < pause) {
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
  }
  store<u64>(context, h0, sumAt);
  store<u64>(context, h1, sumAt + 8);
  store<u64>(context, h2, sumAt + 16);
  store<u64>(context, h3, sumAt + 24);
  store<u64>(context, h4, sumAt + 32);
  x0 = i32x4.add(x0, i32x4.splat(0x6170_7865));
  x1 = i32x4.add(x1, i32x4.splat(0x3320_646e));
  x2 = i32x4.add(x2, i32x4.splat(0x7962_2d32));
  x3 = i32x4.add(x3, i32x4.splat(0x6b20_6574));
  x4 = i32x4.add(x4, v128.load_splat<u32>(context, 0));
  x5 = i32x4.add(x5, v128.load_splat<u32>(context, 4));
  x6 = i32x4.add(x6, v128.load_splat<u32>(context, 8));
  x7 = i32x4.add(x7, v128.load_splat<u32>(context, 12));
  x8 = i32x4.add(x8, v128.load_splat<u32>(context, 16));
  x9 = i32x4.add(x9, v128.load_splat<u32>(context, 20));
  x10 = i32x4.add(x10, v128.load_splat<u32>(context, 24));
  x11 = i32x4.add(x11, v128.load_splat<u32>(context, 28));
  x12 = i32x4.add(x12, counter);
  x14 = i32x4.add(x14, nonceLow);
  x15 = i32x4.add(x15, nonceHigh);
  let plain = to;
  if (to == 0) {
    plain = context + zeros;
    to = context + keyStream;
  }
  transpose(plain, to, x0, x1, x2, x3);
  transpose(plain + 16, to + 16, x4, x5, x6, x7);
  transpose(plain + 32, to + 32, x8, x9, x10, x11);
  transpose(plain + 48, to + 48, x12, x13, x14, x15);
}

/** XORs `length` bytes (up to 256) of key stream onto `to`. */
export function mix(to: usize, from: usize, length: i32): void {
  for (; length >= 16; length -= 16) {
    v128.store(to, v128.xor(v128.load(to), v128.load(from)));
    to += 16;
    from += 16;
  }
  if (length & 8) {
    store<u64>(to, load<u64>(to) ^ load<u64>(from));
    to += 8;
    from += 8;
  }
  if (length & 4) {
    store<u32>(to, load<u32>(to) ^ load<u32>(from));
    to += 4;
    from += 4;
  }
  if (length & 2) {
    store<u16>(to, load<u16>(to) ^ load<u16>(from));
    to += 2;
    from += 2;
  }
  if (length & 1) store<u8>(to, load<u8>(to) ^ load<u8>(from));
}

/** XORs four words of each of four blocks onto `plain`, into `to`: `a` to `d` hold one word of every block. */
function transpose(plain: usize, to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab01 = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const ab23 = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cd01 = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const cd23 = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(to, v128.xor(v128.load(plain), i64x2.shuffle(ab01, cd01, 0, 2)));
  v128.store(to, v128.xor(v128.load(plain, 64), i64x2.shuffle(ab01, cd01, 1, 3)), 64);
  v128.store(to, v128.xor(v128.load(plain, 128), i64x2.shuffle(ab23, cd23, 0, 2)), 128);
  v128.store(to, v128.xor(v128.load(plain, 192), i64x2.shuffle(ab23, cd23, 1, 3)), 192);
}

function rotate16(x: v128): v128 {
  return i16x8.shuffle(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
}

function rotate12(x: v128): v128 {
  return v128.or(i32x4.shl(x, 12), i32x4.shr_u(x, 20));
}

/** By shifts: V8 builds the constant of a shuffle by bytes anew each time. */
function rotate8(x: v128): v128 {
  return v128.or(i32x4.shl(x, 8), i32x4.shr_u(x, 24));
}

function rotate7(x: v128): v128 {
  return v128.or(i32x4.shl(x, 7), i32x4.shr_u(x, 25));
}
