/**
 * Moves packets between an interface of the system and a userspace stack, from Node's event loop. The two
 * ports and the batches share one memory.
 */

import type { PacketBatch } from '../../shared/core/packet/batch.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { FdWatch } from '../../shared/node/dataplane/fd-watch.ts';
import type { TunPort } from '../../shared/node/tun/port.ts';
import type { TunNetstack } from '../../shared/node/tun/tun-netstack.ts';

export interface InterfacePumpOptions {
  readonly system: TunPort;
  readonly stack: TunNetstack;
  readonly watch: FdWatch;
  readonly clock: Clock;
  /** For packets of the system, and of the stack. */
  readonly fromSystem: PacketBatch;
  readonly fromStack: PacketBatch;
  /** Called once where the interface is gone. */
  readonly onGone: () => void;
}

/** Batches of one turn, so that Node's own sockets get their turn too. */
const roundsPerTurn = 8;
/** setTimeout counts in 32 bits. */
const longestSleepMs = 60_000;

export class InterfacePump {
  readonly #options: InterfacePumpOptions;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #gone = false;

  constructor(options: InterfacePumpOptions) {
    this.#options = options;
  }

  /** Call once. */
  start(): void {
    const options = this.#options;
    options.watch.set(options.system.pollFds);
    options.watch.onReadable = () => this.#run();
    options.stack.onReadable = () => this.#schedule();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#gone || this.#immediate !== undefined) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined;
      this.#run();
    });
  }

  #run(): void {
    if (this.#gone) return;
    clearTimeout(this.#timer);
    const { stack, clock } = this.#options;
    for (let round = 0; round < roundsPerTurn; round++) {
      const moved = this.#round();
      if (moved < 0) return this.#end();
      if (moved === 0 && stack.nextTimeoutAt() > clock.now()) {
        const wait = Math.min(longestSleepMs, Math.max(0, Math.ceil(stack.nextTimeoutAt() - clock.now())));
        this.#timer = setTimeout(() => this.#run(), wait);
        return;
      }
    }
    this.#schedule();
  }

  /** Packets moved, or -1. */
  #round(): number {
    const { system, stack, fromSystem, fromStack } = this.#options;
    fromSystem.clear();
    if (system.readBatch(fromSystem) < 0) return -1;
    if (fromSystem.count > 0) stack.writeBatch(fromSystem);
    fromStack.clear();
    stack.readBatch(fromStack);
    if (fromStack.count > 0) system.writeBatch(fromStack);
    return fromSystem.count + fromStack.count;
  }

  #end(): void {
    this.#gone = true;
    this.#options.watch.close();
    this.#options.onGone();
  }
}
