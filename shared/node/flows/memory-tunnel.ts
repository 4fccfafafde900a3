/**
 * Two userspace stacks whose packets go from one to the other in memory, on this event loop: for rehearsals of what
 * programs do with a stack. The near one opens connections to anywhere, the far one is asked for them. No network.
 */

import type { Entropy } from '../../core/base/ports.ts';
import type { NetLimits } from '../../core/netstack/limits.ts';
import { NetStack } from '../../core/netstack/stack.ts';
import { PacketBatch } from '../../core/packet/batch.ts';
import type { Clock } from '../clock.ts';
import { FlowHost } from './stack-host.ts';

export interface MemoryTunnelOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly mtu: number;
}

/** Of the near end; the far one has its gateway's. */
export const nearAddress: Uint8Array = Uint8Array.of(10, 0, 0, 2);
const farAddress = Uint8Array.of(10, 0, 0, 1);
const arenaBytes = 256 * 1024;
const packets = 128;
/** Few at a time; what has ended is forgotten soon, since it would be most of the memory. */
const limits: Partial<NetLimits> = { connections: 64, timeWait: 2, memoryBytes: 2 * 1024 * 1024 };
/** How often packets go to and fro in one turn; the rest waits for the next. */
const exchangesPerTurn = 16;

export class MemoryTunnel {
  readonly near: FlowHost;
  readonly far: FlowHost;
  readonly #clock: Clock;
  readonly #nearStack: NetStack;
  readonly #farStack: NetStack;
  readonly #toFar: PacketBatch;
  readonly #toNear: PacketBatch;
  readonly #run = (): void => this.#turn();
  readonly #wake = (): void => this.#schedule();
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor({ clock, entropy, mtu }: MemoryTunnelOptions) {
    this.#clock = clock;
    const bytes = new Uint8Array(2 * arenaBytes);
    this.#toFar = batchIn(bytes, 0);
    this.#toNear = batchIn(bytes, arenaBytes);
    this.#nearStack = new NetStack({ entropy, mtu, limits, addresses: [nearAddress] });
    this.#farStack = new NetStack({ entropy, mtu, limits, addresses: [farAddress], acceptAny: true });
    this.near = new FlowHost({ stack: this.#nearStack, addresses: [nearAddress], wake: this.#wake });
    this.far = new FlowHost({ stack: this.#farStack, addresses: [farAddress], wake: this.#wake });
  }

  /** Breaks what is open. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.near.close();
    this.far.close();
    this.#turn();
    this.#isClosed = true;
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (!this.#isClosed) this.#immediate ??= setImmediate(this.#run);
  }

  #turn(): void {
    this.#immediate = undefined;
    const now = this.#clock.now();
    this.#toNear.clear();
    for (let i = 0; i < exchangesPerTurn; i++) {
      this.#toFar.clear();
      this.#nearStack.handlePackets(this.#toNear, now, this.#toFar);
      this.near.handleEvents(this.#nearStack.takeEvents());
      this.#toNear.clear();
      this.#farStack.handlePackets(this.#toFar, now, this.#toNear);
      this.far.handleEvents(this.#farStack.takeEvents());
      if (this.#toNear.count === 0) break;
    }
    // What is left in the last batch is lost, as packets are; the stacks send it again.
    this.#sleep(Math.min(this.#nearStack.nextTimeoutAt(), this.#farStack.nextTimeoutAt()) - now);
  }

  #sleep(ms: number): void {
    clearTimeout(this.#timer);
    if (ms <= 0) this.#schedule();
    else if (Number.isFinite(ms)) this.#timer = setTimeout(this.#run, Math.ceil(ms)).unref();
  }
}

function batchIn(bytes: Uint8Array, arenaStart: number): PacketBatch {
  const arenaEnd = arenaStart + arenaBytes;
  return new PacketBatch({ bytes, arenaStart, arenaEnd, capacity: packets, addressCapacity: 1 });
}
