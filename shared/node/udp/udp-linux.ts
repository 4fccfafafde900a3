/**
 * UdpPort on Linux: two non-blocking sockets, IPv4 and IPv6, on one port; batches by recvmmsg and
 * sendmmsg with segmentation offloads. Never blocks beyond a few milliseconds on a full socket.
 */

import { assert } from '../../core/base/assert.ts';
import { endpointSize } from '../../core/base/endpoint.ts';
import type { Log } from '../../core/base/ports.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import type { UdpPort } from './port.ts';
import { LinuxReceiver } from './udp-linux-receive.ts';
import { LinuxSender } from './udp-linux-send.ts';
import {
  closePair,
  type LinuxSocket,
  markPair,
  openPair,
  type SocketContext,
  type SocketPair,
  socketScratchSize,
} from './udp-linux-socket.ts';

export interface UdpLinuxOptions {
  readonly libc: Libc;
  /** Every batch given to this port must use this memory. Takes about 160 KiB of it. */
  readonly memory: WorkerMemory;
  readonly log: Log;
}

const noFds: readonly number[] = [];

export class UdpLinux implements UdpPort {
  /** Unused: the descriptors can be polled. */
  onReadable: (() => void) | undefined;
  readonly #context: SocketContext;
  readonly #receiver: LinuxReceiver;
  readonly #sender4: LinuxSender;
  readonly #sender6: LinuxSender;
  #pair: SocketPair | undefined;
  #pollFds: readonly number[] = noFds;
  #mark = 0;
  #sixFirst = false;

  constructor(options: UdpLinuxOptions) {
    const { libc, memory, log } = options;
    this.#context = { libc, memory, scratch: memory.alloc(socketScratchSize) };
    this.#receiver = new LinuxReceiver(libc, memory);
    this.#sender4 = new LinuxSender(libc, memory, log);
    this.#sender6 = new LinuxSender(libc, memory, log);
  }

  get description(): string {
    const sockets = [this.#pair?.v4, this.#pair?.v6];
    const gso = sockets.some((socket) => socket?.gso === true) ? ' gso' : '';
    const gro = sockets.some((socket) => socket?.gro === true) ? ' gro' : '';
    return `linux${gso}${gro}`;
  }

  get localPort(): number {
    return this.#pair?.port ?? 0;
  }

  get pollFds(): readonly number[] {
    return this.#pollFds;
  }

  /** Datagrams lost on receipt: truncated, of an unknown family, or more than the batch could hold. */
  get receiveDrops(): number {
    return this.#receiver.dropped;
  }

  /** Keeps the sockets where `port` is the bound one already. */
  bind(port: number): void {
    if (this.#pair !== undefined && port === this.#pair.port) return;
    const pair = openPair(this.#context, port);
    try {
      if (this.#mark !== 0) markPair(this.#context, pair, this.#mark);
    } catch (error) {
      closePair(this.#context.libc, pair);
      throw error;
    }
    this.close();
    this.#pair = pair;
    this.#pollFds = [pair.v4, pair.v6].flatMap((socket) => (socket === undefined ? [] : [socket.fd]));
  }

  setMark(mark: number): void {
    if (mark === this.#mark) return;
    if (this.#pair !== undefined) markPair(this.#context, this.#pair, mark);
    this.#mark = mark;
  }

  readBatch(batch: PacketBatch, ready = -1): number {
    assert(batch.bytes === this.#context.memory.bytes, 'the batch lies in the memory of the port');
    const pair = this.#pair;
    if (pair === undefined) return 0;
    // They take turns at being first, so that a flood on one cannot starve the other.
    this.#sixFirst = !this.#sixFirst;
    const bit6 = pair.v4 === undefined ? 1 : 2;
    const v4 = (ready & 1) === 0 ? undefined : pair.v4;
    const v6 = (ready & bit6) === 0 ? undefined : pair.v6;
    const first = this.#sixFirst ? v6 : v4;
    const second = this.#sixFirst ? v4 : v6;
    let count = 0;
    if (first !== undefined) count += this.#receiver.read(first, batch);
    if (second !== undefined) count += this.#receiver.read(second, batch);
    return count;
  }

  writeBatch(batch: PacketBatch): number {
    assert(batch.bytes === this.#context.memory.bytes, 'the batch lies in the memory of the port');
    const v4 = this.#pair?.v4;
    const v6 = this.#pair?.v6;
    this.#sender4.beginBatch();
    this.#sender6.beginBatch();
    let dropped = 0;
    let from = 0;
    while (from < batch.count) {
      const family = batch.addresses[batch.address[from]! * endpointSize];
      const socket: LinuxSocket | undefined = family === 4 ? v4 : family === 6 ? v6 : undefined;
      if (socket === undefined) {
        dropped++;
        from++;
        continue;
      }
      const sender = family === 4 ? this.#sender4 : this.#sender6;
      const end = sender.trainEnd(socket, batch, from);
      dropped += sender.add(socket, batch, from, end);
      from = end;
    }
    if (v4 !== undefined) dropped += this.#sender4.flush(v4, batch);
    if (v6 !== undefined) dropped += this.#sender6.flush(v6, batch);
    return dropped;
  }

  close(): void {
    if (this.#pair !== undefined) closePair(this.#context.libc, this.#pair);
    this.#pair = undefined;
    this.#pollFds = noFds;
  }
}
