/**
 * One TCP connection of the userspace stack as a Node stream: `end` is FIN, `destroy` is RST, the other side's
 * FIN is 'end', a broken connection is 'error'. Backpressure both ways: the receive window opens only as the
 * reader reads, a write waits until the stack has room.
 */

import { Duplex, type Writable } from 'node:stream';
import type { TcpConnection, TcpEnd } from '../../core/netstack/events.ts';
import { roomBytes, takeRoom } from './read-room.ts';

/** Bytes that the stream may hold in each direction, besides the stack's own queues. */
const highWaterMark = 128 * 1024;
/** From this size on a read takes a whole room: smaller pieces would hold several times what they count. */
const smallestInRoom = 16 * 1024;
/** Pieces up to this size share Node's pool instead of having memory of their own. */
const pooledRead = 4096;

/** A slow reader of a broken connection is waited for this often and long: ten seconds in all. */
const graceTurns = 400;
const graceMs = 25;

/** Names of Node's own sockets for the same. */
const codes: Readonly<Record<Exclude<TcpEnd, 'finished'>, readonly [code: string, sentence: string]>> = {
  reset: ['ECONNRESET', 'The other side reset the connection.'],
  refused: ['ECONNREFUSED', 'The connection was refused.'],
  unreachable: ['EHOSTUNREACH', 'The other side cannot be reached any more.'],
  timeout: ['ETIMEDOUT', 'The other side does not answer any more.'],
  aborted: ['ECONNABORTED', 'The connection was ended.'],
};

type Callback = (error?: Error | null) => void;

/** A write that waits for room. */
interface PendingWrite {
  readonly pieces: readonly Uint8Array[];
  /** The piece that is next, and how much of it is written. */
  piece: number;
  at: number;
  readonly callback: Callback;
}

export class TcpStream {
  readonly kind = 'stream';
  readonly stream: Duplex;
  readonly #connection: TcpConnection;
  readonly #wake: () => void;
  #wantsRead = false;
  #pending: PendingWrite | undefined;
  #isEnded = false;
  #isFinished = false;
  /** Why it broke, while what had arrived is still being read. */
  #broken: Error | undefined;
  #graceTurns = graceTurns;
  #graceTimer: NodeJS.Timeout | undefined;

  /** `wake` makes the stack's driver look at what commands have asked for. */
  constructor(connection: TcpConnection, wake: () => void) {
    this.#connection = connection;
    this.#wake = wake;
    this.stream = new Duplex({
      allowHalfOpen: true,
      readableHighWaterMark: highWaterMark,
      writableHighWaterMark: highWaterMark,
      decodeStrings: true,
      read: () => {
        this.#wantsRead = true;
        this.handleReadable();
      },
      write: (piece: Uint8Array, _encoding, callback) => this.#write([piece], callback),
      writev: (entries, callback) =>
        this.#write(
          entries.map((entry) => entry.chunk as Uint8Array),
          callback,
        ),
      final: (callback) => this.#finish(callback),
      destroy: (error, callback) => this.#destroy(error, callback),
    });
    ours.set(this.stream, this);
    // Whoever is on the other side of a tunnel must not be able to end the process by a reset.
    this.stream.on('error', () => {});
  }

  /** 'tcp-readable', or the reader wants more. */
  handleReadable(): void {
    const connection = this.#connection;
    let hasRead = false;
    while (this.#wantsRead) {
      const waiting = connection.readableBytes;
      if (waiting === 0) break;
      const chunk = roomFor(Math.min(waiting, roomBytes));
      const count = connection.read(chunk);
      hasRead = true;
      this.#wantsRead = this.stream.push(count === chunk.length ? chunk : chunk.subarray(0, count));
    }
    if (hasRead) this.#wake();
    if (connection.readableBytes === 0) this.#noticeEnd();
  }

  /** Gives the stack what it takes now, past the stream, where nothing waits before it. Returns how much that was. */
  writeNow(bytes: Uint8Array): number {
    if (this.#pending !== undefined || this.stream.writableLength > 0 || this.stream.destroyed) return 0;
    const taken = this.#connection.write(bytes, 0);
    if (taken > 0) this.#wake();
    return taken;
  }

  /** 'tcp-writable'. */
  handleWritable(): void {
    this.#flush();
  }

  /** 'tcp-closed'. */
  handleClosed(end: TcpEnd): void {
    if (end === 'finished') {
      this.handleReadable();
      return;
    }
    this.#broken = tcpError(end);
    // What had arrived comes first, as with sockets of the system.
    this.handleReadable();
    this.#noticeEnd();
  }

  #noticeEnd(): void {
    if (this.stream.destroyed) return;
    if (this.#broken !== undefined) {
      this.#break(this.#broken);
      return;
    }
    if (this.#isEnded || !this.#connection.hasEnded) return;
    this.#isEnded = true;
    this.stream.push(null);
  }

  /** Ends a broken stream, once its reader has had what arrived before, or a little later. */
  #break(error: Error): void {
    const isUnread = this.stream.readableLength > 0 || this.#connection.readableBytes > 0;
    if (!isUnread || this.#graceTurns === 0) {
      this.stream.destroy(error);
      return;
    }
    if (this.#graceTimer !== undefined) return;
    this.#graceTurns--;
    this.#graceTimer = setTimeout(() => {
      this.#graceTimer = undefined;
      this.#break(error);
    }, graceMs);
    this.#graceTimer.unref();
  }

  #write(pieces: readonly Uint8Array[], callback: Callback): void {
    this.#pending = { pieces, piece: 0, at: 0, callback };
    this.#flush();
  }

  /** Writes what waits as far as there is room. */
  #flush(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    let hasWritten = false;
    for (; pending.piece < pending.pieces.length; pending.piece++) {
      const bytes = pending.pieces[pending.piece] ?? empty;
      const taken = this.#connection.write(bytes, pending.at);
      hasWritten ||= taken > 0;
      pending.at += taken;
      if (pending.at < bytes.length) break;
      pending.at = 0;
    }
    if (hasWritten) this.#wake();
    if (pending.piece < pending.pieces.length) return;
    this.#pending = undefined;
    pending.callback();
  }

  #finish(callback: Callback): void {
    this.#isFinished = true;
    this.#connection.close();
    this.#wake();
    callback();
  }

  #destroy(error: Error | null, callback: Callback): void {
    clearTimeout(this.#graceTimer);
    const isDone = this.#isFinished && this.#isEnded && error === null;
    // Where both directions are done the stack finishes by itself; else this is a reset.
    if (!isDone) {
      this.#connection.abort();
      this.#wake();
    }
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.callback(error ?? tcpError('aborted'));
    callback(error);
    // The connection may wait for another minute (TIME-WAIT); what it was joined to need not.
    this.#connection.attachment = undefined;
  }
}

const ours = new WeakMap<Writable, TcpStream>();

/** Writes to the stack at once, as far as `stream` is one of its streams and there is room: bytes that were taken. */
export function writeAtOnce(stream: Writable, bytes: Uint8Array): number {
  return ours.get(stream)?.writeNow(bytes) ?? 0;
}

function roomFor(size: number): Buffer {
  if (size <= pooledRead) return Buffer.allocUnsafe(size);
  return size < smallestInRoom ? Buffer.allocUnsafeSlow(size) : takeRoom(size);
}

const empty = new Uint8Array(0);

/** An error as Node's own sockets would give it. */
export function tcpError(end: Exclude<TcpEnd, 'finished'>): Error & { readonly code: string } {
  const [code, sentence] = codes[end];
  return Object.assign(new Error(sentence), { code });
}
