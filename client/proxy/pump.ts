/**
 * Moves bytes from one stream to another under backpressure, and joins two duplex streams so that each
 * direction ends alone. What breaks on one side breaks on the other: a cut download must not look whole.
 */

import { Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { resetSocket } from '../../shared/node/flows/reset-socket.ts';

/** Ends `to` when `from` ends. Holds nothing itself: `from` rests while `to` is full. */
export function pump(from: Readable, to: Writable, onBytes: (count: number) => void): void {
  from.on('data', (chunk: Uint8Array) => {
    if (to.destroyed || to.writableEnded) return;
    onBytes(chunk.length);
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  // The FIN may have come while nobody was listening for it.
  if (from.readableEnded) to.end();
  else from.resume();
}

export interface SpliceEvents {
  onUp(bytes: number): void;
  onDown(bytes: number): void;
  /** One direction has ended, the other goes on. */
  onHalfClosed(): void;
}

/** From now on the two streams are one connection. Both must have an 'error' listener already. */
export function splice(client: Duplex, upstream: Duplex, events: SpliceEvents): void {
  const watch = (stream: Duplex, other: Duplex): void => {
    stream.once('end', () => events.onHalfClosed());
    const onClose = (): void => {
      if (!stream.readableEnded || !stream.writableFinished) abandon(other);
    };
    if (stream.destroyed) onClose();
    else stream.once('close', onClose);
  };
  watch(client, upstream);
  watch(upstream, client);
  pump(client, upstream, events.onUp);
  pump(upstream, client, events.onDown);
}

/** Gives up a stream so that its other side notices: by a reset where there is such a thing. */
export function abandon(stream: Duplex): void {
  if (stream.destroyed) return;
  if (stream instanceof Socket) resetSocket(stream);
  else stream.destroy();
}
