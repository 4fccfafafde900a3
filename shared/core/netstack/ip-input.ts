/**
 * Every packet that comes in, down to its room: checked, put together where it is in fragments, handed to TCP,
 * UDP or ICMP; or answered where nobody wants it.
 */

import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { foldSum, pseudoSum4, pseudoSum6, readU16, sumRange } from '../packet/checksum.ts';
import { maxIcmpErrorSize, writePortUnreachable, writeTooBig } from '../packet/icmp.ts';
import { findTransport, ipTotalLength, ipVersion } from '../packet/ip.ts';
import { ipv4ChecksumOk } from '../packet/ipv4.ts';
import {
  protocolIcmp,
  protocolIcmp6,
  protocolTcp,
  protocolUdp,
  transportAt,
  transportProtocol,
} from '../packet/transport.ts';
import { checkUdp, udpChecksum, udpHeaderSize } from '../packet/udp.ts';
import { mayReply, type NetContext, reservePacket } from './context.ts';
import { IcmpInput } from './icmp-input.ts';
import type { IpFragments } from './ip-fragments.ts';
import { isHostAddress, isOneOf } from './net-address.ts';
import { sourceOf } from './population.ts';
import type { TcpDemux } from './tcp-demux.ts';
import type { UdpFlows } from './udp-flows.ts';

export interface InputRooms {
  readonly tcp: TcpDemux;
  readonly udp: UdpFlows;
  readonly echo: UdpFlows;
  readonly fragments: IpFragments;
}

export class IpInput {
  /** Ports of our own addresses where something may begin. */
  readonly tcpPorts: Set<number> = new Set();
  readonly udpPorts: Set<number> = new Set();
  readonly #context: NetContext;
  readonly #rooms: InputRooms;
  readonly #icmp: IcmpInput;
  readonly #acceptAny: boolean;

  constructor(context: NetContext, rooms: InputRooms, acceptAny: boolean) {
    this.#context = context;
    this.#rooms = rooms;
    this.#icmp = new IcmpInput(context, {
      tcp: rooms.tcp.table,
      udp: rooms.udp,
      echo: rooms.echo,
      acceptAny,
    });
    this.#acceptAny = acceptAny;
  }

  /** A packet from the tunnel. Borrowed until return. */
  handle(bytes: Uint8Array, offset: number, length: number, now: MonoMs, out: PacketBatch): void {
    const version = ipVersion(bytes, offset, length);
    if (version === 0 || (version === 4 && !ipv4ChecksumOk(bytes, offset))) {
      this.#context.counts.malformed++;
      return;
    }
    const width = version === 4 ? 4 : 16;
    const source = offset + (version === 4 ? 12 : 8);
    if (!isHostAddress(bytes, source, width) || !isHostAddress(bytes, source + width, width)) {
      this.#context.counts.stray++;
      return;
    }
    const total = ipTotalLength(bytes, offset);
    if (total > this.#context.mtu) {
      this.#context.counts.malformed++;
      this.#answerError(bytes, offset, total, out, this.#context.mtu);
      return;
    }
    if (!this.#rooms.fragments.isFragment(bytes, offset)) {
      this.#handleWhole(bytes, offset, total, now, out);
      return;
    }
    const whole = this.#rooms.fragments.handleFragment(bytes, offset, now);
    if (whole !== undefined) this.#handleWhole(whole, 0, whole.length, now, out);
  }

  #handleWhole(bytes: Uint8Array, offset: number, total: number, now: MonoMs, out: PacketBatch): void {
    const transport = findTransport(bytes, offset);
    const isV4 = bytes[offset]! >>> 4 === 4;
    const at = transportAt(transport);
    switch (transport < 0 ? -1 : transportProtocol(transport)) {
      case protocolTcp:
        this.#handleTcp(bytes, offset, at, total, now, out);
        break;
      case protocolUdp:
        this.#handleUdp(bytes, offset, at, total, now, out);
        break;
      case isV4 ? protocolIcmp : protocolIcmp6:
        this.#icmp.handle(bytes, offset, at, total, now, out);
        break;
      default:
        this.#context.counts.malformed++;
    }
  }

  #handleTcp(
    bytes: Uint8Array,
    offset: number,
    at: number,
    total: number,
    now: MonoMs,
    out: PacketBatch,
  ): void {
    if (!this.#rooms.tcp.read(bytes, offset, at, total)) {
      this.#context.counts.malformed++;
      return;
    }
    this.#rooms.tcp.handle(
      this.#accepts(bytes, offset, this.tcpPorts, this.#rooms.tcp.destinationPort),
      now,
      out,
    );
  }

  /** Whether something new may begin at the packet's destination. */
  #accepts(bytes: Uint8Array, offset: number, ports: ReadonlySet<number>, port: number): boolean {
    const isV4 = bytes[offset]! >>> 4 === 4;
    const isOwn = isOneOf(this.#context.own, bytes, offset + (isV4 ? 16 : 24), isV4 ? 4 : 16);
    return isOwn ? ports.has(port) : this.#acceptAny;
  }

  #handleUdp(
    bytes: Uint8Array,
    offset: number,
    at: number,
    total: number,
    now: MonoMs,
    out: PacketBatch,
  ): void {
    const start = offset + at;
    const size = total - at;
    if (!checkUdp(bytes, start, size) || !isUdpChecksumOk(bytes, offset, start, size)) {
      this.#context.counts.malformed++;
      return;
    }
    const isV4 = bytes[offset]! >>> 4 === 4;
    const width = isV4 ? 4 : 16;
    const addresses = offset + (isV4 ? 12 : 8);
    const known = this.#rooms.udp.table.find(bytes, start, addresses, 2 * width);
    if (known !== undefined) {
      this.#rooms.udp.deliver(known, bytes, start + udpHeaderSize, start + size, now);
      return;
    }
    if (!this.#accepts(bytes, offset, this.udpPorts, readU16(bytes, start + 2))) {
      this.#context.counts.stray++;
      this.#answerError(bytes, offset, total, out);
      return;
    }
    const remote = { address: bytes.slice(addresses, addresses + width), port: readU16(bytes, start) };
    const local = {
      address: bytes.slice(addresses + width, addresses + 2 * width),
      port: readU16(bytes, start + 2),
    };
    if (remote.port === 0) return;
    const socket = this.#rooms.udp.open({ local, remote, source: sourceOf(remote.address) });
    if (socket === undefined) return;
    this.#context.events.push({ kind: 'udp-incoming', flow: socket });
    socket.toldReadable = true;
    this.#rooms.udp.deliver(socket, bytes, start + udpHeaderSize, start + size, now);
  }

  /** An ICMP error about the packet: "too big" with the MTU, or "port unreachable" where `mtu` is 0. */
  #answerError(bytes: Uint8Array, offset: number, length: number, out: PacketBatch, mtu = 0): void {
    if (!mayReply(this.#context, this.#context.now)) return;
    const toOffset = reservePacket(out, maxIcmpErrorSize);
    if (toOffset < 0) return;
    const isV4 = bytes[offset]! >>> 4 === 4;
    const source = this.#context.own.find((address) => address.length === (isV4 ? 4 : 16));
    const request = { bytes, offset, length, to: out.bytes, toOffset, source: mtu > 0 ? source : undefined };
    const size = mtu > 0 ? writeTooBig(request, mtu) : writePortUnreachable(request);
    if (size > 0) out.push(toOffset, size);
  }
}

/** IPv4 allows none (RFC 768); IPv6 does not (RFC 8200 §8.1). */
function isUdpChecksumOk(bytes: Uint8Array, offset: number, start: number, size: number): boolean {
  const isV4 = bytes[offset]! >>> 4 === 4;
  if (udpChecksum(bytes, start) === 0) return isV4;
  const pseudo = isV4
    ? pseudoSum4(bytes, offset, protocolUdp, size)
    : pseudoSum6(bytes, offset, protocolUdp, size);
  return foldSum(pseudo + sumRange(bytes, start, size)) === 0xffff;
}
