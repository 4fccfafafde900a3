/**
 * Reads what whoever opened a connection says first, before it is known where to the connection leads. Bounded in
 * bytes and in time. What was read is gone from the stream: the caller passes it on.
 */

import type { Duplex } from 'node:stream';

export interface FirstBytesWish {
  /** At least so many are kept; one piece of the stream may come on top. */
  readonly maxBytes: number;
  /** Whoever says nothing for so long is not waited for. */
  readonly waitMs: number;
  /** Judges all bytes so far. */
  readonly isEnough: (bytes: Uint8Array) => boolean;
}

/** What came until it was enough, too much, too late, or the stream's end. Never rejects. Nobody else may read meanwhile. */
export function readFirstBytes(
  stream: Duplex,
  wish: FirstBytesWish,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0);
    const settle = (): void => {
      clearTimeout(timer);
      stream.off('readable', take);
      stream.off('end', settle);
      stream.off('close', settle);
      signal.removeEventListener('abort', settle);
      resolve(bytes);
    };
    const take = (): void => {
      for (;;) {
        const piece = stream.read() as Buffer | null;
        if (piece === null) return;
        bytes = bytes.length === 0 ? piece : Buffer.concat([bytes, piece]);
        if (bytes.length >= wish.maxBytes || wish.isEnough(bytes)) {
          settle();
          return;
        }
      }
    };
    const timer = setTimeout(settle, wish.waitMs);
    stream.once('end', settle);
    stream.once('close', settle);
    signal.addEventListener('abort', settle, { once: true });
    stream.on('readable', take);
    if (signal.aborted || stream.destroyed) settle();
    else take();
  });
}
