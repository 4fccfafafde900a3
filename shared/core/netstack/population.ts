/** How many connections there are, in all and of each remote source, and which may still come. */

import type { NetLimits } from './limits.ts';
import type { Tcb } from './tcb.ts';

interface SourceCount {
  connections: number;
  halfOpen: number;
}

export class Population {
  readonly #limits: NetLimits;
  /** Bounded by the number of connections: a source without any is forgotten. */
  readonly #sources = new Map<string, SourceCount>();
  /** In the order of their coming. */
  readonly #timeWait = new Set<Tcb>();
  #connections = 0;
  #halfOpen = 0;

  constructor(limits: NetLimits) {
    this.#limits = limits;
  }

  get connections(): number {
    return this.#connections;
  }

  get halfOpen(): number {
    return this.#halfOpen;
  }

  get timeWait(): number {
    return this.#timeWait.size;
  }

  get sources(): number {
    return this.#sources.size;
  }

  /** Whether one more may be opened by us. */
  hasRoom(): boolean {
    return this.#connections < this.#limits.connections;
  }

  /** Whether one more SYN of this source may wait for its decision. */
  hasRoomFor(source: string): boolean {
    const limits = this.#limits;
    if (!this.hasRoom() || this.#halfOpen >= limits.halfOpen) return false;
    const count = this.#sources.get(source);
    if (count === undefined) return true;
    return count.connections < limits.connectionsPerSource && count.halfOpen < limits.halfOpenPerSource;
  }

  enter(tcb: Tcb): void {
    tcb.isCounted = true;
    this.#connections++;
    if (tcb.source === undefined) return;
    const count = this.#sources.get(tcb.source) ?? { connections: 0, halfOpen: 0 };
    this.#sources.set(tcb.source, count);
    count.connections++;
    count.halfOpen++;
    this.#halfOpen++;
    tcb.isHalfOpen = true;
  }

  opened(tcb: Tcb): void {
    if (!tcb.isHalfOpen || tcb.source === undefined) return;
    tcb.isHalfOpen = false;
    this.#halfOpen--;
    const count = this.#sources.get(tcb.source);
    if (count !== undefined) count.halfOpen--;
  }

  /** Returns the one whose TIME-WAIT must end for it, if there are too many. */
  enterTimeWait(tcb: Tcb): Tcb | undefined {
    this.#uncount(tcb);
    this.#timeWait.add(tcb);
    if (this.#timeWait.size <= this.#limits.timeWait) return undefined;
    const [oldest] = this.#timeWait;
    return oldest;
  }

  leave(tcb: Tcb): void {
    this.#timeWait.delete(tcb);
    this.#uncount(tcb);
  }

  #uncount(tcb: Tcb): void {
    if (!tcb.isCounted) return;
    this.opened(tcb);
    tcb.isCounted = false;
    this.#connections--;
    if (tcb.source === undefined) return;
    const count = this.#sources.get(tcb.source);
    if (count === undefined) return;
    count.connections--;
    if (count.connections === 0) this.#sources.delete(tcb.source);
  }
}

/** Who is counted as one source: an IPv4 address, the first half of an IPv6 address. */
export function sourceOf(address: Uint8Array): string {
  const size = address.length === 4 ? 4 : 8;
  let text = '';
  for (let i = 0; i < size; i += 2) text += String.fromCharCode((address[i]! << 8) | address[i + 1]!);
  return text;
}
