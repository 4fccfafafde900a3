/**
 * DNS on a connection (RFC 7766): each message behind its length in two bytes, several questions under way at a
 * time, answers in whatever order they come. Knows nothing about the messages themselves.
 */

import type { Duplex } from 'node:stream';

/** Undefined: no answer, the connection stays. */
export type AnswerQuery = (query: Uint8Array) => Promise<Uint8Array | undefined>;

/** Questions of one connection that wait for their answer; further ones are read when one has it. */
const maxUnderWay = 64;
/** RFC 7766 §6.2.3: a few seconds; clients open another where they need one. */
const idleMs = 10_000;
const prefixSize = 2;
/** Answers that the asker does not read; then the connection ends. */
const maxUnreadBytes = 512 * 1024;
/** A header; nothing shorter is a question. */
const smallestQuery = 12;

/** Serves the stream until either side ends it. The stream is ours from here on. */
export function serveDnsStream(stream: Duplex, answer: AnswerQuery): void {
  let rest: Buffer = Buffer.alloc(0);
  let underWay = 0;
  let hasEnded = false;
  let isBlocked = false;
  const timer = setTimeout(() => stream.destroy(), idleMs).unref();

  const finishIfDone = (): void => {
    if (hasEnded && underWay === 0 && !stream.writableEnded) stream.end();
  };
  const take = (): void => {
    while (underWay < maxUnderWay && rest.length >= prefixSize) {
      const size = rest.readUInt16BE(0);
      if (size < smallestQuery) {
        stream.destroy();
        return;
      }
      if (rest.length < prefixSize + size) break;
      const query = Uint8Array.from(rest.subarray(prefixSize, prefixSize + size));
      rest = rest.subarray(prefixSize + size);
      underWay++;
      timer.refresh();
      void ask(query);
    }
    isBlocked = underWay >= maxUnderWay;
    if (isBlocked) stream.pause();
  };
  const ask = async (query: Uint8Array): Promise<void> => {
    const reply = await answer(query).catch(() => undefined);
    underWay--;
    if (stream.destroyed) return;
    timer.refresh();
    if (reply !== undefined && !stream.writableEnded) stream.write(framed(reply));
    if (stream.writableLength > maxUnreadBytes) {
      stream.destroy();
      return;
    }
    if (isBlocked) {
      isBlocked = false;
      stream.resume();
      take();
    }
    finishIfDone();
  };

  stream.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    take();
  });
  stream.on('end', () => {
    hasEnded = true;
    finishIfDone();
  });
  stream.on('error', () => undefined); // The asker is gone; 'close' follows.
  stream.once('close', () => clearTimeout(timer));
}

/** One write, so that length and message leave in one segment (RFC 7766 §8). */
function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(prefixSize + message.length);
  bytes.writeUInt16BE(message.length, 0);
  bytes.set(message, prefixSize);
  return bytes;
}
