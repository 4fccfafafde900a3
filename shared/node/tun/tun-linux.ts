/**
 * TunPort on /dev/net/tun: super-packets come in by one read and are cut (core/packet/segment),
 * packets of one flow go out merged by one writev (core/packet/coalesce).
 */

import { assert } from '../../core/base/assert.ts';
import type { Log } from '../../core/base/ports.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';
import type { RangeSum } from '../../core/packet/checksum.ts';
import { Coalescer } from '../../core/packet/coalesce.ts';
import { segment } from '../../core/packet/segment.ts';
import { clearVirtioHeader, virtioHeaderSize } from '../../core/packet/virtio-header.ts';
import { errno } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import * as abi from '../ffi/structs.ts';
import { fastRangeSum } from '../kernel/range-sum.ts';
import type { TunPort } from './port.ts';
import { longestQueue, QueueFit, systemQueue } from './queue-length.ts';
import {
  askInterface,
  type DeviceContext,
  nameOf,
  openDevice,
  setInterfaceMtu,
  setPersistent,
  setQueueLength,
  type TunDevice,
} from './tun-linux-device.ts';

export interface TunLinuxOptions {
  readonly libc: Libc;
  /** Every batch given to this port must use this memory. Takes about 110 KiB of it. */
  readonly memory: WorkerMemory;
  readonly log: Log;
  /** 1 to 15 characters. */
  readonly name: string;
  /** MTU to start with; default: the system's. */
  readonly mtu?: number;
  /** Whether the interface stays when the port is closed. Default false. */
  readonly persist?: boolean;
  /** Most packets of a batch given to `writeBatch`. Default 2048. */
  readonly writeCapacity?: number;
  /**
   * An interface that another process opened, maybe in another network namespace, or whatever else keeps packets
   * apart, instead of opening one. By its name nothing can be asked from here, so its MTU is what `mtu` says. Ours to
   * close.
   */
  readonly device?: TunDevice;
}

/**
 * What a batch for `readBatch` should have: room for a few super-packets, and for one of the
 * smallest segments that TCP uses (48 bytes of payload).
 */
export const recommendedTunRead: {
  readonly arenaBytes: number;
  readonly capacity: number;
  readonly addressCapacity: number;
} = { arenaBytes: 512 * 1024, capacity: 2048, addressCapacity: 1 };

const defaultWriteCapacity = 2048;
/** A few hundredths of a second at full speed. */
const readsBetweenTunings = 512;
const largestRead = virtioHeaderSize + 65_575;
const descriptions = {
  none: 'linux',
  vnet: 'linux vnet',
  tso: 'linux tso',
  uso: 'linux tso uso',
} as const;

export class TunLinux implements TunPort {
  /** Unused: the descriptor can be polled. */
  onReadable: (() => void) | undefined;
  /** Packets read that could not be used: malformed, or larger than a whole batch. */
  readDrops = 0;
  readonly #context: DeviceContext;
  readonly #device: TunDevice;
  /** The descriptor is no interface. */
  readonly #lent: boolean;
  readonly #socket: number;
  readonly #index: number;
  readonly #staging: number;
  readonly #vectors: number;
  readonly #coalescer: Coalescer;
  readonly #rangeSum: RangeSum;
  #name: string;
  #mtu = 0;
  #pollFds: readonly number[];
  // Since the queue's length was looked at last.
  #reads = 0;
  #readBytes = 0;
  /** The length that we set; undefined = somebody else's choice stands. */
  #queueLength: number | undefined;
  readonly #queueFit = new QueueFit();
  /** Length of the packet in the staging area that did not fit the last batch, header included; 0 = none. */
  #pending = 0;
  #closed = false;

  /** Opens or makes the interface, without address and down. Throws CulvertError. */
  constructor(options: TunLinuxOptions) {
    const { libc, memory, name } = options;
    const capacity = options.writeCapacity ?? defaultWriteCapacity;
    this.#context = { libc, memory, scratch: memory.alloc(abi.ifreq.size) };
    this.#staging = memory.alloc(largestRead);
    this.#vectors = memory.alloc(capacity * abi.iovec.size);
    this.#lent = options.device !== undefined;
    this.#device = options.device ?? openDevice(this.#context, name);
    const { fd, offload } = this.#device;
    // Without a socket no question by name is answered, which might be about another interface of that name.
    this.#socket = this.#lent ? -1 : libc.socket(abi.AF_INET, abi.SOCK_DGRAM | abi.SOCK_CLOEXEC, 0);
    this.#name = nameOf(this.#context, fd) ?? name;
    this.#index = askInterface(this.#context, this.#socket, abi.SIOCGIFINDEX, this.#name) ?? 0;
    this.#pollFds = [fd];
    const tcp = offload === 'tso' || offload === 'uso';
    const udp = offload === 'uso';
    const rangeSum = fastRangeSum(memory);
    this.#rangeSum = rangeSum;
    this.#coalescer = new Coalescer({ capacity, tcp4: tcp, tcp6: tcp, udp4: udp, udp6: udp, rangeSum });
    try {
      if (options.persist === true) setPersistent(this.#context, fd, true);
      if (this.#lent) this.#mtu = options.mtu ?? 0;
      else if (options.mtu !== undefined)
        setInterfaceMtu(this.#context, this.#socket, this.#name, options.mtu);
      this.refreshMtu();
      this.#queueLength = this.#firstQueueLength();
      options.log.debug('interface opened', { name: this.#name, offload, mtu: this.#mtu });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get description(): string {
    return descriptions[this.#device.offload];
  }

  get name(): string {
    return this.#name;
  }

  get mtu(): number {
    return this.#mtu;
  }

  get pollFds(): readonly number[] {
    return this.#pollFds;
  }

  /** The system's number of the interface at the time of opening. */
  get interfaceIndex(): number {
    return this.#index;
  }

  /** An interface that was moved to another network namespace lives on, its MTU as last known. */
  refreshMtu(): boolean {
    if (this.#closed) return false;
    if (this.#lent) return true;
    const name = nameOf(this.#context, this.#device.fd);
    if (name === undefined) return false;
    this.#name = name;
    const mtu = askInterface(this.#context, this.#socket, abi.SIOCGIFMTU, name);
    if (mtu !== undefined) this.#mtu = mtu;
    return true;
  }

  /** Whether the interface is switched on ("up") in this network namespace. */
  isUp(): boolean {
    if (this.#closed) return false;
    const flags = askInterface(this.#context, this.#socket, abi.SIOCGIFFLAGS, this.#name) ?? 0;
    return (flags & abi.IFF_UP) !== 0;
  }

  readBatch(batch: PacketBatch): number {
    const { libc, memory } = this.#context;
    assert(batch.bytes === memory.bytes, 'the batch lies in the memory of the port');
    if (this.#closed) return -1;
    const before = batch.count;
    const header = this.#device.offload === 'none' ? virtioHeaderSize : 0;
    const at = memory.base + this.#staging + header;
    // Each turn appends a packet at least, drops one, or is the last.
    while (batch.count < batch.capacity) {
      if (this.#pending === 0) {
        const length = libc.read(this.#device.fd, at, largestRead - header);
        if (length <= 0) {
          if (length < 0 && this.#isGone(libc.errno())) return -1;
          break;
        }
        this.#pending = length + header;
        this.#reads++;
        this.#readBytes += length;
      }
      if (!this.#takePending(batch)) break;
    }
    if (this.#reads >= readsBetweenTunings) this.#tuneQueue();
    return batch.count - before;
  }

  writeBatch(batch: PacketBatch): number {
    const { libc, memory } = this.#context;
    assert(batch.bytes === memory.bytes, 'the batch lies in the memory of the port');
    if (this.#closed) return batch.count;
    const { fd, offload } = this.#device;
    let dropped = 0;
    if (offload === 'none') {
      for (let i = 0; i < batch.count; i++) {
        if (libc.write(fd, memory.base + batch.offset[i]!, batch.length[i]!) < 0) dropped++;
      }
      return dropped;
    }
    const plan = this.#coalescer;
    plan.plan(batch);
    for (let group = 0; group < plan.groupCount; group++) {
      const start = plan.groupStart[group]!;
      const slices = plan.groupStart[group + 1]! - start;
      const written =
        slices === 1
          ? libc.write(fd, memory.base + plan.sliceOffset[start]!, plan.sliceLength[start]!)
          : this.#writeSlices(start, slices);
      if (written < 0) dropped += plan.groupPackets[group]!;
    }
    return dropped;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pollFds = [];
    const { libc } = this.#context;
    if (this.#socket >= 0) libc.close(this.#socket);
    libc.close(this.#device.fd);
  }

  /** Nothing is lost by a change as long as the interface is down. A length that somebody chose stays. */
  #firstQueueLength(): number | undefined {
    const given = askInterface(this.#context, this.#socket, abi.SIOCGIFTXQLEN, this.#name);
    if (given !== systemQueue || this.isUp()) return given;
    return setQueueLength(this.#context, this.#socket, this.#name, longestQueue) ? longestQueue : given;
  }

  /** Keeps about the same number of bytes waiting, whatever the packets are; leaves a length that others set. */
  #tuneQueue(): void {
    const reads = this.#reads;
    const bytes = this.#readBytes;
    const current = this.#queueLength;
    this.#reads = 0;
    this.#readBytes = 0;
    if (reads === 0 || current === undefined) return;
    const wanted = this.#queueFit.lengthFor(bytes, reads, current);
    if (wanted === undefined) return;
    const actual = askInterface(this.#context, this.#socket, abi.SIOCGIFTXQLEN, this.#name);
    const ours = actual === current;
    this.#queueLength =
      ours && setQueueLength(this.#context, this.#socket, this.#name, wanted) ? wanted : undefined;
  }

  /** Moves the packet in the staging area into the batch. False where it has to wait for the next one. */
  #takePending(batch: PacketBatch): boolean {
    const { bytes } = this.#context.memory;
    const length = this.#pending - virtioHeaderSize;
    if (this.#device.offload === 'none') clearVirtioHeader(bytes, this.#staging);
    const verdict = segment(batch, bytes, this.#staging, length, this.#rangeSum);
    if (verdict === 'batch-full' && batch.count > 0) return false;
    if (verdict !== 'ok') this.readDrops++;
    this.#pending = 0;
    return true;
  }

  #writeSlices(start: number, slices: number): number {
    const { libc, memory } = this.#context;
    const plan = this.#coalescer;
    for (let i = 0; i < slices; i++) {
      const vector = this.#vectors + i * abi.iovec.size;
      memory.putPointer(vector, plan.sliceOffset[start + i]!);
      memory.putSize(vector + abi.iovec.length, plan.sliceLength[start + i]!);
    }
    return libc.writev(this.#device.fd, memory.base + this.#vectors, slices);
  }

  /** Whether a failed read means that there is no interface any more. */
  #isGone(number: number): boolean {
    if (number === errno.EAGAIN || number === errno.EINTR) return false;
    return number === errno.EBADFD || nameOf(this.#context, this.#device.fd) === undefined;
  }
}
