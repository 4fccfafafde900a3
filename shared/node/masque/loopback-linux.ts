/**
 * LoopbackPort by native calls: trains of datagrams in and out, a call each (udp/). All of a thread share one memory and
 * one batch in each direction, since each is used within one turn alone.
 */

import { endpointSize, sameRemote } from '../../core/base/endpoint.ts';
import { parseAddress, writeEndpoint } from '../../core/base/ip.ts';
import type { Log } from '../../core/base/ports.ts';
import { PacketBatch } from '../../core/packet/batch.ts';
import { ffiAvailable } from '../ffi/libc.ts';
import { WorkerMemory } from '../ffi/memory.ts';
import { type FdWatcher, loadNative, type Native } from '../ffi/native.ts';
import { LinuxReceiver, recommendedUdpRead } from '../udp/udp-linux-receive.ts';
import { LinuxSender } from '../udp/udp-linux-send.ts';
import {
  type LinuxSocket,
  openLoopbackSocket,
  type SocketContext,
  socketScratchSize,
} from '../udp/udp-linux-socket.ts';
import type { LoopbackPort } from './loopback-port.ts';

interface Opening {
  readonly toPort: number;
  readonly from: string;
  readonly log: Log;
}

const writeArenaBytes = 512 * 1024;
const writeCapacity = 1024;
const memoryBytes = 4 * 1024 * 1024;
/** Reads of one turn; then others have theirs. */
const maxReads = 4;

/** What all ports of a thread use. */
interface Shared {
  readonly context: SocketContext;
  readonly native: Native;
  readonly receiver: LinuxReceiver;
  readonly sender: LinuxSender;
  readonly read: PacketBatch;
  readonly write: PacketBatch;
  /** Whose datagrams wait in `write`. */
  writer: LoopbackLinux | undefined;
}

let shared: Shared | undefined;

/** Undefined where native calls do not work, or the system has no such socket. */
export function openLoopbackLinux({ toPort, from, log }: Opening): LoopbackPort | undefined {
  shared ??= makeShared(log);
  const address = parseAddress(from);
  if (shared === undefined || address?.length !== 4) return undefined;
  const opened = openLoopbackSocket(shared.context, address);
  if (typeof opened === 'number') return undefined;
  return new LoopbackLinux(shared, opened, { address: from, toPort });
}

class LoopbackLinux implements LoopbackPort {
  readonly address: string;
  readonly port: number;
  onDatagram: LoopbackPort['onDatagram'];
  readonly #shared: Shared;
  readonly #socket: LinuxSocket;
  /** The only place that is heard and spoken to. */
  readonly #peer = new Uint8Array(endpointSize);
  readonly #watcher: FdWatcher;
  #flushing: NodeJS.Immediate | undefined;
  #isClosed = false;

  constructor(
    use: Shared,
    socket: LinuxSocket & { readonly port: number },
    place: { readonly address: string; readonly toPort: number },
  ) {
    this.address = place.address;
    this.port = socket.port;
    this.#shared = use;
    this.#socket = socket;
    writeEndpoint(this.#peer, 0, { address: '127.0.0.1', port: place.toPort });
    this.#watcher = use.native.watch(socket.fd, () => this.#readAll());
  }

  send(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#isClosed) return false;
    const { write } = this.#shared;
    if (this.#shared.writer !== this) {
      this.#shared.writer?.flush();
      this.#shared.writer = this;
    }
    if (write.count === write.capacity) this.flush();
    let at = write.reserve(end - start);
    if (at < 0) {
      this.flush();
      at = write.reserve(end - start);
    }
    if (at < 0) return false;
    // One record for the whole train.
    const address = write.addressCount > 0 ? 0 : write.addAddress(this.#peer, 0);
    write.bytes.set(bytes.subarray(start, end), at);
    write.push(at, end - start, address);
    this.#shared.writer = this;
    this.#flushing ??= setImmediate(() => this.flush());
    return true;
  }

  flush(): void {
    if (this.#flushing !== undefined) clearImmediate(this.#flushing);
    this.#flushing = undefined;
    const { write, sender } = this.#shared;
    if (this.#shared.writer !== this) return;
    this.#shared.writer = undefined;
    if (!this.#isClosed) {
      sender.beginBatch();
      for (let from = 0; from < write.count; ) {
        const end = sender.trainEnd(this.#socket, write, from);
        sender.add(this.#socket, write, from, end);
        from = end;
      }
      sender.flush(this.#socket, write);
    }
    write.clear();
  }

  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    this.#watcher.close();
    this.#shared.context.libc.close(this.#socket.fd);
  }

  #readAll(): void {
    const { receiver, read } = this.#shared;
    for (let i = 0; i < maxReads && !this.#isClosed; i++) {
      read.clear();
      const count = receiver.read(this.#socket, read);
      for (let p = 0; p < count && !this.#isClosed; p++) {
        if (!sameRemote(read.addresses, read.address[p]! * endpointSize, this.#peer, 0)) continue;
        const start = read.offset[p]!;
        this.onDatagram?.(read.bytes, start, start + read.length[p]!);
      }
      if (count === 0) return;
    }
  }
}

function makeShared(log: Log): Shared | undefined {
  const ffi = ffiAvailable();
  const loaded = loadNative();
  if (process.platform !== 'linux' || !ffi.ok || !loaded.ok) return undefined;
  const memory = new WorkerMemory(memoryBytes, ffi.libc);
  const context = { libc: ffi.libc, memory, scratch: memory.alloc(socketScratchSize) };
  const { arenaBytes, capacity, addressCapacity } = recommendedUdpRead;
  return {
    context,
    native: loaded.native,
    receiver: new LinuxReceiver(ffi.libc, memory),
    sender: new LinuxSender(ffi.libc, memory, log),
    read: batch(memory, arenaBytes, capacity, addressCapacity),
    write: batch(memory, writeArenaBytes, writeCapacity, 1),
    writer: undefined,
  };
}

function batch(
  memory: WorkerMemory,
  arenaBytes: number,
  capacity: number,
  addressCapacity: number,
): PacketBatch {
  const arenaStart = memory.alloc(arenaBytes, 64);
  const arenaEnd = arenaStart + arenaBytes;
  return new PacketBatch({ bytes: memory.bytes, arenaStart, arenaEnd, capacity, addressCapacity });
}
