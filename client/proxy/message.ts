/**
 * Reads the messages of a handshake from a stream, however they were cut into pieces, and gives back what
 * follows them. Bounded: a message that does not end is a bad one.
 */

import type { Readable } from 'node:stream';
import { assert } from '../../shared/core/base/assert.ts';
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

/** Reads the messages of one conversation. While none is wanted, what comes stays in the stream. */
export class MessageReader {
  readonly #stream: Readable;
  /** Bytes behind the last message. */
  #held: Buffer = nothing;
  /** Of the message that is waited for. */
  #take: ((isGone: boolean) => void) | undefined;
  #isListening = false;
  readonly #onReadable = (): void => this.#take?.(false);
  readonly #onGone = (): void => this.#take?.(true);

  constructor(stream: Readable) {
    this.#stream = stream;
  }

  /** One at a time. */
  read<T>(parse: Parser<T>): Promise<MessageRead<T>> {
    assert(this.#take === undefined, 'one message is read at a time');
    return new Promise((resolve) => {
      const settle = (result: MessageRead<T>): void => {
        this.#take = undefined;
        resolve(result);
      };
      if (this.#stream.destroyed) return settle(gone);
      const known = this.#held.length === 0 ? undefined : this.#parse(parse);
      if (known !== undefined) return settle(known);
      if (this.#stream.readableEnded) return settle(gone);
      this.#take = (isGone) => {
        const result = isGone ? gone : this.#readOn(parse);
        if (result !== undefined) settle(result);
      };
      this.#listen();
      // Nothing is announced again of what came while nobody wanted it.
      this.#take(false);
    });
  }

  /** Leaves the stream, with all that was not a message, to whoever reads it next. Idempotent. */
  release(): void {
    this.#onGone();
    const held = this.#held;
    this.#held = nothing;
    const stream = this.#stream;
    if (this.#isListening) {
      this.#isListening = false;
      stream.off('readable', this.#onReadable).off('end', this.#onGone).off('close', this.#onGone);
    }
    if (held.length > 0 && !stream.destroyed) stream.unshift(held);
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#stream.on('readable', this.#onReadable).on('end', this.#onGone).on('close', this.#onGone);
  }

  #readOn<T>(parse: Parser<T>): MessageRead<T> | undefined {
    for (let chunk = readChunk(this.#stream); chunk !== undefined; chunk = readChunk(this.#stream)) {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
      const result = this.#parse(parse);
      if (result !== undefined) return result;
    }
    return undefined;
  }

  /** Undefined: more is needed. */
  #parse<T>(parse: Parser<T>): MessageRead<T> | undefined {
    const parsed = parse(this.#held);
    if (parsed.kind === 'complete') {
      this.#held = parsed.size < this.#held.length ? this.#held.subarray(parsed.size) : nothing;
      return parsed;
    }
    return parsed.kind === 'bad' || this.#held.length >= maxSocksMessageBytes ? bad : undefined;
  }
}

/** One message alone. Bytes behind it stay in the stream for whoever reads next. */
export async function readMessage<T>(stream: Readable, parse: Parser<T>): Promise<MessageRead<T>> {
  const reader = new MessageReader(stream);
  const result = await reader.read(parse);
  reader.release();
  return result;
}

const nothing: Buffer = Buffer.alloc(0);
const gone: { readonly kind: 'gone' } = { kind: 'gone' };

function readChunk(stream: Readable): Buffer | undefined {
  const chunk: unknown = stream.read();
  return Buffer.isBuffer(chunk) ? chunk : undefined;
}
