/**
 * Reads one message of a handshake from a stream, however it was cut into pieces, and gives back what
 * follows it. Bounded: a message that does not end is a bad one.
 */

import type { Readable } from 'node:stream';
import { maxSocksMessageBytes } from './limits.ts';

/** What a parser says about the bytes so far. It is called again with more, from the start. */
export type Parsed<T> =
  | { readonly kind: 'complete'; readonly value: T; readonly size: number }
  | { readonly kind: 'more' }
  | { readonly kind: 'bad' };

export type Parser<T> = (bytes: Uint8Array) => Parsed<T>;

/** 'gone': the stream ended, broke or was closed before the message was complete. */
export type MessageRead<T> =
  | { readonly kind: 'complete'; readonly value: T }
  | { readonly kind: 'bad' }
  | { readonly kind: 'gone' };

export const more: { readonly kind: 'more' } = { kind: 'more' };
export const bad: { readonly kind: 'bad' } = { kind: 'bad' };

/** Bytes behind the message stay in the stream for whoever reads next. */
export function readMessage<T>(stream: Readable, parse: Parser<T>): Promise<MessageRead<T>> {
  return new Promise((resolve) => {
    let held: Buffer = Buffer.alloc(0);
    const settle = (result: MessageRead<T>): void => {
      stream.off('readable', onReadable).off('end', onGone).off('close', onGone);
      resolve(result);
    };
    const onGone = (): void => settle({ kind: 'gone' });
    const onReadable = (): void => {
      for (let chunk = readChunk(stream); chunk !== undefined; chunk = readChunk(stream)) {
        held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
        const parsed = parse(held);
        if (parsed.kind === 'complete') {
          if (parsed.size < held.length) stream.unshift(held.subarray(parsed.size));
          settle(parsed);
          return;
        }
        if (parsed.kind === 'bad' || held.length >= maxSocksMessageBytes) {
          settle(bad);
          return;
        }
      }
    };
    if (stream.destroyed || stream.readableEnded) {
      resolve({ kind: 'gone' });
      return;
    }
    stream.on('readable', onReadable).on('end', onGone).on('close', onGone);
    // Nothing is announced again of what an earlier reader left behind.
    onReadable();
  });
}

function readChunk(stream: Readable): Buffer | undefined {
  const chunk: unknown = stream.read();
  return Buffer.isBuffer(chunk) ? chunk : undefined;
}
