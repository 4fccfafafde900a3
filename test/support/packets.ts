/** Makers of IP packets with right checksums, and an independent, naive checksum to judge by. */

/** The internet checksum of RFC 1071, byte by byte. */
export function naiveChecksum(bytes: Iterable<number>): number {
  let sum = 0;
  let high = true;
  for (const byte of bytes) {
    sum += high ? byte * 256 : byte;
    high = !high;
  }
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return 0xffff - sum;
}

/** The checksum that the transport part of `packet` should have been computed over: 0 where it is right. */
export function transportError(packet: Uint8Array, at: number): number {
  const version = packet[0]! >> 4;
  const protocol = version === 4 ? packet[9]! : packet[6]!;
  const size = packet.length - at;
  const addresses = version === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  return naiveChecksum([...addresses, 0, protocol, size >> 8, size & 255, ...packet.subarray(at)]);
}

export interface PacketParts {
  readonly version?: 4 | 6;
  readonly source?: readonly number[];
  readonly destination?: readonly number[];
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly payload?: Uint8Array;
  /** Type of service or traffic class. */
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** The sixteen bits with fragment flags and offset; default: don't fragment. */
  readonly fragment?: number;
  readonly flowLabel?: number;
}

export interface TcpParts extends PacketParts {
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly flags?: number;
  readonly window?: number;
  /** A multiple of four bytes. */
  readonly options?: readonly number[];
}

const source4 = [10, 0, 0, 1];
const destination4 = [10, 0, 0, 2];
const source6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const destination6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

export function ipPacket(protocol: number, body: Uint8Array, parts: PacketParts = {}): Uint8Array {
  const { version = 4, tos = 0, ttl = 64, id = 1, fragment = 0x4000, flowLabel = 0 } = parts;
  if (version === 6) {
    const packet = new Uint8Array(40 + body.length);
    const view = new DataView(packet.buffer);
    view.setUint32(0, ((6 << 28) | (tos << 20) | flowLabel) >>> 0);
    view.setUint16(4, body.length);
    packet.set([protocol, ttl, ...(parts.source ?? source6), ...(parts.destination ?? destination6)], 6);
    packet.set(body, 40);
    return packet;
  }
  const packet = new Uint8Array(20 + body.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x45;
  packet[1] = tos;
  view.setUint16(2, packet.length);
  view.setUint16(4, id);
  view.setUint16(6, fragment);
  packet.set([ttl, protocol, 0, 0, ...(parts.source ?? source4), ...(parts.destination ?? destination4)], 8);
  view.setUint16(10, naiveChecksum(packet.subarray(0, 20)));
  packet.set(body, 20);
  return packet;
}

export function tcpPacket(parts: TcpParts = {}): Uint8Array {
  const { sequence = 1000, acknowledgement = 1, flags = 0x10, window = 500, options = [] } = parts;
  const payload = parts.payload ?? new Uint8Array(0);
  const body = new Uint8Array(20 + options.length + payload.length);
  const view = new DataView(body.buffer);
  view.setUint16(0, parts.sourcePort ?? 1234);
  view.setUint16(2, parts.destinationPort ?? 443);
  view.setUint32(4, sequence >>> 0);
  view.setUint32(8, acknowledgement >>> 0);
  body[12] = (5 + options.length / 4) << 4;
  body[13] = flags;
  view.setUint16(14, window);
  body.set(options, 20);
  body.set(payload, 20 + options.length);
  return withChecksum(ipPacket(6, body, parts), 16);
}

export function udpPacket(parts: PacketParts = {}): Uint8Array {
  const payload = parts.payload ?? new Uint8Array(0);
  const body = new Uint8Array(8 + payload.length);
  const view = new DataView(body.buffer);
  view.setUint16(0, parts.sourcePort ?? 1234);
  view.setUint16(2, parts.destinationPort ?? 53);
  view.setUint16(4, body.length);
  body.set(payload, 8);
  return withChecksum(ipPacket(17, body, parts), 6);
}

/** An ICMP or ICMPv6 message with a right checksum. */
export function icmpPacket(
  type: number,
  code: number,
  rest: readonly number[],
  parts: PacketParts = {},
): Uint8Array {
  const body = Uint8Array.of(type, code, 0, 0, ...rest);
  if (parts.version === 6) return withChecksum(ipPacket(58, body, parts), 2);
  new DataView(body.buffer).setUint16(2, naiveChecksum(body));
  return ipPacket(1, body, parts);
}

/** `length` bytes that differ from place to place. */
export function patternBytes(length: number, start = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (start + i * 7 + (i >> 8)) & 255);
}

function withChecksum(packet: Uint8Array, field: number): Uint8Array {
  const at = packet[0]! >> 4 === 4 ? 20 : 40;
  const checksum = transportError(packet, at);
  new DataView(packet.buffer).setUint16(at + field, checksum === 0 ? 0xffff : checksum);
  return packet;
}
