/** A peer made of single segments: what it sends is written in the test, what the stack sends is read back. */

import { monoMs } from '../../../../../shared/core/base/time.ts';
import type { NetEvent, TcpConnection } from '../../../../../shared/core/netstack/events.ts';
import { briefAckMs } from '../../../../../shared/core/netstack/limits.ts';
import { NetStack, type NetStackOptions } from '../../../../../shared/core/netstack/stack.ts';
import { batchOf, emptyBatch, packetsOf } from '../../../../support/batches.ts';
import { tcpPacket, transportError } from '../../../../support/packets.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

export const own = [10, 0, 0, 2];
export const theirs = [10, 0, 0, 1];
export const own6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
export const theirs6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
export const elsewhere = [203, 0, 113, 7];

const flagLetters = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'];

/** A segment that the stack sent; numbers relative to the initial ones where those are known. */
export interface Sent {
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly window: number;
  readonly length: number;
  readonly payload: Uint8Array;
  readonly mss?: number;
  readonly scale?: number;
  readonly sackPermitted: boolean;
  readonly timestamps?: readonly [value: number, echo: number];
  readonly sack: readonly (readonly [number, number])[];
  readonly raw: Uint8Array;
}

export interface Segment {
  readonly flags?: string;
  /** Relative to the peer's initial number: 0 is the SYN. */
  readonly seq?: number;
  /** Relative to the stack's initial number. */
  readonly ack?: number;
  readonly window?: number;
  readonly payload?: Uint8Array;
  readonly options?: readonly number[];
  /** Adds the time stamp option. */
  readonly ts?: readonly [value: number, echo: number];
  readonly from?: readonly number[];
  readonly to?: readonly number[];
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

export const synOptions: number[] = [2, 4, 5, 80, 1, 1, 4, 2, 1, 3, 3, 7];

export class Script {
  readonly stack: NetStack;
  now = 1000;
  /** Absolute initial numbers. */
  peerInitial = 0x7fff_ff00;
  stackInitial = 0;
  events: NetEvent[] = [];
  peerPort = 4000;
  stackPort = 80;
  version: 4 | 6 = 4;

  constructor(options: Partial<NetStackOptions> = {}) {
    this.stack = new NetStack({
      entropy: seededEntropy(7),
      addresses: [Uint8Array.from(own), Uint8Array.from(own6)],
      mtu: 1420,
      congestion: 'newreno',
      ...options,
    });
    this.stack.listenTcp(80);
  }

  /** Raw packets in; raw packets out. */
  deliver(...packets: Uint8Array[]): Uint8Array[] {
    const out = emptyBatch();
    this.stack.handlePackets(batchOf(packets), monoMs(this.now), out);
    return this.#collect(packetsOf(out));
  }

  poll(): Uint8Array[] {
    const out = emptyBatch();
    this.stack.poll(monoMs(this.now), out);
    return this.#collect(packetsOf(out));
  }

  /** What the stack sends as time passes, each with its time. */
  pass(ms: number): (Sent & { readonly at: number })[] {
    const until = this.now + ms;
    const sent: (Sent & { readonly at: number })[] = [];
    for (let turns = 0; turns < 10_000; turns++) {
      const next = this.stack.nextTimeoutAt();
      if (next > until) break;
      this.now = Math.max(this.now, next);
      for (const one of this.#parse(this.poll())) sent.push({ ...one, at: this.now - (until - ms) });
    }
    this.now = until;
    return sent;
  }

  /** Sends segments in one batch; gives what the stack answers at once. */
  send(...segments: Segment[]): Sent[] {
    return this.#parse(this.deliver(...segments.map((one) => this.packet(one))));
  }

  /** What commands made ready. */
  flush(): Sent[] {
    return this.#parse(this.poll());
  }

  packet(one: Segment): Uint8Array {
    let flags = 0;
    for (const letter of one.flags ?? 'A') flags |= 1 << flagLetters.indexOf(letter);
    const ts = one.ts === undefined ? [] : [1, 1, 8, 10, ...word(one.ts[0]), ...word(one.ts[1])];
    const v6 = this.version === 6;
    return tcpPacket({
      version: this.version,
      source: one.from ?? (v6 ? theirs6 : theirs),
      destination: one.to ?? (v6 ? own6 : own),
      sourcePort: one.sourcePort ?? this.peerPort,
      destinationPort: one.destinationPort ?? this.stackPort,
      sequence: (this.peerInitial + (one.seq ?? 1)) | 0,
      acknowledgement: (flags & 0x10) === 0 ? 0 : (this.stackInitial + (one.ack ?? 1)) | 0,
      flags,
      window: one.window ?? 60_000,
      options: [...(one.options ?? []), ...ts],
      ...(one.payload === undefined ? {} : { payload: one.payload }),
    });
  }

  /** Events of a kind so far. */
  of<K extends NetEvent['kind']>(kind: K): Extract<NetEvent, { kind: K }>[] {
    return this.events.filter((event): event is Extract<NetEvent, { kind: K }> => event.kind === kind);
  }

  get closed(): string | undefined {
    return this.of('tcp-closed').at(-1)?.end;
  }

  /** The peer connects and the stack accepts. Without options where none are given. */
  open(options: readonly number[] = synOptions, ts?: readonly [number, number]): TcpConnection {
    this.send({ flags: 'S', seq: 0, options, ...(ts === undefined ? {} : { ts }) });
    const { connection } = this.of('tcp-incoming').at(-1)!;
    this.stack.accept(connection);
    const [answer] = this.flush();
    if (answer?.flags !== 'SA') throw new Error('no SYN-ACK');
    this.send(ts === undefined ? {} : { ts: [ts[0], answer.timestamps![0]] });
    if (connection.state !== 'established') throw new Error(`not established: ${connection.state}`);
    return connection;
  }

  /** The stack connects and the peer answers. */
  connect(options: readonly number[] = synOptions): TcpConnection {
    const connection = this.stack.connectTcp({
      destination: Uint8Array.from(this.version === 6 ? theirs6 : theirs),
      port: this.peerPort,
    })!;
    this.flush();
    this.send({ flags: 'SA', seq: 0, ack: 1, options });
    this.pass(briefAckMs);
    if (connection.state !== 'established') throw new Error(`not established: ${connection.state}`);
    return connection;
  }

  #collect(packets: Uint8Array[]): Uint8Array[] {
    this.events.push(...this.stack.takeEvents());
    return packets;
  }

  #parse(packets: Uint8Array[]): Sent[] {
    return packets.map((raw) => this.#parseOne(raw));
  }

  #parseOne(raw: Uint8Array): Sent {
    const at = raw[0]! >> 4 === 4 ? 20 : 40;
    if (transportError(raw, at) !== 0) throw new Error('the stack sent a wrong checksum');
    const view = new DataView(raw.buffer, raw.byteOffset + at);
    const bits = raw[at + 13]!;
    const flags = flagLetters.filter((_, i) => (bits >> i) & 1).join('');
    const header = (raw[at + 12]! >> 4) * 4;
    if (flags.includes('S')) {
      this.stackInitial = view.getInt32(4);
      this.stackPort = view.getUint16(0);
    }
    const relative = (absolute: number): number => (absolute - this.peerInitial) | 0;
    return {
      flags,
      seq: (view.getInt32(4) - this.stackInitial) | 0,
      ack: bits & 0x10 ? relative(view.getInt32(8)) : 0,
      window: view.getUint16(14),
      length: raw.length - at - header,
      payload: raw.slice(at + header),
      raw,
      ...readOptions(raw, at + 20, at + header, relative),
    };
  }
}

function readOptions(
  raw: Uint8Array,
  start: number,
  end: number,
  relative: (n: number) => number,
): Pick<Sent, 'sackPermitted' | 'sack' | 'mss' | 'scale' | 'timestamps'> {
  const view = new DataView(raw.buffer, raw.byteOffset);
  const found = { sackPermitted: false, sack: [] as [number, number][] } as {
    sackPermitted: boolean;
    sack: [number, number][];
    mss?: number;
    scale?: number;
    timestamps?: [number, number];
  };
  for (let at = start; at < end; ) {
    const kind = raw[at]!;
    if (kind === 0) break;
    if (kind === 1) {
      at++;
      continue;
    }
    const size = raw[at + 1]!;
    if (kind === 2) found.mss = view.getUint16(at + 2);
    if (kind === 3) found.scale = raw[at + 2]!;
    if (kind === 4) found.sackPermitted = true;
    if (kind === 8) found.timestamps = [view.getInt32(at + 2), view.getInt32(at + 6)];
    if (kind === 5) {
      for (let i = at + 2; i < at + size; i += 8) {
        found.sack.push([relative(view.getInt32(i)), relative(view.getInt32(i + 4))]);
      }
    }
    at += size;
  }
  return found;
}

/** A SACK option, with its padding, from numbers relative to the stack's initial one. */
export function sackOption(script: Script, ...blocks: [number, number][]): number[] {
  const bytes = blocks.flatMap(([from, to]) => [
    ...word((script.stackInitial + from) | 0),
    ...word((script.stackInitial + to) | 0),
  ]);
  return [1, 1, 5, 2 + bytes.length, ...bytes];
}

function word(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

export function readAll(connection: TcpConnection): number[] {
  const room = new Uint8Array(1 << 20);
  return [...room.subarray(0, connection.read(room))];
}
