/**
 * Two userspace stacks joined by a path with delay, rate, loss, reordering, duplication and corruption, under
 * a virtual clock: the same seed gives the same run.
 */

import { type MonoMs, monoMs } from '../../shared/core/base/time.ts';
import type { CongestionName } from '../../shared/core/netstack/congestion/congestion.ts';
import type { NetEvent, TcpConnection } from '../../shared/core/netstack/events.ts';
import type { NetLimits } from '../../shared/core/netstack/limits.ts';
import { NetStack } from '../../shared/core/netstack/stack.ts';
import { PacketBatch } from '../../shared/core/packet/batch.ts';
import { seededEntropy, seededRandom } from './seeded.ts';

export interface PathShape {
  /** One way. */
  readonly delayMs?: number;
  readonly loss?: number;
  readonly duplicates?: number;
  readonly corruption?: number;
  /** Share of packets that are held back by up to `reorderMs`. */
  readonly reorder?: number;
  readonly reorderMs?: number;
  /** Bytes per millisecond; default unlimited. */
  readonly rate?: number;
  /** Bytes that may wait for the rate. */
  readonly queueBytes?: number;
}

interface Travelling {
  readonly at: number;
  readonly order: number;
  readonly bytes: Uint8Array;
}

/** A binary heap: the earliest first, of equal times the one that left first. */
class Arrivals {
  readonly #heap: Travelling[] = [];

  nextAt(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  push(one: Travelling): void {
    const heap = this.#heap;
    let i = heap.push(one) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (isSooner(heap[parent]!, one)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = one;
  }

  take(): Travelling {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isSooner(heap[child + 1]!, heap[child]!)) child++;
      if (isSooner(last, heap[child]!)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

function isSooner(a: Travelling, b: Travelling): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

export interface PairOptions {
  readonly seed?: number;
  readonly path?: PathShape;
  readonly congestion?: CongestionName;
  readonly limits?: Partial<NetLimits>;
  readonly mtu?: number;
  readonly acceptAny?: boolean;
  /** Sees every packet that leaves; false drops it. */
  readonly filter?: (from: 0 | 1, packet: Uint8Array, now: number) => boolean;
}

export const addressA = Uint8Array.of(10, 0, 0, 1);
export const addressB = Uint8Array.of(10, 0, 0, 2);
export const address6A = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
export const address6B = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);

export function netBatch(size = 1 << 21, capacity = 1024): PacketBatch {
  return new PacketBatch({
    bytes: new Uint8Array(size),
    arenaStart: 0,
    arenaEnd: size,
    capacity,
    addressCapacity: 1,
  });
}

export class NetPair {
  readonly a: NetStack;
  readonly b: NetStack;
  now = 0;
  /** Packets that left and those that were lost or changed on the way. */
  sent = 0;
  dropped = 0;
  /** Called after every step with the events of both. */
  onEvent: (side: 0 | 1, event: NetEvent) => void = () => {};
  readonly #path: Required<PathShape>;
  readonly #random: () => number;
  readonly #filter: PairOptions['filter'];
  readonly #in = netBatch();
  readonly #out = netBatch();
  /** Towards A and towards B. */
  readonly #travelling = [new Arrivals(), new Arrivals()] as const;
  #order = 0;
  #freeAt: [number, number] = [0, 0];

  constructor(options: PairOptions = {}) {
    const { seed = 1, mtu = 1420, limits = {}, congestion = 'bbr', acceptAny = false } = options;
    this.#path = {
      delayMs: 1,
      loss: 0,
      duplicates: 0,
      corruption: 0,
      reorder: 0,
      reorderMs: 10,
      rate: Number.POSITIVE_INFINITY,
      queueBytes: 1 << 20,
      ...options.path,
    };
    this.#random = seededRandom(seed);
    this.#filter = options.filter;
    const shared = { mtu, limits, congestion, acceptAny };
    this.a = new NetStack({ ...shared, entropy: seededEntropy(seed + 1), addresses: [addressA, address6A] });
    this.b = new NetStack({ ...shared, entropy: seededEntropy(seed + 2), addresses: [addressB, address6B] });
  }

  get time(): MonoMs {
    return monoMs(this.now);
  }

  side(index: 0 | 1): NetStack {
    return index === 0 ? this.a : this.b;
  }

  /** Polls both, moves what they sent onto the path, and announces their events; until nothing more happens now. */
  settle(): void {
    for (let turns = 0; turns < 1000; turns++) {
      let busy = false;
      for (const index of [0, 1] as const) {
        const stack = this.side(index);
        if (stack.nextTimeoutAt() <= this.now) {
          this.#out.clear();
          stack.poll(this.time, this.#out);
          this.#depart(index);
          busy = true;
        }
        busy = this.#announce(index) || busy;
      }
      if (!busy) return;
    }
    throw new Error('the stacks do not come to rest');
  }

  /** Goes to the next thing that happens. False where nothing will, or it is after `until`. */
  step(until = Number.POSITIVE_INFINITY): boolean {
    this.settle();
    const next = Math.min(
      this.a.nextTimeoutAt(),
      this.b.nextTimeoutAt(),
      this.#travelling[0].nextAt(),
      this.#travelling[1].nextAt(),
    );
    if (next === Number.POSITIVE_INFINITY || next > until) return false;
    this.now = Math.max(this.now, next);
    this.#arrive(0);
    this.#arrive(1);
    this.settle();
    return true;
  }

  /** Runs until `done` or the virtual time is over. True where done. */
  runUntil(done: () => boolean, limitMs = 600_000): boolean {
    const until = this.now + limitMs;
    this.settle();
    while (!done()) {
      if (!this.step(until)) {
        if (!done()) return false;
      }
    }
    return true;
  }

  /** Lets the time pass. */
  run(ms: number): void {
    const until = this.now + ms;
    while (this.step(until));
    this.now = until;
    this.settle();
  }

  /** A packet from outside of both. */
  inject(to: 0 | 1, bytes: Uint8Array): void {
    this.#travelling[to].push({ at: this.now, order: this.#order++, bytes });
  }

  #announce(index: 0 | 1): boolean {
    const events = this.side(index).takeEvents();
    for (const event of events) this.onEvent(index, event);
    return events.length > 0;
  }

  #arrive(to: 0 | 1): void {
    const arrivals = this.#travelling[to];
    if (arrivals.nextAt() > this.now) return;
    this.#in.clear();
    this.#out.clear();
    while (arrivals.nextAt() <= this.now && this.#in.count < this.#in.capacity) {
      const { bytes } = arrivals.take();
      const offset = this.#in.reserve(bytes.length);
      if (offset < 0 || !this.#in.push(offset, bytes.length)) throw new Error('the batch is too small');
      this.#in.bytes.set(bytes, offset);
    }
    this.side(to).handlePackets(this.#in, this.time, this.#out);
    this.#depart(to);
  }

  #depart(from: 0 | 1): void {
    const out = this.#out;
    for (let i = 0; i < out.count; i++) {
      const at = out.offset[i]!;
      this.#send(from, out.bytes.slice(at, at + out.length[i]!));
    }
    out.clear();
  }

  #send(from: 0 | 1, bytes: Uint8Array): void {
    const path = this.#path;
    this.sent++;
    if (this.#filter !== undefined && !this.#filter(from, bytes, this.now)) {
      this.dropped++;
      return;
    }
    if (this.#random() < path.loss) {
      this.dropped++;
      return;
    }
    let leaves = this.now;
    if (path.rate !== Number.POSITIVE_INFINITY) {
      const free = Math.max(this.now, this.#freeAt[from]);
      if ((free - this.now) * path.rate > path.queueBytes) {
        this.dropped++;
        return;
      }
      leaves = free + bytes.length / path.rate;
      this.#freeAt[from] = leaves;
    }
    const copies = this.#random() < path.duplicates ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const late = this.#random() < path.reorder ? this.#random() * path.reorderMs : 0;
      const content = bytes.slice();
      if (this.#random() < path.corruption) {
        content[Math.floor(this.#random() * content.length)]! ^= 1 + Math.floor(this.#random() * 255);
        this.dropped++;
      }
      const at = leaves + path.delayMs + late;
      this.#travelling[from === 0 ? 1 : 0].push({ at, order: this.#order++, bytes: content });
    }
  }
}

/** What a byte of a stream is, so that every one can be checked. */
export function streamByte(position: number, salt: number): number {
  return (Math.imul(position ^ salt, 0x9e3779b1) >>> 24) ^ (position & 0xff);
}

/** Sends `size` bytes of a known stream as room comes, then closes. */
export class StreamSource {
  sent = 0;
  readonly #size: number;
  readonly #salt: number;
  readonly #chunk = new Uint8Array(16_384);
  readonly #closes: boolean;

  constructor(size: number, salt: number, closes = true) {
    this.#size = size;
    this.#salt = salt;
    this.#closes = closes;
  }

  pump(connection: TcpConnection): void {
    while (this.sent < this.#size) {
      const count = Math.min(this.#chunk.length, this.#size - this.sent);
      for (let i = 0; i < count; i++) this.#chunk[i] = streamByte(this.sent + i, this.#salt);
      const taken = connection.write(this.#chunk, 0, count);
      this.sent += taken;
      if (taken < count) return;
    }
    if (this.#closes) connection.close();
  }
}

/** Reads and checks the same stream. */
export class StreamSink {
  received = 0;
  wrong = 0;
  ended = false;
  readonly #salt: number;
  readonly #chunk = new Uint8Array(16_384);

  constructor(salt: number) {
    this.#salt = salt;
  }

  drain(connection: TcpConnection, most = Number.POSITIVE_INFINITY): void {
    let left = most;
    while (left > 0) {
      const count = connection.read(left < this.#chunk.length ? this.#chunk.subarray(0, left) : this.#chunk);
      if (count === 0) break;
      for (let i = 0; i < count; i++) {
        if (this.#chunk[i] !== streamByte(this.received + i, this.#salt)) this.wrong++;
      }
      this.received += count;
      left -= count;
    }
    if (connection.hasEnded) this.ended = true;
  }
}
