/**
 * ICMP for the stack: echo requests to our addresses are answered, those to others announced; errors about our own packets change a
 * path's MTU or end what is only being opened (RFC 5927: an established connection survives them).
 */

import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { foldSum, pseudoSum6, readU16, sumRange } from '../packet/checksum.ts';
import { turnIntoEchoReply } from '../packet/icmp.ts';
import { protocolIcmp, protocolIcmp6, protocolTcp, protocolUdp } from '../packet/transport.ts';
import { markReady, mayReply, type NetContext, reservePacket } from './context.ts';
import { EchoInput } from './echo-input.ts';
import type { FlowTable } from './flow-table.ts';
import { minPathMtu4, minPathMtu6 } from './limits.ts';
import { isOneOf } from './net-address.ts';
import { isAtOrBefore, isBefore } from './sequence.ts';
import type { Tcb } from './tcb.ts';
import { endConnection } from './tcp-lifecycle.ts';
import { readWord } from './tcp-options.ts';
import { updateMaxSegment } from './tcp-transmit.ts';
import type { UdpFlows } from './udp-flows.ts';

const icmpHeaderSize = 8;
const quotedTransportSize = 8;

export interface IcmpTargets {
  readonly tcp: FlowTable<Tcb>;
  readonly udp: UdpFlows;
  readonly echo: UdpFlows;
  /** Whether echo requests to addresses that are not ours are announced. */
  readonly acceptAny: boolean;
}

/** An error, in the words of neither family. */
type ErrorMeaning = 'too-big' | 'port' | 'unreachable' | undefined;

export class IcmpInput {
  readonly #context: NetContext;
  readonly #targets: IcmpTargets;
  readonly #echo: EchoInput;
  /** Key of the quoted packet's flow, as its answer would carry it. */
  readonly #key = new Uint8Array(36);

  constructor(context: NetContext, targets: IcmpTargets) {
    this.#context = context;
    this.#targets = targets;
    this.#echo = new EchoInput(context, targets.echo);
  }

  /** Takes the ICMP message `at` bytes behind the start of a whole packet. */
  handle(bytes: Uint8Array, offset: number, at: number, total: number, now: MonoMs, out: PacketBatch): void {
    const { counts, own } = this.#context;
    const isV4 = bytes[offset]! >>> 4 === 4;
    const size = total - at;
    if (size < icmpHeaderSize) {
      counts.malformed++;
      return;
    }
    const pseudo = isV4 ? 0 : pseudoSum6(bytes, offset, protocolIcmp6, size);
    if (foldSum(pseudo + sumRange(bytes, offset + at, size)) !== 0xffff) {
      counts.malformed++;
      return;
    }
    const type = bytes[offset + at]!;
    const isOurs = isOneOf(own, bytes, offset + (isV4 ? 16 : 24), isV4 ? 4 : 16);
    if (type === (isV4 ? 8 : 128)) {
      if (isOurs) this.#answerEcho(bytes, offset, total, now, out);
      else if (this.#targets.acceptAny) this.#echo.handleRequest(bytes, offset, at, total, now, out);
      else counts.stray++;
      return;
    }
    if (type === (isV4 ? 0 : 129)) {
      this.#echo.handleReply(bytes, offset, at, total, now);
      return;
    }
    const meaning = isV4 ? meaning4(type, bytes[offset + at + 1]!) : meaning6(type, bytes[offset + at + 1]!);
    if (meaning === undefined) return;
    counts.icmpErrors++;
    const mtu = isV4 ? readU16(bytes, offset + at + 6) : readWord(bytes, offset + at + 4) >>> 0;
    this.#handleError(bytes, offset + at + icmpHeaderSize, offset + total, { meaning, mtu });
  }

  #answerEcho(bytes: Uint8Array, offset: number, total: number, now: MonoMs, out: PacketBatch): void {
    if (total > this.#context.mtu || !mayReply(this.#context, now)) return;
    const reply = reservePacket(out, total);
    if (reply < 0) return;
    out.bytes.set(bytes.subarray(offset, offset + total), reply);
    if (!turnIntoEchoReply(out.bytes, reply, total)) return;
    out.push(reply, total);
    this.#context.counts.echoes++;
  }

  /** `start` … `end`: the beginning of one of our packets. */
  #handleError(
    bytes: Uint8Array,
    start: number,
    end: number,
    error: { readonly meaning: ErrorMeaning; readonly mtu: number },
  ): void {
    const isV4 = bytes[start]! >>> 4 === 4;
    const header = isV4 ? (bytes[start]! & 15) << 2 : 40;
    if (start + header + quotedTransportSize > end) return;
    const protocol = bytes[start + (isV4 ? 9 : 6)]!;
    // The identifier of an echo message stands where a key has both of its ports.
    const isEcho = protocol === (isV4 ? protocolIcmp : protocolIcmp6);
    const ports = start + header + (isEcho ? 4 : 0);
    const size = this.#writeKey(bytes, start, ports, isV4);
    if (isEcho) this.#key.copyWithin(0, 2, 4);
    if (protocol === protocolTcp) {
      const tcb = this.#targets.tcp.find(this.#key, 0, 4, size);
      if (tcb !== undefined) this.#handleTcpError(tcb, readWord(bytes, start + header + 4), error);
    } else if (protocol === protocolUdp || isEcho) {
      const flows = isEcho ? this.#targets.echo : this.#targets.udp;
      const socket = flows.table.find(this.#key, 0, 4, size);
      if (socket === undefined) return;
      if (error.meaning === 'too-big') socket.mtu = lowerMtu(socket.mtu, error.mtu, isV4);
      else flows.handleUnreachable(socket);
    }
  }

  /** What we sent has our address as its source; keys are written as packets to us carry them. */
  #writeKey(bytes: Uint8Array, start: number, transport: number, isV4: boolean): number {
    const key = this.#key;
    const width = isV4 ? 4 : 16;
    const source = start + (isV4 ? 12 : 8);
    for (let i = 0; i < 2; i++) {
      key[i] = bytes[transport + 2 + i]!;
      key[2 + i] = bytes[transport + i]!;
    }
    for (let i = 0; i < width; i++) {
      key[4 + i] = bytes[source + width + i]!;
      key[4 + width + i] = bytes[source + i]!;
    }
    return 2 * width;
  }

  /** Only errors about numbers in flight are believed (RFC 5927 §4.1). */
  #handleTcpError(
    tcb: Tcb,
    sequence: number,
    error: { readonly meaning: ErrorMeaning; readonly mtu: number },
  ): void {
    if (isBefore(sequence, tcb.una) || !isBefore(sequence, tcb.max)) return;
    if (error.meaning === 'too-big') {
      const mtu = lowerMtu(tcb.pathMtu, error.mtu, tcb.path.version === 4);
      if (mtu >= tcb.pathMtu) return;
      tcb.pathMtu = mtu;
      updateMaxSegment(tcb);
      resendAll(tcb);
      markReady(this.#context, tcb);
    } else if (tcb.state === 'syn-sent') {
      endConnection(this.#context, tcb, error.meaning === 'port' ? 'refused' : 'unreachable');
    }
  }
}

/** Everything in flight was too large: it is sent anew in smaller pieces, which is no sign of congestion. */
function resendAll(tcb: Tcb): void {
  tcb.log.clear();
  tcb.rack.restart(tcb.una);
  if (!isAtOrBefore(tcb.next, tcb.una) && tcb.state !== 'syn-sent' && tcb.state !== 'syn-received') {
    tcb.next = tcb.una;
  }
}

/** Never higher than it was, never lower than every path carries. 0 comes from very old routers. */
function lowerMtu(current: number, told: number, isV4: boolean): number {
  const least = isV4 ? minPathMtu4 : minPathMtu6;
  return Math.min(current, Math.max(least, told));
}

function meaning4(type: number, code: number): ErrorMeaning {
  if (type !== 3) return undefined;
  if (code === 4) return 'too-big';
  return code === 2 || code === 3 ? 'port' : 'unreachable';
}

function meaning6(type: number, code: number): ErrorMeaning {
  if (type === 2) return 'too-big';
  if (type !== 1) return undefined;
  return code === 4 ? 'port' : 'unreachable';
}
