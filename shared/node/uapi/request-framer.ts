/**
 * Cuts the bytes of a connection into requests of WireGuard's configuration protocol: lines up to an
 * empty one (wireguard.com/xplatform). Bytes may come one by one; memory stays below a limit.
 */

const newline = 0x0a;
const firstCapacity = 4096;

export type FramerVerdict = 'ok' | 'too-long';

export class RequestFramer {
  readonly #maxBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  /** Bytes before this were searched for the end of a request. */
  #searched = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Copies the bytes in. After 'too-long' the connection is of no more use. */
  push(chunk: Uint8Array): FramerVerdict {
    const length = this.#length + chunk.length;
    if (length > this.#maxBytes) return 'too-long';
    if (length > this.#bytes.length) this.#grow(length);
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
    return 'ok';
  }

  /** The next whole request with its closing empty line, or undefined while it is not there. */
  next(): string | undefined {
    const held = this.#bytes.subarray(0, this.#length);
    const from = Math.max(0, this.#searched - 1);
    const blank = held.indexOf('\n\n', from);
    this.#searched = this.#length;
    // A message that begins with an empty line has nothing in it: it is a whole (and wrong) request.
    const end = held[0] === newline ? 1 : blank < 0 ? -1 : blank + 2;
    if (end < 0) return undefined;
    const request = held.toString('latin1', 0, end);
    this.#bytes.copyWithin(0, end, this.#length);
    this.#length -= end;
    this.#searched = 0;
    if (this.#length === 0) this.#bytes = Buffer.alloc(0);
    return request;
  }

  /** The first line of a request that is not whole yet, once that line is. */
  firstLine(): string | undefined {
    const end = this.#bytes.subarray(0, Math.min(this.#length, firstCapacity)).indexOf(newline);
    return end < 0 ? undefined : this.#bytes.toString('latin1', 0, end);
  }

  #grow(length: number): void {
    const capacity = Math.min(this.#maxBytes, Math.max(firstCapacity, length, this.#bytes.length * 2));
    const bytes = Buffer.alloc(capacity);
    this.#bytes.copy(bytes, 0, 0, this.#length);
    this.#bytes = bytes;
  }
}
