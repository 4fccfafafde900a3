/**
 * The packets of a rehearsal: of every kind that a tunnel meets daily, as a TUN interface with
 * offloads hands them over (virtio header first, checksums left to us). Pure.
 */

import { foldSum, pseudoSum4, pseudoSum6, writeU16 } from '../../core/packet/checksum.ts';
import { fillIpv4Checksum, ipv4HeaderSize, setIpv4TotalLength } from '../../core/packet/ipv4.ts';
import { ipv6HeaderSize, setIpv6TotalLength } from '../../core/packet/ipv6.ts';
import { tcpAck, tcpChecksumAt, tcpHeaderSize } from '../../core/packet/tcp.ts';
import { protocolIcmp, protocolIcmp6, protocolTcp, protocolUdp } from '../../core/packet/transport.ts';
import { setUdpLength, udpChecksumAt, udpHeaderSize } from '../../core/packet/udp.ts';
import {
  clearVirtioHeader,
  gsoTcp4,
  gsoTcp6,
  gsoUdp,
  setVirtioChecksum,
  setVirtioGso,
  virtioHeaderSize,
} from '../../core/packet/virtio-header.ts';

export interface RehearsalPacket {
  readonly version: 4 | 6;
  readonly protocol: 'icmp' | 'tcp' | 'udp';
  /** Bytes of the IP packet; more than the MTU = a super-packet. */
  readonly size: number;
}

export const rehearsalMtu = 1420;
const largestSize = 8400;
/** Bytes that `putPacket` writes at most. */
export const rehearsalPacketBytes: number = virtioHeaderSize + largestSize;

/** In this order: mostly small ones, since their delay is what the rehearsal is for. */
export const rehearsalPackets: readonly RehearsalPacket[] = [
  { version: 4, protocol: 'icmp', size: 84 },
  { version: 4, protocol: 'tcp', size: 1400 },
  { version: 4, protocol: 'tcp', size: 52 },
  { version: 6, protocol: 'tcp', size: 60 },
  { version: 4, protocol: 'icmp', size: 84 },
  { version: 4, protocol: 'tcp', size: largestSize },
  { version: 4, protocol: 'udp', size: 128 },
  { version: 6, protocol: 'icmp', size: 104 },
  { version: 4, protocol: 'icmp', size: 84 },
  { version: 6, protocol: 'tcp', size: largestSize },
  { version: 4, protocol: 'tcp', size: 52 },
  { version: 4, protocol: 'udp', size: 1300 },
  { version: 4, protocol: 'icmp', size: 84 },
  { version: 4, protocol: 'udp', size: largestSize },
  { version: 6, protocol: 'udp', size: 148 },
  { version: 4, protocol: 'tcp', size: 52 },
];

/** Writes the header and the packet at `header`; the payload is what lies there. Returns their length. */
export function putPacket(bytes: Uint8Array, header: number, packet: RehearsalPacket): number {
  const { version, protocol, size } = packet;
  const at = header + virtioHeaderSize;
  const ipSize = version === 4 ? ipv4HeaderSize : ipv6HeaderSize;
  bytes.fill(0, header, at + ipSize + tcpHeaderSize);
  if (version === 4) putIpv4(bytes, at, protocol, size);
  else putIpv6(bytes, at, protocol, size);
  clearVirtioHeader(bytes, header);
  if (protocol === 'tcp') putTcp(bytes, at + ipSize);
  else if (protocol === 'udp') setUdpLength(bytes, at + ipSize, size - ipSize);
  if (protocol !== 'icmp') leaveChecksum(bytes, header, packet, ipSize);
  return virtioHeaderSize + size;
}

function putIpv4(bytes: Uint8Array, at: number, protocol: RehearsalPacket['protocol'], size: number): void {
  bytes[at] = 0x45;
  bytes[at + 6] = 0x40;
  bytes[at + 8] = 64;
  bytes[at + 9] = { icmp: protocolIcmp, tcp: protocolTcp, udp: protocolUdp }[protocol];
  bytes[at + 12] = 10;
  bytes[at + 16] = 10;
  setIpv4TotalLength(bytes, at, size);
  fillIpv4Checksum(bytes, at);
}

function putIpv6(bytes: Uint8Array, at: number, protocol: RehearsalPacket['protocol'], size: number): void {
  bytes[at] = 0x60;
  bytes[at + 6] = { icmp: protocolIcmp6, tcp: protocolTcp, udp: protocolUdp }[protocol];
  bytes[at + 7] = 64;
  bytes[at + 8] = 0xfd;
  bytes[at + 24] = 0xfd;
  setIpv6TotalLength(bytes, at, size);
}

function putTcp(bytes: Uint8Array, at: number): void {
  bytes[at + 12] = (tcpHeaderSize / 4) << 4;
  bytes[at + 13] = tcpAck;
}

/** Says that the checksum is to be completed, and of a super-packet how it is to be cut. */
function leaveChecksum(bytes: Uint8Array, header: number, packet: RehearsalPacket, ipSize: number): void {
  const { version, protocol, size } = packet;
  const tcp = protocol === 'tcp';
  const at = header + virtioHeaderSize;
  const headers = ipSize + (tcp ? tcpHeaderSize : udpHeaderSize);
  const whole = size <= rehearsalMtu;
  const kind = tcp ? (version === 4 ? gsoTcp4 : gsoTcp6) : gsoUdp;
  setVirtioGso(bytes, header, whole ? 0 : kind, whole ? 0 : rehearsalMtu - headers, headers);
  const field = tcp ? tcpChecksumAt : udpChecksumAt;
  setVirtioChecksum(bytes, header, ipSize, field);
  const number = tcp ? protocolTcp : protocolUdp;
  const pseudo = version === 4 ? pseudoSum4 : pseudoSum6;
  writeU16(bytes, at + ipSize + field, foldSum(pseudo(bytes, at, number, size - ipSize)));
}
