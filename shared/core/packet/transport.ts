/**
 * Where the transport header of an IP packet begins and which it is, in one number so that the
 * packet path needs no object.
 */

export const protocolIcmp = 1;
export const protocolTcp = 6;
export const protocolUdp = 17;
/** The IPv6 fragment header; here it also stands for a later fragment of either family. */
export const protocolFragment = 44;
export const protocolIcmp6 = 58;

/** Protocol and header position in one number. */
export function packTransport(protocol: number, at: number): number {
  return protocol * 0x1_0000 + at;
}

/** Protocol of a packed transport. */
export function transportProtocol(packed: number): number {
  return packed >>> 16;
}

/** Bytes from the start of the IP header to the transport header. */
export function transportAt(packed: number): number {
  return packed & 0xffff;
}
