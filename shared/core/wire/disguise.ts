/**
 * Puts a disguise on the four messages and takes it off, in place, without allocating on the path of data: noise before
 * a message, other values for its first four bytes, and datagrams of noise before an initiation. The macs of a handshake
 * cover the disguised type, so it is written before they are made. Knows no keys and no peers.
 */

import { readU32LE, writeU32LE } from '../base/bytes.ts';
import type { DropReason } from '../base/drop.ts';
import type { Entropy } from '../base/ports.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { type DisguiseRules, messageNames, messageSizes } from './disguise-rules.ts';
import { Filler } from './filler.ts';
import { type MessageType, messageType } from './message.ts';

/** Greatest of the types that give WireGuard away. */
const lastPlainType = 4;
const typeSize = 4;
/** Noise leaves this share of a batch to messages. */
const sparedShare = 8;
const plainSizes: readonly number[] = [
  messageSizes.initiation,
  messageSizes.response,
  messageSizes.cookieReply,
];

/** 'wrong-length': it has the type of a handshake message. */
type Mismatch = Extract<DropReason, 'undisguised' | 'wrong-length'>;

export class Disguise {
  readonly rules: DisguiseRules;
  readonly #filler: Filler;
  // By type, 1 to 4.
  readonly #from = new Uint32Array(lastPlainType + 1);
  readonly #to = new Uint32Array(lastPlainType + 1);
  readonly #prefix = new Uint32Array(lastPlainType + 1);
  readonly #size = new Uint32Array(lastPlainType + 1);

  /** `rules` were validated (disguise-fields.ts). */
  constructor(rules: DisguiseRules, entropy: Entropy) {
    this.rules = rules;
    this.#filler = new Filler(entropy);
    for (const [i, name] of messageNames.entries()) {
      this.#from[i + 1] = rules.types[name].from;
      this.#to[i + 1] = rules.types[name].to;
      this.#prefix[i + 1] = rules.prefix[name];
      this.#size[i + 1] = messageSizes[name];
    }
  }

  /** Bytes of noise before a message of that type. */
  prefixOf(type: MessageType): number {
    return this.#prefix[type]!;
  }

  /** Writes the disguised type into the message at `offset`. */
  mark(bytes: Uint8Array, offset: number, type: MessageType): void {
    const from = this.#from[type]!;
    const to = this.#to[type]!;
    writeU32LE(bytes, offset, from === to ? from : this.#filler.between(from, to));
  }

  /** Fills the `prefixOf(type)` bytes before the message at `offset`; the datagram begins there. */
  cover(bytes: Uint8Array, offset: number, type: MessageType): number {
    const prefix = this.#prefix[type]!;
    const start = offset - prefix;
    if (prefix > 0) this.#fill(bytes, start, prefix);
    return start;
  }

  /**
   * What datagram `i` of `batch` is, with its disguise taken off: the slot is the message alone afterwards, except for
   * its type. What fits none of the four is noise of a peer, plain WireGuard or a stranger.
   */
  reveal(batch: PacketBatch, i: number): MessageType | Mismatch {
    const offset = batch.offset[i]!;
    const length = batch.length[i]!;
    const type = this.typeOf(batch.bytes, offset, length);
    if (typeof type === 'string') return type;
    const prefix = this.#prefix[type]!;
    batch.offset[i] = offset + prefix;
    batch.length[i] = length - prefix;
    return type;
  }

  /**
   * Handshakes have one length each, so they are asked first: by chance alone the noise before one may look like data,
   * where types are ranges.
   */
  typeOf(bytes: Uint8Array, offset: number, length: number): MessageType | Mismatch {
    if (this.#is(messageType.initiation, bytes, offset, length)) return messageType.initiation;
    if (this.#is(messageType.response, bytes, offset, length)) return messageType.response;
    if (this.#is(messageType.cookieReply, bytes, offset, length)) return messageType.cookieReply;
    const { transport } = messageType;
    const prefix = this.#prefix[transport]!;
    if (length >= prefix + this.#size[transport]! && this.#hasType(transport, bytes, offset + prefix)) {
      return transport;
    }
    return this.#mismatch(bytes, offset, length);
  }

  /** Appends the noise that goes before an initiation, as far as `out` has room to spare. */
  pushJunk(out: PacketBatch, address: number, tos: number): void {
    const { count } = this.rules.junk;
    const mostSlots = out.capacity - Math.ceil(out.capacity / sparedShare);
    const mostBytes = out.arenaEnd - (out.arenaEnd - out.arenaStart) / sparedShare;
    for (let n = 0; n < count && out.count < mostSlots; n++) {
      const size = this.#junkSize();
      if (out.cursor + size > mostBytes) return;
      const offset = out.reserve(size);
      if (offset < 0) return;
      this.#fill(out.bytes, offset, size);
      out.push(offset, size, address, tos);
    }
  }

  /** A copy of a finished message as its datagram, for whoever sends without a batch. */
  datagram(message: Uint8Array, type: MessageType): Uint8Array {
    const prefix = this.#prefix[type]!;
    const datagram = new Uint8Array(prefix + message.length);
    datagram.set(message, prefix);
    this.cover(datagram, prefix, type);
    return datagram;
  }

  /** The noise that goes before an initiation, for whoever sends without a batch. */
  junk(): readonly Uint8Array[] {
    return Array.from({ length: this.rules.junk.count }, () => this.#noise());
  }

  /** A view of the message in a datagram that `typeOf` has named. */
  message(datagram: Uint8Array, type: MessageType): Uint8Array {
    return datagram.subarray(this.#prefix[type]);
  }

  /** A datagram of noise. */
  #noise(): Uint8Array {
    const datagram = new Uint8Array(this.#junkSize());
    this.#fill(datagram, 0, datagram.length);
    return datagram;
  }

  #is(type: MessageType, bytes: Uint8Array, offset: number, length: number): boolean {
    const prefix = this.#prefix[type]!;
    return length === prefix + this.#size[type]! && this.#hasType(type, bytes, offset + prefix);
  }

  #mismatch(bytes: Uint8Array, offset: number, length: number): Mismatch {
    for (let type = 1; type < messageType.transport; type++) {
      const at = this.#prefix[type]!;
      const hasType = length >= at + typeSize && this.#hasType(type as MessageType, bytes, offset + at);
      if (hasType) return 'wrong-length';
    }
    return 'undisguised';
  }

  #hasType(type: MessageType, bytes: Uint8Array, at: number): boolean {
    const value = readU32LE(bytes, at);
    return value >= this.#from[type]! && value <= this.#to[type]!;
  }

  /** Never one of the lengths by which a handshake is known, where there is another. */
  #junkSize(): number {
    const { min, max } = this.rules.junk;
    const size = this.#filler.between(min, max);
    if (!plainSizes.includes(size)) return size;
    return size < max ? size + 1 : Math.max(min, size - 1);
  }

  /** Noise that does not begin as plain WireGuard does. */
  #fill(bytes: Uint8Array, start: number, length: number): void {
    this.#filler.fill(bytes, start, length);
    if (bytes[start]! <= lastPlainType) bytes[start] = bytes[start]! + 0x80;
  }
}
