/**
 * UdpPort for tests and simulations: a wire inside one process, with loss, delay, duplication and
 * reordering by an explicit clock and a given source of chance. No system is asked for anything.
 */

import { endpointSize } from '../../core/base/endpoint.ts';
import type { MonoMs } from '../../core/base/time.ts';
import { after, monoMs } from '../../core/base/time.ts';
import { CulvertError } from '../../core/control/codes.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';
import { errno } from '../ffi/errno.ts';
import type { UdpPort } from './port.ts';

export interface UdpWireOptions {
  /** Chance: numbers in [0, 1). Seeded by the test. */
  readonly random: () => number;
  /** Share of datagrams that vanish, 0 to 1. */
  readonly loss?: number;
  /** Share of datagrams that arrive twice. */
  readonly duplication?: number;
  /** Each datagram takes a time between these, milliseconds; a difference reorders. Default 0. */
  readonly minDelayMs?: number;
  readonly maxDelayMs?: number;
}

/** The addresses of a port: 4 bytes, 16 bytes. A family that is absent is not reachable. */
export interface UdpMemoryAddresses {
  readonly v4?: Uint8Array;
  readonly v6?: Uint8Array;
}

interface Datagram {
  readonly bytes: Uint8Array;
  /** Endpoint record of the sender, as the receiver will see it. */
  readonly record: Uint8Array;
  readonly tos: number;
}

interface Flight {
  readonly due: MonoMs;
  readonly to: UdpMemory;
  readonly datagram: Datagram;
}

/** Datagrams under way on the whole wire, and waiting at one port. More are lost. */
const maxInFlight = 65_536;
const maxWaiting = 8192;
const firstFreePort = 49_152;
const largestDatagram = 65_507;

export class UdpWire {
  readonly #options: UdpWireOptions;
  readonly #ports: UdpMemory[] = [];
  #flights: Flight[] = [];
  #now: MonoMs = monoMs(0);
  #nextFree = firstFreePort;
  /** Datagrams that the wire lost: by chance, for want of a receiver or of room. */
  lost = 0;

  constructor(options: UdpWireOptions) {
    this.#options = options;
  }

  /** A new end of the wire, closed at first. */
  port(addresses: UdpMemoryAddresses): UdpMemory {
    const port = new UdpMemory(this, addresses);
    this.#ports.push(port);
    return port;
  }

  /** When the next datagram arrives, if one is under way. */
  nextTimeout(): MonoMs | undefined {
    let first: MonoMs | undefined;
    for (const flight of this.#flights) {
      if (first === undefined || flight.due < first) first = flight.due;
    }
    return first;
  }

  /** Moves the wire's clock on and delivers what is due, earliest first. */
  advance(now: MonoMs): void {
    if (now > this.#now) this.#now = now;
    const due = this.#flights.filter((flight) => flight.due <= this.#now);
    if (due.length === 0) return;
    this.#flights = this.#flights.filter((flight) => flight.due > this.#now);
    for (const flight of due.toSorted((a, b) => a.due - b.due)) this.#deliver(flight.to, flight.datagram);
  }

  /** Called by ports. False where nothing can take the datagram on. */
  carry(record: Uint8Array, recordAt: number, datagram: Datagram): boolean {
    const { random, loss = 0, duplication = 0, minDelayMs = 0, maxDelayMs = minDelayMs } = this.#options;
    const to = this.#ports.find((port) => port.owns(record, recordAt));
    const copies = random() < duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (to === undefined || random() < loss || this.#flights.length === maxInFlight) {
        this.lost++;
        continue;
      }
      const delayMs = minDelayMs + random() * (maxDelayMs - minDelayMs);
      if (delayMs === 0) this.#deliver(to, datagram);
      else this.#flights.push({ due: after(this.#now, delayMs), to, datagram });
    }
    return true;
  }

  /** Called by ports: the number to bind, or undefined where it is taken on one of the addresses. */
  claim(by: UdpMemory, port: number): number | undefined {
    if (port === 0) return this.#nextFree++;
    const taken = this.#ports.some((other) => other !== by && other.localPort === port && other.shares(by));
    return taken ? undefined : port;
  }

  #deliver(to: UdpMemory, datagram: Datagram): void {
    if (!to.arrive(datagram)) this.lost++;
  }
}

export class UdpMemory implements UdpPort {
  readonly description = 'memory';
  readonly pollFds: readonly number[] = [];
  onReadable: (() => void) | undefined;
  /** The firewall mark last set, for tests to look at. */
  mark = 0;
  readonly #wire: UdpWire;
  #addresses: UdpMemoryAddresses;
  #port = 0;
  readonly #waiting: Datagram[] = [];

  /** Made by UdpWire.port. */
  constructor(wire: UdpWire, addresses: UdpMemoryAddresses) {
    this.#wire = wire;
    this.#addresses = addresses;
  }

  get localPort(): number {
    return this.#port;
  }

  /** Roams: from now on this end has other addresses. */
  moveTo(addresses: UdpMemoryAddresses): void {
    this.#addresses = addresses;
  }

  bind(port: number): void {
    const claimed = this.#wire.claim(this, port);
    if (claimed === undefined) throw new CulvertError('port-in-use', { errno: errno.EADDRINUSE });
    this.#port = claimed;
  }

  setMark(mark: number): void {
    this.mark = mark;
  }

  readBatch(batch: PacketBatch): number {
    let count = 0;
    while (this.#waiting.length > 0 && batch.count < batch.capacity) {
      const { bytes, record, tos } = this.#waiting[0]!;
      const start = batch.cursor;
      const at = batch.reserve(bytes.length);
      const address = at < 0 ? -1 : batch.addAddress(record, 0);
      if (address < 0) {
        batch.cursor = start;
        break;
      }
      batch.bytes.set(bytes, at);
      batch.push(at, bytes.length, address, tos);
      this.#waiting.shift();
      count++;
    }
    return count;
  }

  writeBatch(batch: PacketBatch): number {
    let dropped = 0;
    for (let i = 0; i < batch.count; i++) {
      const recordAt = batch.address[i]! * endpointSize;
      const record = this.#sourceRecord(batch.addresses, recordAt);
      const length = batch.length[i]!;
      if (record === undefined || length > largestDatagram) {
        dropped++;
        continue;
      }
      const offset = batch.offset[i]!;
      const bytes = batch.bytes.slice(offset, offset + length);
      this.#wire.carry(batch.addresses, recordAt, { bytes, record, tos: batch.tos[i]! });
    }
    return dropped;
  }

  close(): void {
    this.#port = 0;
    this.#waiting.length = 0;
  }

  /** Called by the wire: takes a datagram in, false where the port is closed or full. */
  arrive(datagram: Datagram): boolean {
    if (this.#port === 0 || this.#waiting.length >= maxWaiting) return false;
    this.#waiting.push(datagram);
    this.onReadable?.();
    return true;
  }

  /** Called by the wire: is this record our address and port? */
  owns(record: Uint8Array, at: number): boolean {
    if (this.#port === 0 || record[at + 2]! * 256 + record[at + 3]! !== this.#port) return false;
    const mine = record[at] === 4 ? this.#addresses.v4 : this.#addresses.v6;
    return mine?.every((byte, i) => record[at + 4 + i] === byte) ?? false;
  }

  /** Called by the wire: have the two an address in common? */
  shares(other: UdpMemory): boolean {
    const same = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
      a !== undefined && b !== undefined && a.every((byte, i) => byte === b[i]);
    return same(this.#addresses.v4, other.#addresses.v4) || same(this.#addresses.v6, other.#addresses.v6);
  }

  /** What the receiver will see: our address and port, and its own address as the local side. */
  #sourceRecord(to: Uint8Array, at: number): Uint8Array | undefined {
    const family = to[at]!;
    const mine = family === 4 ? this.#addresses.v4 : family === 6 ? this.#addresses.v6 : undefined;
    if (mine === undefined || this.#port === 0) return undefined;
    const record = new Uint8Array(endpointSize);
    record[0] = family;
    record[2] = this.#port >>> 8;
    record[3] = this.#port;
    record.set(mine, 4);
    record.set(to.subarray(at + 4, at + 4 + mine.length), 24);
    return record;
  }
}
