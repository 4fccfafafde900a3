/**
 * A context: memory of the caller, with the key and room for one packet's work. Addresses relative to
 * it, in bytes. AssemblyScript.
 */

/** Bytes of a context. The key (32 bytes) comes first and is the caller's to write; all else begins as zeros. */
export const contextBytes: i32 = 656;

export const keyStream: usize = 32;
/** Accumulator of Poly1305: four words of 32 bits, not carried, and what is above them; each in 64 bits. */
export const sumAt: usize = 288;
/** Its clamped multiplier, four words, each in 64 bits. */
export const factorAt: usize = 328;
/** What it adds at the end, 16 bytes. */
export const padAt: usize = 360;
/** One block: the filled-up last one, the lengths, the tag. */
export const blockAt: usize = 384;
/** 256 bytes that stay zero: key stream alone is zeros encrypted. */
export const zeros: usize = 400;

export const low: u64 = 0xffff_ffff;
