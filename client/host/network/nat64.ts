/**
 * Networks with IPv6 alone that reach IPv4 by translation (RFC 6146): the prefix, found in what they answer for a name
 * that has IPv4 addresses only (RFC 7050), and an IPv4 address behind it (RFC 6052 §2.2). Pure.
 */

/** RFC 7050 §3. */
export const ipv4OnlyName = 'ipv4only.arpa';
/** Its addresses, which everybody knows (§8.2). */
const wellKnown: readonly (readonly number[])[] = [
  [192, 0, 0, 170],
  [192, 0, 0, 171],
];

export interface TranslationPrefix {
  /** 16 bytes; those behind the prefix are zero. */
  readonly address: Uint8Array;
  readonly bits: PrefixLength;
}

type PrefixLength = 96 | 64 | 56 | 48 | 40 | 32;

const lengths: readonly PrefixLength[] = [96, 64, 56, 48, 40, 32];

/** The prefix in an IPv6 address of `ipv4OnlyName`; undefined where none of its places holds the known address. */
export function prefixIn(address: Uint8Array): TranslationPrefix | undefined {
  if (address.length !== 16) return undefined;
  for (const bits of lengths) {
    const places = placesOf(bits);
    if (!wellKnown.some((known) => known.every((byte, i) => address[places[i] ?? 0] === byte))) continue;
    const prefix = new Uint8Array(16);
    prefix.set(address.subarray(0, bits / 8));
    return { address: prefix, bits };
  }
  return undefined;
}

/** `v4` (4 bytes) as it is reached behind the prefix. */
export function behind({ address, bits }: TranslationPrefix, v4: Uint8Array): Uint8Array {
  const found = address.slice();
  for (const [i, place] of placesOf(bits).entries()) found[place] = v4[i] ?? 0;
  return found;
}

/** Where the four bytes stand; byte 8 is always zero. */
function placesOf(bits: PrefixLength): readonly number[] {
  const places: number[] = [];
  for (let at = bits / 8; places.length < 4; at++) if (at !== 8) places.push(at);
  return places;
}
