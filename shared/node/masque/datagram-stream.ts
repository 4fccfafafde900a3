/**
 * Joins a UDP socket on this machine to a stream of bytes: its datagrams go out as capsules (core/masque), capsules
 * that come in go out of the socket. Used by both ends of the TLS transport. Datagrams may be lost, so nothing waits:
 * whatever one side does not take at once is dropped and counted. Must not look into what it carries.
 */

import type { Duplex } from 'node:stream';
import {
  CapsuleReader,
  datagramCapsuleSize,
  maxDatagramHeaderSize,
  maxDatagramSize,
  writeDatagramHeader,
} from '../../core/masque/capsule.ts';
import type { LoopbackPort } from './loopback-port.ts';

export interface DatagramStreamOptions {
  /** Open in both directions; ended by us. */
  readonly stream: Duplex;
  /** Closed by us. */
  readonly port: LoopbackPort;
  /** What came of the stream before it was ours. */
  readonly head?: Uint8Array;
  /** Without a datagram in either direction for so long it ends. */
  readonly idleMs: number;
  /** Whether a datagram that begins with this byte may go into the stream; default: all. */
  readonly admit?: (firstByte: number) => boolean;
  /** Called once. */
  readonly onEnd: (why: DatagramStreamEnd) => void;
}

export type DatagramStreamEnd = 'closed' | 'malformed' | 'idle' | 'local';

export interface DatagramStreamCounts {
  /** Datagrams into the stream, and out of it. */
  readonly sent: number;
  readonly received: number;
  /** For want of room, in either direction. */
  readonly dropped: number;
}

/** For the last words of a stream. */
const farewellMs = 500;
/** What is written in one turn of the event loop goes into the stream together, this much at most. */
const writeBytes = 64 * 1024;
/** What waits in the stream: about what leaves it in `waitMs`, since more would only be late. */
const waitMs = 100;
const leastBuffered = 256 * 1024;
const firstBuffered = 1024 * 1024;
const mostBuffered = 4 * 1024 * 1024;
const capsuleRoom = maxDatagramHeaderSize + maxDatagramSize;

export class DatagramStream {
  readonly #options: DatagramStreamOptions;
  readonly #reader: CapsuleReader;
  #room: Buffer | undefined;
  #filled = 0;
  #flushing: NodeJS.Immediate | undefined;
  #isEnded = false;
  #sent = 0;
  #received = 0;
  #dropped = 0;
  #seen = 0;
  /** How much may wait now, and what it was judged by: bytes written, bytes that had left, when. */
  #mayWait = firstBuffered;
  #written = 0;
  #left = 0;
  #judgedAt: number = performance.now();
  readonly #idle: NodeJS.Timeout;

  constructor(options: DatagramStreamOptions) {
    this.#options = options;
    this.#reader = new CapsuleReader((bytes, start, end) => this.#deliver(bytes, start, end));
    const { stream, port, head, idleMs } = options;
    this.#idle = setInterval(() => this.#checkIdle(), idleMs);
    this.#idle.unref();
    port.onDatagram = (bytes, start, end) => this.#take(bytes, start, end);
    stream.on('data', (chunk: Buffer) => this.#hear(chunk));
    stream.once('end', () => this.end('closed'));
    stream.once('error', () => this.end('closed'));
    stream.once('close', () => this.end('closed'));
    if (head !== undefined && head.length > 0) this.#hear(head);
  }

  get counts(): DatagramStreamCounts {
    return { sent: this.#sent, received: this.#received, dropped: this.#dropped };
  }

  /** Idempotent. */
  end(why: DatagramStreamEnd = 'local'): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearInterval(this.#idle);
    if (this.#flushing !== undefined) clearImmediate(this.#flushing);
    const { stream, port, onEnd } = this.#options;
    // Whatever it still says is late.
    stream.on('error', () => undefined);
    if (why === 'malformed') stream.destroy();
    else {
      stream.end();
      // Whoever does not read does not keep us.
      setTimeout(() => stream.destroy(), farewellMs).unref();
    }
    port.close();
    onEnd(why);
  }

  #hear(chunk: Uint8Array): void {
    if (!this.#isEnded && !this.#reader.push(chunk)) this.end('malformed');
  }

  #deliver(bytes: Uint8Array, start: number, end: number): void {
    this.#seen++;
    if (this.#isEnded) return;
    const fits = end > start && end - start <= maxDatagramSize;
    if (fits && this.#options.port.send(bytes, start, end)) this.#received++;
    else this.#dropped++;
  }

  #take(bytes: Uint8Array, start: number, end: number): void {
    const { stream, admit } = this.#options;
    if (this.#isEnded) return;
    this.#seen++;
    const length = end - start;
    const size = datagramCapsuleSize(length);
    if (stream.writableLength + this.#filled + size > this.#mayWait || admit?.(bytes[start] ?? 0) === false) {
      this.#dropped++;
      return;
    }
    if (this.#room === undefined || this.#filled + size > this.#room.length) {
      this.#flush();
      this.#room = Buffer.allocUnsafeSlow(Math.max(writeBytes, size > writeBytes ? capsuleRoom : 0));
    }
    const at = this.#filled + writeDatagramHeader(this.#room, this.#filled, length);
    this.#room.set(bytes.subarray(start, end), at);
    this.#filled = at + length;
    this.#sent++;
    this.#flushing ??= setImmediate(() => this.#flush());
  }

  /** Node keeps what it is given until it is sent: each write takes its room along. */
  #flush(): void {
    if (this.#flushing !== undefined) clearImmediate(this.#flushing);
    this.#flushing = undefined;
    const room = this.#room;
    if (room === undefined || this.#filled === 0) return;
    const { stream } = this.#options;
    if (stream.writable) stream.write(room.subarray(0, this.#filled));
    this.#written += this.#filled;
    this.#judge(stream.writableLength);
    this.#room = this.#filled < writeBytes / 2 ? room.subarray(this.#filled) : undefined;
    this.#filled = 0;
  }

  #judge(waiting: number): void {
    const now = performance.now();
    const elapsedMs = now - this.#judgedAt;
    if (elapsedMs < waitMs) return;
    const left = this.#written - waiting;
    const inTime = ((left - this.#left) * waitMs) / elapsedMs;
    // After a pause little has left because little came.
    if (waiting > 0 || inTime > this.#mayWait) {
      this.#mayWait = Math.min(mostBuffered, Math.max(leastBuffered, 2 * inTime));
    }
    this.#left = left;
    this.#judgedAt = now;
  }

  #checkIdle(): void {
    if (this.#seen === 0) this.end('idle');
    this.#seen = 0;
  }
}
