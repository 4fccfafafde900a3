/**
 * UdpPort for a worker without an event loop: its sockets live in another worker (udp-thread.ts),
 * joined by two rings. `bind` waits for the other side's answer.
 */

import { CulvertError } from '../../core/control/codes.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import type { UdpPort } from '../udp/port.ts';
import { Ring, type RingMemory } from './ring.ts';

/** Words of the shared control block. */
export const ringControl = {
  /** Counts requests; the socket worker sleeps on it. */
  request: 0,
  /** The last request that was answered. */
  answered: 1,
  /** Of the last request: the port to bind, endRequest or markRequest. */
  port: 2,
  /** The answer: 0 or a positive errno. */
  errno: 3,
  /** The bound port. */
  localPort: 4,
  /** The mark that markRequest asks for. */
  mark: 5,
  words: 8,
} as const;

/** `port` of a request that ends the socket worker. */
export const endRequest = -1;
/** `port` of a request that sets the firewall mark. */
export const markRequest = -2;

/** What both workers share. */
export interface UdpRingMemory {
  readonly control: SharedArrayBuffer;
  readonly toSockets: RingMemory;
  readonly fromSockets: RingMemory;
  /** The socket worker rings it when datagrams wait. */
  readonly eventFd: number;
}

const answerTimeoutMs = 5000;
const addressInUse = 98;

export class UdpRing implements UdpPort {
  readonly description = 'dgram over a ring';
  readonly pollFds: readonly number[];
  onReadable: (() => void) | undefined;
  readonly #libc: Libc;
  readonly #memory: WorkerMemory;
  readonly #counterAt: number;
  readonly #control: Int32Array;
  readonly #toSockets: Ring;
  readonly #fromSockets: Ring;
  readonly #eventFd: number;

  constructor(shared: UdpRingMemory, libc: Libc, memory: WorkerMemory) {
    this.#libc = libc;
    this.#memory = memory;
    this.#counterAt = memory.alloc(8, 8);
    this.#control = new Int32Array(shared.control);
    this.#toSockets = new Ring(shared.toSockets);
    this.#fromSockets = new Ring(shared.fromSockets);
    this.#eventFd = shared.eventFd;
    this.pollFds = [shared.eventFd];
  }

  get localPort(): number {
    return Atomics.load(this.#control, ringControl.localPort);
  }

  bind(port: number): void {
    const errno = this.#request(port);
    if (errno === 0) return;
    if (errno === addressInUse) {
      throw new CulvertError('port-in-use', { text: `UDP port ${port} is in use.`, errno });
    }
    throw new CulvertError('command-failed', { text: `UDP port ${port} cannot be opened.`, errno });
  }

  setMark(mark: number): void {
    Atomics.store(this.#control, ringControl.mark, mark);
    const errno = this.#request(markRequest);
    if (errno === 0) return;
    throw new CulvertError('ffi-unavailable', { text: 'The firewall mark cannot be set here.', errno });
  }

  readBatch(batch: PacketBatch): number {
    this.#libc.read(this.#eventFd, this.#memory.base + this.#counterAt, 8);
    return this.#fromSockets.take(batch);
  }

  writeBatch(batch: PacketBatch): number {
    return this.#toSockets.push(batch);
  }

  close(): void {
    this.#request(endRequest);
  }

  #request(port: number): number {
    const control = this.#control;
    Atomics.store(control, ringControl.port, port);
    const request = Atomics.add(control, ringControl.request, 1) + 1;
    Atomics.notify(control, ringControl.request);
    // The socket worker also sleeps on its ring; waking that is enough.
    Atomics.notify(this.#toSockets.control, Ring.tailIndex);
    const before = Atomics.load(control, ringControl.answered);
    if (before !== request) Atomics.wait(control, ringControl.answered, before, answerTimeoutMs);
    if (Atomics.load(control, ringControl.answered) !== request) {
      throw new CulvertError('internal', { text: 'The socket worker does not answer.' });
    }
    return Atomics.load(control, ringControl.errno);
  }
}
