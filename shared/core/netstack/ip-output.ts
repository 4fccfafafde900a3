/**
 * IP packets that we send: a flow's header is made once and copied before each packet. IPv4 goes out
 * with "don't fragment" and identification 0 (RFC 6864 §4.1), except where a datagram must be cut.
 */

import { foldSum, sumWords, writeU16 } from '../packet/checksum.ts';
import { fillIpv4Checksum, ipv4HeaderSize } from '../packet/ipv4.ts';
import { ipv6HeaderSize } from '../packet/ipv6.ts';

const hopLimit = 64;

/** Header and sums of the packets from `local` to `remote`. */
export interface IpPath {
  readonly version: 4 | 6;
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly headerSize: number;
  /** Length zero; IPv4 checksum zero. */
  readonly header: Uint8Array;
  /** Sum of both addresses and the protocol, for the transport checksum. */
  readonly pseudo: number;
  /** Sum of the IPv4 header with length zero. */
  readonly headerSum: number;
}

/** Both addresses have 4 or both have 16 bytes. They are copied. */
export function ipPath(local: Uint8Array, remote: Uint8Array, protocol: number): IpPath {
  const version = local.length === 4 ? 4 : 6;
  const headerSize = version === 4 ? ipv4HeaderSize : ipv6HeaderSize;
  const header = new Uint8Array(headerSize);
  header[0] = version === 4 ? 0x45 : 0x60;
  if (version === 4) header[6] = 0x40;
  header[version === 4 ? 8 : 7] = hopLimit;
  header[version === 4 ? 9 : 6] = protocol;
  const at = version === 4 ? 12 : 8;
  header.set(local, at);
  header.set(remote, at + local.length);
  return {
    version,
    local: local.slice(),
    remote: remote.slice(),
    headerSize,
    header,
    pseudo: foldSum(sumWords(header, at, 2 * local.length) + protocol),
    headerSum: sumWords(header, 0, headerSize),
  };
}

/** Writes the header of a packet with `payload` bytes behind it. */
export function writeIpHeader(path: IpPath, bytes: Uint8Array, offset: number, payload: number): void {
  const { header, headerSize } = path;
  for (let i = 0; i < headerSize; i++) bytes[offset + i] = header[i]!;
  if (path.version === 4) {
    const total = headerSize + payload;
    writeU16(bytes, offset + 2, total);
    writeU16(bytes, offset + 10, ~foldSum(path.headerSum + total) & 0xffff);
  } else {
    writeU16(bytes, offset + 4, payload);
  }
}

/** Makes the IPv4 packet at `offset` a fragment; `place` in units of 8 bytes. */
export function markFragment4(
  bytes: Uint8Array,
  offset: number,
  id: number,
  place: number,
  more: boolean,
): void {
  writeU16(bytes, offset + 4, id & 0xffff);
  writeU16(bytes, offset + 6, place | (more ? 0x2000 : 0));
  fillIpv4Checksum(bytes, offset);
}
