/**
 * One direction of a bad link: a line of limited rate with a bounded queue, then delay, jitter, loss, copies
 * and overtaking. Pure: told the time and given its chance; holds numbers of packets ("slots"), never bytes.
 */

import { assert } from '../../core/base/assert.ts';
import { after, type MonoMs } from '../../core/base/time.ts';

/** Everything is absent = 0 = as on a perfect link. Percentages are 0 to 100. */
export interface Impairment {
  /** One way. */
  readonly delayMs?: number;
  /** Up to so much more delay, evenly. Packets stay in order. */
  readonly jitterMs?: number;
  readonly lossPercent?: number;
  /** Share of packets that arrive twice. */
  readonly duplicatePercent?: number;
  /** Share of packets that come late by `reorderMs`, so that later ones overtake them. */
  readonly reorderPercent?: number;
  /** Default 5. */
  readonly reorderMs?: number;
  /** Of the line, 10^6 bits of IP packets a second. */
  readonly rateMbit?: number;
  /** What may wait for the line, in its own time; default 50. More is dropped. */
  readonly queueMs?: number;
}

export interface LinkCounts {
  /** Packets that came, whatever became of them. */
  packets: number;
  bytes: number;
  lost: number;
  /** The line's queue was full. */
  queueFull: number;
  /** More under way than the link has places for. */
  linkFull: number;
  duplicated: number;
  reordered: number;
  delivered: number;
  deliveredBytes: number;
}

export type LinkVerdict = 'ok' | 'lost' | 'queue-full' | 'link-full';

const defaultQueueMs = 50;
const defaultReorderMs = 5;
const bitsPerByte = 8;

export class ImpairedLink {
  readonly counts: LinkCounts = {
    packets: 0,
    bytes: 0,
    lost: 0,
    queueFull: 0,
    linkFull: 0,
    duplicated: 0,
    reordered: 0,
    delivered: 0,
    deliveredBytes: 0,
  };
  /** Of the packet that takeDue gave last: how often it arrives. */
  copies = 1;
  readonly #chance: () => number;
  #impairment: Impairment;
  /** When the line has sent what waits for it. */
  #lineFree = 0;
  /** Packets that keep their order are never due before the one ahead of them. */
  #lastDue = 0;
  /** A heap of slots: the one that is due first is at 0; among equals, the one that came first. */
  readonly #heap: Uint32Array;
  #size = 0;
  // By slot.
  readonly #due: Float64Array;
  readonly #order: Float64Array;
  readonly #length: Uint32Array;
  readonly #copies: Uint8Array;
  #orders = 0;

  /** `chance` gives numbers in [0, 1). Slots are 0 to `slots` - 1; at most so many are under way. */
  constructor(impairment: Impairment, slots: number, chance: () => number) {
    this.#impairment = impairment;
    this.#chance = chance;
    this.#heap = new Uint32Array(slots);
    this.#due = new Float64Array(slots);
    this.#order = new Float64Array(slots);
    this.#length = new Uint32Array(slots);
    this.#copies = new Uint8Array(slots);
  }

  /** For packets that come from now on; those under way keep their time. */
  change(impairment: Impairment): void {
    this.#impairment = impairment;
    this.#lineFree = 0;
  }

  /** A packet comes. 'ok': the slot belongs to the link until takeDue gives it back. */
  handlePacket(slot: number, length: number, now: MonoMs): LinkVerdict {
    assert(slot < this.#heap.length, 'the slot is one of the link');
    const { lossPercent = 0, duplicatePercent = 0, reorderPercent = 0 } = this.#impairment;
    const { delayMs = 0, jitterMs = 0, reorderMs = defaultReorderMs } = this.#impairment;
    const { counts } = this;
    counts.packets++;
    counts.bytes += length;
    // The same number of draws for each packet: changing one setting leaves the fate of packets in the others.
    const isLost = this.#chance() * 100 < lossPercent;
    const isTwice = this.#chance() * 100 < duplicatePercent;
    const isLate = this.#chance() * 100 < reorderPercent;
    const jitter = this.#chance() * jitterMs;
    const sent = this.#lineSends(length, now);
    if (sent === undefined) {
      counts.queueFull++;
      return 'queue-full';
    }
    if (isLost) {
      counts.lost++;
      return 'lost';
    }
    let due = sent + delayMs + jitter;
    if (isLate) {
      due += reorderMs;
      counts.reordered++;
    } else {
      due = Math.max(due, this.#lastDue);
      this.#lastDue = due;
    }
    if (isTwice) counts.duplicated++;
    this.#length[slot] = length;
    this.#copies[slot] = isTwice ? 2 : 1;
    this.#due[slot] = due;
    this.#order[slot] = this.#orders++;
    this.#push(slot);
    return 'ok';
  }

  /** Whoever has no slot left for a packet that came says so, so that it is counted. */
  handleOverflow(length: number): void {
    this.counts.packets++;
    this.counts.bytes += length;
    this.counts.linkFull++;
  }

  /** When the next packet is due. */
  nextTimeout(): MonoMs | undefined {
    return this.#size === 0 ? undefined : after(0 as MonoMs, this.#due[this.#heap[0] ?? 0] ?? 0);
  }

  /** Takes the next packet that is due by `now`, or -1. It arrives `copies` times; the slot is the caller's again. */
  takeDue(now: MonoMs): number {
    if (this.#size === 0) return -1;
    const slot = this.#heap[0] ?? 0;
    if ((this.#due[slot] ?? 0) > now) return -1;
    this.#size--;
    if (this.#size > 0) {
      this.#heap[0] = this.#heap[this.#size] ?? 0;
      this.#sink();
    }
    this.copies = this.#copies[slot] ?? 1;
    this.counts.delivered += this.copies;
    this.counts.deliveredBytes += this.copies * (this.#length[slot] ?? 0);
    return slot;
  }

  /** Packets under way. */
  get size(): number {
    return this.#size;
  }

  /** When the line has sent the packet; undefined where its queue is full. */
  #lineSends(length: number, now: MonoMs): number | undefined {
    const { rateMbit = 0, queueMs = defaultQueueMs } = this.#impairment;
    if (rateMbit === 0) return now;
    const start = Math.max(now, this.#lineFree);
    if (start - now > queueMs) return undefined;
    this.#lineFree = start + (length * bitsPerByte) / (rateMbit * 1000);
    return this.#lineFree;
  }

  #push(slot: number): void {
    let at = this.#size++;
    while (at > 0) {
      const above = (at - 1) >>> 1;
      const other = this.#heap[above] ?? 0;
      if (!this.#isBefore(slot, other)) break;
      this.#heap[at] = other;
      at = above;
    }
    this.#heap[at] = slot;
  }

  /** Moves the slot at the top down to its place. */
  #sink(): void {
    const slot = this.#heap[0] ?? 0;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= this.#size) break;
      const right = below + 1;
      if (right < this.#size && this.#isBefore(this.#heap[right] ?? 0, this.#heap[below] ?? 0)) below = right;
      const other = this.#heap[below] ?? 0;
      if (!this.#isBefore(other, slot)) break;
      this.#heap[at] = other;
      at = below;
    }
    this.#heap[at] = slot;
  }

  #isBefore(a: number, b: number): boolean {
    const [dueA = 0, dueB = 0] = [this.#due[a], this.#due[b]];
    return dueA < dueB || (dueA === dueB && (this.#order[a] ?? 0) < (this.#order[b] ?? 0));
  }
}
