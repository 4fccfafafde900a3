/**
 * The edge's own UDP ports for those whose network lets no UDP through (RFC 9298): each stream gets a socket of its own
 * that speaks with the tunnel's port on this machine and with nothing else, so nobody reaches any other place by it. Who
 * they are WireGuard asks, as it does over UDP. Must not send before it was sent to.
 */

import type { Duplex } from 'node:stream';
import type { Log } from '../../shared/core/base/ports.ts';
import type { UdpTarget } from '../../shared/core/masque/request.ts';
import { DatagramStream, type DatagramStreamCounts } from '../../shared/node/masque/datagram-stream.ts';
import { type LoopbackPort, openLoopbackPort } from '../../shared/node/masque/loopback-port.ts';

/** How the edge is called and where its tunnel listens. */
export interface OwnPlaces {
  /** Name or address that devices are told; undefined where nobody said. */
  readonly host: string | undefined;
  readonly udpPorts: readonly number[];
}

export interface UdpStreamsOptions {
  readonly own: () => OwnPlaces;
  readonly log: Log;
  readonly limits?: Partial<UdpStreamLimits>;
}

export interface UdpStreamLimits {
  /** Streams at a time, in all and of one source. */
  readonly streams: number;
  readonly perSource: number;
  /** Without a datagram; WireGuard's keepalives keep one alive. */
  readonly idleMs: number;
}

export interface UdpAsker {
  /** Who asks, as limits count. */
  readonly source: string;
  /** By which of our addresses and names the request came. */
  readonly names: readonly (string | undefined)[];
}

/** 'elsewhere': not a place of ours; 'full': later perhaps. */
export type UdpRefusal = 'elsewhere' | 'full';

/** A socket waits for its stream. Exactly one of the two must be called. */
export interface UdpOpening {
  join(stream: Duplex, head?: Uint8Array): void;
  abandon(): void;
}

export const defaultUdpStreamLimits: UdpStreamLimits = { streams: 1024, perSource: 16, idleMs: 180_000 };

/** Inside the tunnel and for those who know the edge by no other name. */
const edgeName = 'edge.culvert';
/** 127.83.0.0/16: by their own addresses the tunnel tells askers apart where it is under load. */
const loopbackNet = '127.83';

/** An address that streams have towards the tunnel, and nobody else. */
export function isStreamAddress(address: string): boolean {
  return address.startsWith(`${loopbackNet}.`);
}

export class UdpStreams {
  readonly #options: UdpStreamsOptions;
  readonly #limits: UdpStreamLimits;
  readonly #sources = new Map<string, number>();
  readonly #open = new Set<DatagramStream>();
  #taken = 0;
  #turn = 0;
  #isClosed = false;
  readonly #ended = { sent: 0, received: 0, dropped: 0 };

  constructor(options: UdpStreamsOptions) {
    this.#options = options;
    this.#limits = { ...defaultUdpStreamLimits, ...options.limits };
  }

  /** Streams that are open. */
  get size(): number {
    return this.#open.size;
  }

  get counts(): DatagramStreamCounts {
    const sum = { ...this.#ended };
    for (const stream of this.#open) add(sum, stream.counts);
    return sum;
  }

  /** Opens the socket; the stream follows once its asker was answered. Rejects where this system has no socket. */
  async open(target: UdpTarget, asker: UdpAsker): Promise<UdpOpening | UdpRefusal> {
    if (!this.#isOwn(target, asker)) return 'elsewhere';
    const { source } = asker;
    const { streams, perSource } = this.#limits;
    const count = this.#sources.get(source) ?? 0;
    if (this.#isClosed || this.#taken >= streams || count >= perSource) return 'full';
    this.#taken++;
    this.#sources.set(source, count + 1);
    try {
      const port = await openLoopbackPort(target.port, this.#options.log, this.#nextAddress());
      return {
        abandon: () => {
          port.close();
          this.#release(source);
        },
        join: (stream, head) => this.#join({ stream, port, source, head }),
      };
    } catch (error) {
      this.#release(source);
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const stream of this.#open) stream.end();
  }

  #join(joining: {
    readonly stream: Duplex;
    readonly port: LoopbackPort;
    readonly source: string;
    readonly head: Uint8Array | undefined;
  }): void {
    const { stream, port, source, head } = joining;
    const { log } = this.#options;
    const one = new DatagramStream({
      stream,
      port,
      idleMs: this.#limits.idleMs,
      ...(head === undefined ? {} : { head }),
      onEnd: (why) => {
        // What is malformed at once ends before there is anything to forget.
        queueMicrotask(() => {
          if (this.#open.delete(one)) add(this.#ended, one.counts);
          this.#release(source);
          log.debug('a stream of datagrams ended', { why });
        });
      },
    });
    this.#open.add(one);
    if (this.#isClosed) one.end();
  }

  #release(source: string): void {
    this.#taken--;
    const left = (this.#sources.get(source) ?? 1) - 1;
    if (left <= 0) this.#sources.delete(source);
    else this.#sources.set(source, left);
  }

  /** A name proves nothing, and need not: whatever it is, what is reached is this machine's tunnel. */
  #isOwn({ host, port }: UdpTarget, { names }: UdpAsker): boolean {
    const own = this.#options.own();
    if (!own.udpPorts.includes(port)) return false;
    return [edgeName, own.host, ...names].some((name) => name !== undefined && name.toLowerCase() === host);
  }

  #nextAddress(): string {
    this.#turn = (this.#turn + 1) % 0xffff;
    return `${loopbackNet}.${this.#turn >> 8}.${this.#turn & 0xff || 1}`;
  }
}

function add(sum: { sent: number; received: number; dropped: number }, counts: DatagramStreamCounts): void {
  sum.sent += counts.sent;
  sum.received += counts.received;
  sum.dropped += counts.dropped;
}
