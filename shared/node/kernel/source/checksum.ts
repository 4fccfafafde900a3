/**
 * The internet checksum's sum (RFC 1071) with vectors. AssemblyScript: `usize` is an address in the
 * imported memory. Checks no bounds; the caller does.
 */

/**
 * Sum of `length` bytes (at most 2^18) at any address as a 16-bit ones'-complement number in network
 * order. An odd last byte counts as if a zero followed.
 */
export function sum(at: usize, length: i32): i32 {
  const end = at + length;
  // 16-bit words were read little-endian, which only swaps the two bytes of the sum (RFC 1071 §2 B).
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  for (; at + 64 <= end; at += 64) {
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16)));
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 32)));
    b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 48)));
  }
  for (; at + 16 <= end; at += 16) {
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
  }
  a = i32x4.add(a, b);
  let total: u64 = i32x4.extract_lane(a, 0) as u32;
  total += i32x4.extract_lane(a, 1) as u32;
  total += i32x4.extract_lane(a, 2) as u32;
  total += i32x4.extract_lane(a, 3) as u32;
  for (; at + 4 <= end; at += 4) total += load<u32>(at);
  if (at + 2 <= end) {
    total += load<u16>(at);
    at += 2;
  }
  if (at < end) total += load<u8>(at);
  total = (total & 0xffff) + ((total >> 16) & 0xffff) + (total >> 32);
  let folded = ((total & 0xffff) + (total >> 16)) as u32;
  folded = (folded & 0xffff) + (folded >> 16);
  return ((folded & 0xff) << 8) | (folded >> 8);
}
