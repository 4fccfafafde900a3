/**
 * Datagrams in a stream of bytes: the capsules of RFC 9297 §3, of which DATAGRAM (type 0) holds the payload of one UDP
 * datagram behind context id 0 (RFC 9298 §5). Capsules of other types and datagrams of other contexts are skipped, as
 * both say. Pure. Must not hold more than one capsule, whatever the other side sends.
 */

import { readVarint, varintSize, varintSizeOf, writeVarint } from './varint.ts';

/** Largest payload of a UDP datagram. */
export const maxDatagramSize = 65_527;
/** Room that `writeDatagramHeader` needs, at most: type, length, context. */
export const maxDatagramHeaderSize = 6;

const datagramType = 0;
const contextId = 0;
const contextSize = 1;
const maxIntegerSize = 8;
/** Of a DATAGRAM: its context id may be written long. */
const maxDatagramValue: number = maxDatagramSize + maxIntegerSize;
/** Of a capsule that means nothing to us. More is no extension that we could be meant by. */
const maxSkippedSize: number = 64 * 1024;
const smallestRoom = 2048;
const noBytes: Uint8Array = new Uint8Array(0);

/** The payload of one datagram: bytes[start] to bytes[end - 1], borrowed until return. */
export type OnDatagram = (bytes: Uint8Array, start: number, end: number) => void;

/** Writes what stands before a payload of `length` bytes; returns its size. */
export function writeDatagramHeader(out: Uint8Array, at: number, length: number): number {
  let end = at + writeVarint(out, at, datagramType);
  end += writeVarint(out, end, contextSize + length);
  return end + writeVarint(out, end, contextId) - at;
}

/** Bytes of a whole capsule around a payload of `length` bytes. */
export function datagramCapsuleSize(length: number): number {
  return varintSizeOf(datagramType) + varintSizeOf(contextSize + length) + contextSize + length;
}

/** Reads a stream in whatever pieces it comes. */
export class CapsuleReader {
  readonly #onDatagram: OnDatagram;
  /** The beginning of a capsule whose end has not come. */
  #held: Uint8Array = noBytes;
  #heldLength = 0;
  /** Bytes of a skipped capsule that are still to come. */
  #skip = 0;
  #isBroken = false;

  constructor(onDatagram: OnDatagram) {
    this.#onDatagram = onDatagram;
  }

  /** False where the stream makes no sense: end it. Everything after that is refused as well. */
  push(chunk: Uint8Array): boolean {
    let at = 0;
    while (!this.#isBroken && at < chunk.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at);
        this.#skip -= skipped;
        at += skipped;
      } else at = this.#heldLength > 0 ? this.#complete(chunk, at) : this.#read(chunk, at);
    }
    return !this.#isBroken;
  }

  /** Capsules that lie wholly in the chunk are not copied. */
  #read(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length && this.#skip === 0) {
      const size = this.#sizeAt(chunk, at, chunk.length);
      if (this.#isBroken || this.#skip > 0) return at;
      if (size > chunk.length - at) {
        this.#hold(chunk, at, chunk.length, size);
        return chunk.length;
      }
      this.#deliver(chunk, at, at + size);
      at += size;
    }
    return at;
  }

  /** Adds to what is held as much as its capsule needs. */
  #complete(chunk: Uint8Array, at: number): number {
    const needed = this.#sizeAt(this.#held, 0, this.#heldLength);
    const end = Math.min(chunk.length, at + needed - this.#heldLength);
    this.#hold(chunk, at, end, needed);
    const size = this.#sizeAt(this.#held, 0, this.#heldLength);
    if (this.#isBroken || this.#skip > 0) {
      // What is held of it are its type and length, and nothing of what they announce.
      this.#heldLength = 0;
    } else if (size === this.#heldLength) {
      this.#heldLength = 0;
      this.#deliver(this.#held, 0, size);
    }
    return end;
  }

  /**
   * Bytes that the capsule at `bytes[at]` takes, or that are needed to tell. Of a type that is skipped: notes how much,
   * its head included, and returns 0.
   */
  #sizeAt(bytes: Uint8Array, at: number, end: number): number {
    const typeSize = varintSize(bytes[at]!);
    if (end - at <= typeSize) return typeSize + 1;
    const headSize = typeSize + varintSize(bytes[at + typeSize]!);
    if (end - at < headSize) return headSize;
    const length = readVarint(bytes, at + typeSize);
    const isDatagram = readVarint(bytes, at) === datagramType;
    if (length > (isDatagram ? maxDatagramValue : maxSkippedSize)) this.#isBroken = true;
    else if (isDatagram) return headSize + length;
    else this.#skip = headSize + length - (bytes === this.#held ? end - at : 0);
    return 0;
  }

  #hold(chunk: Uint8Array, at: number, end: number, needed: number): void {
    if (this.#held.length < needed) {
      const room = new Uint8Array(Math.max(needed, smallestRoom));
      room.set(this.#held.subarray(0, this.#heldLength));
      this.#held = room;
    }
    this.#held.set(chunk.subarray(at, end), this.#heldLength);
    this.#heldLength += end - at;
  }

  #deliver(bytes: Uint8Array, at: number, end: number): void {
    const typeSize = varintSize(bytes[at]!);
    const contextAt = at + typeSize + varintSize(bytes[at + typeSize]!);
    const size = contextAt < end ? varintSize(bytes[contextAt]!) : 0;
    if (size === 0 || contextAt + size > end) {
      // A datagram without a context (RFC 9298 §5): malformed.
      this.#isBroken = true;
      return;
    }
    if (readVarint(bytes, contextAt) === contextId) this.#onDatagram(bytes, contextAt + size, end);
  }
}
