/**
 * Which connection a segment belongs to, and what becomes of those that belong to none: a SYN to where we
 * accept makes a pending connection, everything else is answered with a reset.
 */

import { after, type MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { readU16 } from '../packet/checksum.ts';
import { tcpAck, tcpSyn } from '../packet/tcp.ts';
import { Bbr } from './congestion/bbr.ts';
import { NewReno } from './congestion/newreno.ts';
import { markReady, mayReply, type NetContext, watchTimers } from './context.ts';
import { pickPort } from './ephemeral-port.ts';
import type { FlowEnd, Refusal, TcpConnection } from './events.ts';
import { FlowTable, flowKeyOf } from './flow-table.ts';
import { sourceOf } from './population.ts';
import { later } from './sequence.ts';
import { Tcb } from './tcb.ts';
import { arrive, takeSynOptions } from './tcp-arrive.ts';
import { TcpHandle } from './tcp-handle.ts';
import { endConnection } from './tcp-lifecycle.ts';
import { maxWindowScale } from './tcp-options.ts';
import { emptySegment, has, readSegment, tcpRst } from './tcp-segment.ts';
import { answerWithReset, writeSynUnreachable } from './tcp-stray.ts';
import { handleTimers } from './tcp-timers.ts';
import { transmit, updateMaxSegment } from './tcp-transmit.ts';

/** A new incarnation starts at least this far behind the old one's numbers. */
const reopenDistance = 65_536;
/** Four microseconds a tick (RFC 9293 §3.4.1). */
const ticksPerMs = 250;

/** Where one connection goes. Local port 0 = any. */
export interface TcpTarget {
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
}

export class TcpDemux {
  readonly table: FlowTable<Tcb>;
  readonly #context: NetContext;
  readonly #segment = emptySegment();

  constructor(context: NetContext) {
    this.#context = context;
    this.table = new FlowTable(context.entropy);
  }

  /** Reads a whole TCP packet, its TCP header `at` bytes behind `offset`. False where it is malformed. */
  read(bytes: Uint8Array, offset: number, at: number, total: number): boolean {
    return readSegment(this.#segment, bytes, offset, at, total);
  }

  /** Port that the segment read last goes to. */
  get destinationPort(): number {
    return readU16(this.#segment.bytes, this.#segment.headerAt + 2);
  }

  /** Takes the segment read last. `accepts`: a SYN to its destination may make a connection. */
  handle(accepts: boolean, now: MonoMs, out: PacketBatch): void {
    const segment = this.#segment;
    const { bytes, packetAt } = segment;
    const isV4 = bytes[packetAt]! >>> 4 === 4;
    const addresses = packetAt + (isV4 ? 12 : 8);
    const tcb = this.table.find(bytes, segment.headerAt, addresses, isV4 ? 8 : 32);
    if (tcb === undefined) {
      this.#handleUnknown(accepts, 0, now, out);
      return;
    }
    const verdict = arrive(this.#context, tcb, segment, now);
    if (verdict === 'stray') this.#answerStray(now, out);
    if (verdict !== 'reopen') return;
    const next = tcb.max;
    endConnection(this.#context, tcb, 'finished');
    this.#remove(tcb);
    this.#handleUnknown(accepts, next, now, out);
  }

  /** Undefined where a limit is reached or no port is free. */
  connect(target: TcpTarget): TcpConnection | undefined {
    const { local, remote } = target;
    const { population, counts, entropy } = this.#context;
    const isUsed = (port: number): boolean =>
      this.table.has(flowKeyOf(remote.address, remote.port, local.address, port));
    const port = local.port === 0 ? pickPort(entropy, isUsed) : local.port;
    const isTaken = port === 0 || isUsed(port);
    if (isTaken || !population.hasRoom()) {
      counts.overLimit++;
      return undefined;
    }
    const tcb = this.#create({ address: local.address, port }, remote, undefined);
    this.#numberFrom(tcb, 0);
    tcb.state = 'syn-sent';
    tcb.una = tcb.initialSend;
    tcb.next = tcb.queueStart;
    tcb.max = tcb.next;
    updateMaxSegment(tcb);
    tcb.synNow = true;
    markReady(this.#context, tcb);
    return tcb.connection;
  }

  /** The consumer wants the pending connection: SYN-ACK goes out with the next poll. */
  accept(connection: TcpConnection): boolean {
    const tcb = TcpHandle.tcbOf(connection);
    if (tcb === undefined || tcb.state !== 'pending') return false;
    tcb.state = 'syn-received';
    tcb.timers.clear('life');
    tcb.una = tcb.initialSend;
    tcb.next = (tcb.initialSend + 1) | 0;
    tcb.max = tcb.next;
    tcb.synNow = true;
    markReady(this.#context, tcb);
    return true;
  }

  /** The consumer does not want it. */
  refuse(connection: TcpConnection, refusal: Refusal): void {
    const tcb = TcpHandle.tcbOf(connection);
    if (tcb === undefined || tcb.state !== 'pending') return;
    tcb.resetNow = refusal === 'reset';
    tcb.unreachableNow = refusal === 'unreachable';
    endConnection(this.#context, tcb, 'aborted');
  }

  /** Timers that are due, then everything that wants to be sent. */
  poll(now: MonoMs, out: PacketBatch): void {
    const { sleepers, ready, hungry, pool } = this.#context;
    for (;;) {
      const tcb = sleepers.take(now);
      if (tcb === undefined) break;
      handleTimers(this.#context, tcb, now);
    }
    if (hungry.size > 0 && pool.pressure < 1) this.#feed();
    let done = 0;
    // What becomes ready meanwhile is appended and has its turn too.
    for (; done < ready.length; done++) {
      const tcb = ready[done]!;
      if (!this.#flush(tcb, now, out)) break;
    }
    if (done === ready.length) ready.length = 0;
    else if (done > 0) ready.splice(0, done);
  }

  #flush(tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
    if (tcb.unreachableNow && !this.#tellUnreachable(tcb, now, out)) return false;
    if (!transmit(this.#context, tcb, now, out)) return false;
    tcb.isReady = false;
    if (tcb.state === 'closed') this.#remove(tcb);
    return true;
  }

  /** Memory is there again for those whose write found none. */
  #feed(): void {
    const { hungry, events } = this.#context;
    for (const tcb of hungry) {
      if (tcb.wantsWrite) events.push({ kind: 'tcp-writable', connection: tcb.connection });
      tcb.wantsWrite = false;
    }
    hungry.clear();
  }

  #remove(tcb: Tcb): void {
    this.table.remove(tcb);
    this.#context.sleepers.forget(tcb);
    this.#context.hungry.delete(tcb);
    this.#context.population.leave(tcb);
  }

  /** The segment belongs to no connection. `newer`: our numbers of its last incarnation end here. */
  #handleUnknown(accepts: boolean, newer: number, now: MonoMs, out: PacketBatch): void {
    const segment = this.#segment;
    const isSyn = has(segment, tcpSyn) && !has(segment, tcpAck) && !has(segment, tcpRst);
    if (!isSyn || !accepts) {
      this.#context.counts.stray++;
      this.#answerStray(now, out);
      return;
    }
    const { bytes, headerAt, packetAt } = segment;
    const width = bytes[packetAt]! >>> 4 === 4 ? 4 : 16;
    const at = packetAt + (width === 4 ? 12 : 8);
    const remote = { address: bytes.slice(at, at + width), port: readU16(bytes, headerAt) };
    const local = { address: bytes.slice(at + width, at + 2 * width), port: readU16(bytes, headerAt + 2) };
    const source = sourceOf(remote.address);
    // Too many: silence, so that an honest sender tries again (RFC 4987 §3).
    if (remote.port === 0 || local.port === 0 || !this.#context.population.hasRoomFor(source)) {
      this.#context.counts.overLimit++;
      return;
    }
    const tcb = this.#create(local, remote, source);
    this.#numberFrom(tcb, newer);
    takeSynOptions(tcb, segment, now);
    tcb.state = 'pending';
    tcb.timers.set('life', after(now, this.#context.limits.decideMs));
    watchTimers(this.#context, tcb);
    this.#context.events.push({ kind: 'tcp-incoming', connection: tcb.connection });
  }

  #create(local: FlowEnd, remote: FlowEnd, source: string | undefined): Tcb {
    const { pool, limits, mtu, congestion, population } = this.#context;
    const control = congestion === 'bbr' ? new Bbr(mtu) : new NewReno(mtu);
    const tcb = new Tcb(
      {
        local: local.address,
        localPort: local.port,
        remote: remote.address,
        remotePort: remote.port,
        source,
        pool,
        limits,
        congestion: control,
      },
      mtu,
    );
    tcb.receiveScale = scaleFor(limits.receiveBytes);
    tcb.connection = new TcpHandle(this.#context, tcb);
    this.table.insert(tcb);
    population.enter(tcb);
    return tcb;
  }

  /** Initial numbers (RFC 6528): a keyed hash of the flow plus a clock. */
  #numberFrom(tcb: Tcb, newer: number): void {
    const { secret, now } = this.#context;
    const clock = Math.floor(now * ticksPerMs) | 0;
    const initial = (secret.hash(tcb.key) + clock) | 0;
    tcb.timestampOffset = secret.high;
    tcb.initialSend = newer === 0 ? initial : later(initial, (newer + reopenDistance) | 0);
    tcb.queueStart = (tcb.initialSend + 1) | 0;
  }

  /** RFC 9293 §3.10.7.1. A reset is never answered. */
  #answerStray(now: MonoMs, out: PacketBatch): void {
    const segment = this.#segment;
    if (has(segment, tcpRst) || !mayReply(this.#context, now)) return;
    if (answerWithReset(segment, out)) this.#context.counts.resetsSent++;
  }

  /** The SYN of a pending connection is answered by ICMP. False where the batch is full. */
  #tellUnreachable(tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
    if (mayReply(this.#context, now) && !writeSynUnreachable(tcb, out)) return false;
    tcb.unreachableNow = false;
    return true;
  }
}

/** The smallest shift that lets the largest window be told. */
function scaleFor(window: number): number {
  let scale = 0;
  while (scale < maxWindowScale && 0xffff * 2 ** scale < window) scale++;
  return scale;
}
