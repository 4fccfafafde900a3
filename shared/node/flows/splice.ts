/**
 * Moves bytes from one stream to another under backpressure, and joins two duplex streams as one connection: each
 * direction ends alone, and what breaks on one side breaks on the other, so that a cut download never looks whole.
 */

import { Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { sinkDirectly } from './direct-read.ts';
import { giveRoomBack } from './read-room.ts';
import { resetSocket } from './reset-socket.ts';
import { writeAtOnce } from './tcp-stream.ts';

export interface SpliceListeners {
  /** Bytes moved from the first stream to the second, and back. */
  onForth?(bytes: number): void;
  onBack?(bytes: number): void;
  /** One direction has ended, the other goes on. */
  onHalfClosed?(): void;
  /** Called once, when both streams are gone. */
  onClosed?(): void;
}

/** Joins them; nobody else may read or write them from now on. Errors end both and are not told. */
export function splice(first: Duplex, second: Duplex, listeners: SpliceListeners = {}): void {
  let open = 2;
  const watch = (stream: Duplex, other: Duplex): void => {
    const breakUnlessWhole = (): void => {
      if (!stream.readableEnded || !stream.writableFinished) breakOff(other);
    };
    const onClose = (): void => {
      breakUnlessWhole();
      if (--open === 0) listeners.onClosed?.();
    };
    stream.on('error', () => {});
    stream.once('end', () => listeners.onHalfClosed?.());
    if (stream.destroyed) breakUnlessWhole();
    if (stream.closed) onClose();
    else stream.once('close', onClose);
  };
  watch(first, second);
  watch(second, first);
  pump(first, second, (count) => listeners.onForth?.(count));
  pump(second, first, (count) => listeners.onBack?.(count));
}

/** Gives up a stream so that its other side notices: by a reset where there is such a thing. */
export function breakOff(stream: Duplex): void {
  if (stream.destroyed) return;
  if (stream instanceof Socket) resetSocket(stream);
  else stream.destroy();
}

/** Ends `to` when `from` ends. Holds nothing itself: `from` rests while `to` is full. */
export function pump(from: Readable, to: Writable, onBytes: (count: number) => void): void {
  const rooms = to instanceof Socket ? new WrittenRooms(to) : undefined;
  from.on('data', (chunk: Uint8Array) => {
    if (to.destroyed || to.writableEnded) return;
    onBytes(chunk.length);
    const taken = rooms === undefined ? writeAtOnce(to, chunk) : 0;
    if (taken === chunk.length) return;
    if (!to.write(taken === 0 ? chunk : chunk.subarray(taken))) from.pause();
    rooms?.add(chunk);
  });
  to.on('drain', () => {
    rooms?.sweep();
    from.resume();
  });
  sinkDirectly(from, (bytes) => {
    if (to.destroyed || to.writableEnded) return true;
    onBytes(bytes.length);
    const taken = writeAtOnce(to, bytes);
    if (taken === bytes.length || to.write(Buffer.from(bytes.subarray(taken)))) return true;
    from.pause();
    return false;
  });
  from.on('end', () => to.end());
  // The end may have come while nobody was listening for it.
  if (from.readableEnded) to.end();
  else from.resume();
}

/** Pieces that were handed to a socket of the system: their memory is free again once the system has all of them. */
class WrittenRooms {
  readonly #to: Socket;
  /** Bounded by what the socket takes before it wants a pause. */
  readonly #waiting: Uint8Array[] = [];

  constructor(to: Socket) {
    this.#to = to;
  }

  /** After the piece was written. */
  add(piece: Uint8Array): void {
    this.#waiting.push(piece);
    this.sweep();
  }

  sweep(): void {
    if (this.#to.destroyed || this.#to.writableLength > 0) return;
    for (const piece of this.#waiting.splice(0)) giveRoomBack(piece);
  }
}
