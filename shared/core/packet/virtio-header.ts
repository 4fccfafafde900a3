/**
 * The header before every packet of a TUN device with IFF_VNET_HDR: struct virtio_net_hdr
 * (virtio 1.2 §5.1.6), ten bytes, little-endian on every machine we run on.
 */

export const virtioHeaderSize = 10;

/** Flag: the checksum at csumStart + csumOffset holds only the pseudo-header sum. */
export const needsChecksum = 1;

export const gsoNone = 0;
export const gsoTcp4 = 1;
export const gsoTcp6 = 4;
/** UDP datagrams of equal size that travel as one. */
export const gsoUdp = 5;
/** Added to gsoTcp4 or gsoTcp6 where the first segment carries CWR. */
export const gsoEcn = 0x80;

/** Marks the packet behind `offset` as whole and finished: nothing is left to the kernel. */
export function clearVirtioHeader(bytes: Uint8Array, offset: number): void {
  for (let i = 0; i < virtioHeaderSize; i++) bytes[offset + i] = 0;
}

export function virtioFlags(bytes: Uint8Array, offset: number): number {
  return bytes[offset]!;
}

export function virtioGsoType(bytes: Uint8Array, offset: number): number {
  return bytes[offset + 1]!;
}

/** Payload bytes of one segment. */
export function virtioGsoSize(bytes: Uint8Array, offset: number): number {
  return readLittle(bytes, offset + 4);
}

/** From the start of the packet to where the checksum begins to count. */
export function virtioChecksumStart(bytes: Uint8Array, offset: number): number {
  return readLittle(bytes, offset + 6);
}

/** From there to the checksum field. */
export function virtioChecksumOffset(bytes: Uint8Array, offset: number): number {
  return readLittle(bytes, offset + 8);
}

/** What the header of a super-packet says. */
export function setVirtioGso(
  bytes: Uint8Array,
  offset: number,
  type: number,
  size: number,
  header: number,
): void {
  bytes[offset] = needsChecksum;
  bytes[offset + 1] = type;
  writeLittle(bytes, offset + 2, header);
  writeLittle(bytes, offset + 4, size);
}

/** Where the kernel shall put the checksum, as virtioChecksumStart and virtioChecksumOffset read it. */
export function setVirtioChecksum(bytes: Uint8Array, offset: number, start: number, field: number): void {
  writeLittle(bytes, offset + 6, start);
  writeLittle(bytes, offset + 8, field);
}

function readLittle(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | (bytes[offset + 1]! << 8);
}

function writeLittle(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
}
