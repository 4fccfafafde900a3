/** TunPort for tests: two queues, one each way. `send` plays the system's programs, `take` reads what they get. */

import type { PacketBatch } from '../../core/packet/batch.ts';
import type { TunPort } from './port.ts';

/** Packets waiting in one direction. More are dropped. */
const maxWaiting = 8192;

export class TunMemory implements TunPort {
  readonly description = 'memory';
  readonly name: string;
  readonly pollFds: readonly number[] = [];
  onReadable: (() => void) | undefined;
  #mtu: number;
  #systemMtu: number;
  #gone = false;
  readonly #outbound: Uint8Array[] = [];
  #inbound: Uint8Array[] = [];

  constructor(name: string, mtu: number) {
    this.name = name;
    this.#mtu = mtu;
    this.#systemMtu = mtu;
  }

  get mtu(): number {
    return this.#mtu;
  }

  /** The system changes the MTU; seen after `refreshMtu`. */
  changeMtu(mtu: number): void {
    this.#systemMtu = mtu;
  }

  /** The system removes the interface. */
  remove(): void {
    this.#gone = true;
    this.onReadable?.();
  }

  /** A program of the system sends an IP packet. Copied. False where the queue is full. */
  send(packet: Uint8Array): boolean {
    if (this.#gone || this.#outbound.length === maxWaiting) return false;
    this.#outbound.push(packet.slice());
    this.onReadable?.();
    return true;
  }

  /** All packets written so far, oldest first; forgets them. */
  take(): Uint8Array[] {
    const taken = this.#inbound;
    this.#inbound = [];
    return taken;
  }

  refreshMtu(): boolean {
    this.#mtu = this.#systemMtu;
    return !this.#gone;
  }

  readBatch(batch: PacketBatch): number {
    if (this.#gone) return -1;
    let count = 0;
    while (this.#outbound.length > 0 && batch.count < batch.capacity) {
      const packet = this.#outbound[0]!;
      const at = batch.reserve(packet.length);
      if (at < 0) break;
      batch.bytes.set(packet, at);
      batch.push(at, packet.length);
      this.#outbound.shift();
      count++;
    }
    return count;
  }

  writeBatch(batch: PacketBatch): number {
    let dropped = 0;
    for (let i = 0; i < batch.count; i++) {
      const offset = batch.offset[i]!;
      if (this.#gone || this.#inbound.length === maxWaiting) dropped++;
      else this.#inbound.push(batch.bytes.slice(offset, offset + batch.length[i]!));
    }
    return dropped;
  }

  close(): void {
    this.#gone = true;
    this.#outbound.length = 0;
    this.#inbound.length = 0;
  }
}
