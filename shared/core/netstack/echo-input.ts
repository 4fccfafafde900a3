/**
 * Echo requests to destinations that are not ours, and the replies to requests that we sent: each belongs to a series
 * of one asker, one destination and one identifier (RFC 5508 §3), which its consumer sees as a flow.
 */

import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { readU16 } from '../packet/checksum.ts';
import { maxIcmpErrorSize, writeTimeExceeded } from '../packet/icmp.ts';
import { mayReply, type NetContext, reservePacket } from './context.ts';
import { sourceOf } from './population.ts';
import type { UdpFlows } from './udp-flows.ts';
import type { UdpSocket } from './udp-socket.ts';

/** Ports and two addresses of IPv6: see flowKeyOf. */
const largestKey = 36;

export class EchoInput {
  readonly #context: NetContext;
  readonly #flows: UdpFlows;
  readonly #key = new Uint8Array(largestKey);

  constructor(context: NetContext, flows: UdpFlows) {
    this.#context = context;
    this.#flows = flows;
  }

  /** A request that is checked, its ICMP header `at` bytes behind the start of a whole packet. */
  handleRequest(
    bytes: Uint8Array,
    offset: number,
    at: number,
    total: number,
    now: MonoMs,
    out: PacketBatch,
  ): void {
    const isV4 = bytes[offset]! >>> 4 === 4;
    if (bytes[offset + (isV4 ? 8 : 7)]! <= 1) {
      this.#answerTooFar(bytes, offset, total, now, out);
      return;
    }
    const socket = this.#find(bytes, offset, at) ?? this.#begin(bytes, offset, at);
    // What we ask ourselves is not asked by others.
    if (socket === undefined || socket.source === undefined) return;
    this.#flows.deliver(socket, bytes, offset + at, offset + total, now);
  }

  /** A reply to one of our addresses. */
  handleReply(bytes: Uint8Array, offset: number, at: number, total: number, now: MonoMs): void {
    const socket = this.#find(bytes, offset, at);
    if (socket === undefined || socket.source !== undefined) {
      this.#context.counts.stray++;
      return;
    }
    this.#flows.deliver(socket, bytes, offset + at, offset + total, now);
  }

  #begin(bytes: Uint8Array, offset: number, at: number): UdpSocket | undefined {
    const isV4 = bytes[offset]! >>> 4 === 4;
    const width = isV4 ? 4 : 16;
    const addresses = offset + (isV4 ? 12 : 8);
    const port = readU16(bytes, offset + at + 4);
    const remote = { address: bytes.slice(addresses, addresses + width), port };
    const local = { address: bytes.slice(addresses + width, addresses + 2 * width), port };
    const socket = this.#flows.open({ local, remote, source: sourceOf(remote.address), kind: 'echo' });
    if (socket === undefined) return undefined;
    this.#context.events.push({ kind: 'echo-incoming', flow: socket });
    socket.toldReadable = true;
    return socket;
  }

  #find(bytes: Uint8Array, offset: number, at: number): UdpSocket | undefined {
    const isV4 = bytes[offset]! >>> 4 === 4;
    const size = isV4 ? 8 : 32;
    const addresses = offset + (isV4 ? 12 : 8);
    const key = this.#key;
    for (let i = 0; i < 2; i++) {
      key[i] = bytes[offset + at + 4 + i]!;
      key[2 + i] = key[i]!;
    }
    for (let i = 0; i < size; i++) key[4 + i] = bytes[addresses + i]!;
    return this.#flows.table.find(key, 0, 4, size);
  }

  /** It has no hop left: we are the router where it ends. */
  #answerTooFar(bytes: Uint8Array, offset: number, total: number, now: MonoMs, out: PacketBatch): void {
    if (!mayReply(this.#context, now)) return;
    const toOffset = reservePacket(out, maxIcmpErrorSize);
    if (toOffset < 0) return;
    const width = bytes[offset]! >>> 4 === 4 ? 4 : 16;
    const source = this.#context.own.find((address) => address.length === width);
    const request = { bytes, offset, length: total, to: out.bytes, toOffset, source };
    const size = writeTimeExceeded(request);
    if (size > 0) out.push(toOffset, size);
  }
}
