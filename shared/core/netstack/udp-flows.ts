/**
 * UDP flows: a table with idle times. A datagram to a place where we accept makes a flow, bounded for
 * each source and in all; every other one is answered with "port unreachable" by the stack. Series of echo
 * requests are kept in a second table of the same kind.
 */

import type { MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import {
  type IcmpErrorRequest,
  maxIcmpErrorSize,
  writePortUnreachable,
  writeProhibited,
  writeUnreachable,
} from '../packet/icmp.ts';
import { mayReply, type NetContext, reservePacket } from './context.ts';
import { pickPort } from './ephemeral-port.ts';
import type { FlowEnd, Refusal, UdpEnd } from './events.ts';
import { FlowTable, flowKeyOf } from './flow-table.ts';
import { type UdpEnds, UdpSocket } from './udp-socket.ts';
import { datagramScratchSize, rebuildArrived, writeDatagram } from './udp-write.ts';
import { WakeHeap } from './wake-heap.ts';

/** Most flows, in all and begun by one source. */
export interface FlowBounds {
  readonly flows: number;
  readonly perSource: number;
}

export class UdpFlows {
  readonly #context: NetContext;
  readonly #bounds: FlowBounds;
  readonly #table: FlowTable<UdpSocket>;
  readonly #sleepers = new WakeHeap<UdpSocket>();
  readonly #perSource = new Map<string, number>();
  readonly #ready: UdpSocket[] = [];
  #scratch: Uint8Array | undefined;
  #id = 0;
  readonly #markReady = (socket: UdpSocket): void => {
    if (socket.isReady) return;
    socket.isReady = true;
    this.#ready.push(socket);
  };

  constructor(context: NetContext, bounds: FlowBounds) {
    this.#context = context;
    this.#bounds = bounds;
    this.#table = new FlowTable(context.entropy);
    const id = new Uint8Array(2);
    context.entropy.fill(id);
    this.#id = (id[0]! << 8) | id[1]!;
  }

  get size(): number {
    return this.#table.size;
  }

  get table(): FlowTable<UdpSocket> {
    return this.#table;
  }

  /** Infinity where nothing is to do. */
  nextAt(): number {
    return this.#ready.length > 0 ? 0 : this.#sleepers.nextAt();
  }

  /** A random port that is free towards this remote end, 0 where none was found. */
  freePort(ends: { readonly local: FlowEnd; readonly remote: FlowEnd }): number {
    return pickPort(this.#context.entropy, (port) =>
      this.#table.has(flowKeyOf(ends.remote.address, ends.remote.port, ends.local.address, port)),
    );
  }

  /** A random identifier that no series of echo requests between the two has, 0 where none was found. */
  freeIdentifier(local: Uint8Array, remote: Uint8Array): number {
    return pickPort(this.#context.entropy, (id) => this.#table.has(flowKeyOf(remote, id, local, id)));
  }

  /** Undefined where a limit is reached or the flow exists. */
  open(ends: UdpEnds): UdpSocket | undefined {
    const { limits, pool, mtu, counts } = this.#context;
    const { source } = ends;
    const ofSource = source === undefined ? 0 : (this.#perSource.get(source) ?? 0);
    const { flows, perSource } = this.#bounds;
    if (this.#table.size >= flows || (source !== undefined && ofSource >= perSource)) {
      counts.overLimit++;
      return undefined;
    }
    const socket = new UdpSocket(ends, pool, limits, mtu, this.#markReady);
    if (this.#table.has(socket.key)) return undefined;
    this.#table.insert(socket);
    if (source !== undefined) this.#perSource.set(source, ofSource + 1);
    this.#markReady(socket);
    return socket;
  }

  /** A datagram's content for a flow that is there. */
  deliver(socket: UdpSocket, bytes: Uint8Array, start: number, end: number, now: MonoMs): void {
    if (!socket.isOpen) return;
    const { lastEcho } = socket;
    if (lastEcho !== undefined) {
      for (let i = 0; i < lastEcho.length; i++) lastEcho[i] = bytes[start + i]!;
    }
    if (!socket.arrived.push(bytes, start, end)) {
      this.#context.counts.noRoom++;
      return;
    }
    this.#touch(socket, now);
    if (socket.toldReadable) return;
    socket.toldReadable = true;
    this.#context.events.push({ kind: 'udp-readable', flow: socket });
  }

  refuse(socket: UdpSocket, refusal: Refusal): void {
    if (!socket.isOpen) return;
    socket.refusal = refusal;
    socket.close();
  }

  /** The other side, or a router, says that nobody is there. */
  handleUnreachable(socket: UdpSocket): void {
    this.#end(socket, 'unreachable');
  }

  poll(now: MonoMs, out: PacketBatch): void {
    for (;;) {
      const socket = this.#sleepers.take(now);
      if (socket === undefined) break;
      if (now - socket.usedAt >= socket.idleMs) this.#end(socket, 'idle');
      else this.#sleepers.wake(socket, socket.usedAt + socket.idleMs);
    }
    let done = 0;
    while (done < this.#ready.length && this.#flush(this.#ready[done]!, now, out)) done++;
    if (done > 0) this.#ready.splice(0, done);
  }

  /** Sends what waits. False where the batch is full. */
  #flush(socket: UdpSocket, now: MonoMs, out: PacketBatch): boolean {
    if (socket.refusal !== undefined && !this.#answerRefused(socket, now, out)) return false;
    while (socket.leaving.count > 0) {
      this.#id = (this.#id + 1) & 0xffff;
      if (!writeDatagram(socket, () => this.#takeScratch(), this.#id, out)) return false;
      socket.leaving.shift();
      this.#touch(socket, now);
    }
    socket.isReady = false;
    if (!socket.isOpen) this.#end(socket, 'closed');
    else if (socket.usedAt < 0) this.#touch(socket, now);
    return true;
  }

  #answerRefused(socket: UdpSocket, now: MonoMs, out: PacketBatch): boolean {
    if (socket.refusal !== 'drop' && mayReply(this.#context, now)) {
      const offset = reservePacket(out, maxIcmpErrorSize);
      if (offset < 0) return false;
      const scratch = this.#takeScratch();
      const length = rebuildArrived(socket, scratch);
      const request = { bytes: scratch, offset: 0, length, to: out.bytes, toOffset: offset };
      const size = this.#writeRefusal(socket, request);
      if (size > 0) out.push(offset, size);
    }
    socket.refusal = undefined;
    return true;
  }

  /** About an echo request we speak for ourselves: there is no port that its destination could miss. */
  #writeRefusal(socket: UdpSocket, request: IcmpErrorRequest): number {
    if (socket.kind === 'udp') return writePortUnreachable(request);
    const own = this.#context.own.find((address) => address.length === socket.local.address.length);
    const fromUs = { ...request, source: own };
    return socket.refusal === 'reset' ? writeProhibited(fromUs) : writeUnreachable(fromUs);
  }

  #touch(socket: UdpSocket, now: MonoMs): void {
    socket.usedAt = now;
    this.#sleepers.wake(socket, now + socket.idleMs);
  }

  #end(socket: UdpSocket, end: UdpEnd): void {
    if (socket.isEnded) return;
    socket.isEnded = true;
    this.#table.remove(socket);
    this.#sleepers.forget(socket);
    socket.isOpen = false;
    socket.leaving.clear();
    if (end === 'closed') socket.arrived.clear();
    this.#context.events.push({ kind: 'udp-closed', flow: socket, end });
    if (socket.source === undefined) return;
    const left = (this.#perSource.get(socket.source) ?? 1) - 1;
    if (left > 0) this.#perSource.set(socket.source, left);
    else this.#perSource.delete(socket.source);
  }

  #takeScratch(): Uint8Array {
    this.#scratch ??= new Uint8Array(datagramScratchSize);
    return this.#scratch;
  }
}
