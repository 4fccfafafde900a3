/**
 * Reassembly of IP fragments (RFC 791 §3.2, RFC 8200 §4.5), bounded in number, in all and per source, and
 * in time. Datagrams with overlapping pieces are thrown away whole (RFC 5722).
 */

import type { MonoMs } from '../base/time.ts';
import { readU16 } from '../packet/checksum.ts';
import { ipTotalLength } from '../packet/ip.ts';
import {
  fillIpv4Checksum,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4IsFragment,
  setIpv4TotalLength,
} from '../packet/ipv4.ts';
import { ipv6HeaderSize, ipv6NextHeader, setIpv6TotalLength } from '../packet/ipv6.ts';
import { protocolFragment } from '../packet/transport.ts';
import { ByteQueue } from './byte-queue.ts';
import type { NetContext } from './context.ts';
import { maxFragmentGaps, reassemblyMs } from './limits.ts';
import { sourceOf } from './population.ts';

const fragmentHeaderSize = 8;
const maxPayload = 65_515;
const moreFragments4 = 0x2000;

interface Piece {
  start: number;
  end: number;
}

/** A datagram of which something is missing. */
interface Incomplete {
  readonly source: string;
  readonly until: number;
  readonly content: ByteQueue;
  readonly pieces: Piece[];
  /** Of the piece that starts the datagram; without the fragment header in IPv6. */
  header: Uint8Array | undefined;
  /** Length of the content, -1 until the last piece came. */
  total: number;
}

/** What a fragment's headers say. */
interface FragmentView {
  readonly key: string;
  readonly start: number;
  readonly more: boolean;
  readonly contentAt: number;
  readonly contentEnd: number;
  readonly headerEnd: number;
  /** What follows the fragment header of IPv6; -1 in IPv4. */
  readonly nextHeader: number;
}

export class IpFragments {
  readonly #context: NetContext;
  readonly #waiting = new Map<string, Incomplete>();
  readonly #perSource = new Map<string, number>();
  #whole: Uint8Array | undefined;

  constructor(context: NetContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** When the oldest is given up. */
  nextAt(): number {
    for (const incomplete of this.#waiting.values()) return incomplete.until;
    return Number.POSITIVE_INFINITY;
  }

  /** Whether the packet, which ipVersion accepted, is a fragment. */
  isFragment(bytes: Uint8Array, offset: number): boolean {
    if (bytes[offset]! >>> 4 === 4) return ipv4IsFragment(bytes, offset);
    return ipv6NextHeader(bytes, offset) === protocolFragment;
  }

  /** Takes a fragment. Returns the whole packet where it was the last one missing; borrowed until the next call. */
  handleFragment(bytes: Uint8Array, offset: number, now: MonoMs): Uint8Array | undefined {
    this.expire(now);
    const view = viewFragment(bytes, offset);
    if (view === undefined) {
      this.#context.counts.malformed++;
      return undefined;
    }
    const incomplete = this.#waiting.get(view.key) ?? this.#begin(view.key, bytes, offset, now);
    if (incomplete === undefined) {
      this.#context.counts.overLimit++;
      return undefined;
    }
    if (!this.#take(incomplete, view, bytes, offset)) {
      this.#context.counts.malformed++;
      this.#forget(view.key, incomplete);
      return undefined;
    }
    if (!isComplete(incomplete)) return undefined;
    const whole = this.#join(incomplete);
    this.#forget(view.key, incomplete);
    return whole;
  }

  #begin(key: string, bytes: Uint8Array, offset: number, now: MonoMs): Incomplete | undefined {
    const { limits, pool } = this.#context;
    const isV4 = bytes[offset]! >>> 4 === 4;
    const at = offset + (isV4 ? 12 : 8);
    const source = sourceOf(bytes.subarray(at, at + (isV4 ? 4 : 16)));
    const ofSource = this.#perSource.get(source) ?? 0;
    if (this.#waiting.size >= limits.reassemblies || ofSource >= limits.reassembliesPerSource)
      return undefined;
    const incomplete: Incomplete = {
      source,
      until: now + reassemblyMs,
      content: new ByteQueue(pool),
      pieces: [],
      header: undefined,
      total: -1,
    };
    this.#waiting.set(key, incomplete);
    this.#perSource.set(source, ofSource + 1);
    return incomplete;
  }

  /** False where the piece does not fit the others. A repetition is fine, and ignored. */
  #take(incomplete: Incomplete, view: FragmentView, bytes: Uint8Array, offset: number): boolean {
    const { start, more } = view;
    const end = start + view.contentEnd - view.contentAt;
    const { pieces } = incomplete;
    if (end > maxPayload || (more && (end & 7) !== 0) || end <= start) return false;
    for (const piece of pieces) {
      if (piece.start <= start && end <= piece.end) return true;
      if (start < piece.end && piece.start < end) return false;
    }
    if (!more) {
      if (incomplete.total >= 0) return false;
      incomplete.total = end;
    }
    if (incomplete.total >= 0 && pieces.some((piece) => piece.end > incomplete.total)) return false;
    if (incomplete.total >= 0 && end > incomplete.total) return false;
    if (!incomplete.content.writeAt(start, bytes, view.contentAt, view.contentEnd)) return false;
    if (start === 0) {
      incomplete.header = bytes.slice(offset, view.headerEnd);
      if (view.nextHeader >= 0) incomplete.header[6] = view.nextHeader;
    }
    addPiece(pieces, start, end);
    return pieces.length <= maxFragmentGaps;
  }

  #join(incomplete: Incomplete): Uint8Array {
    const header = incomplete.header!;
    const { total, content } = incomplete;
    this.#whole ??= new Uint8Array(maxPayload + 256);
    const whole = this.#whole;
    whole.set(header, 0);
    content.extend(total);
    content.copyTo(0, total, whole, header.length);
    const length = header.length + total;
    if (header[0]! >>> 4 === 4) {
      whole[6] = 0;
      whole[7] = 0;
      setIpv4TotalLength(whole, 0, length);
      fillIpv4Checksum(whole, 0);
    } else {
      setIpv6TotalLength(whole, 0, length);
    }
    return whole.subarray(0, length);
  }

  /** Gives up what waited too long. */
  expire(now: MonoMs): void {
    // In the order of their coming, so the first that is young enough ends it.
    for (const [key, incomplete] of this.#waiting) {
      if (incomplete.until > now) return;
      this.#forget(key, incomplete);
    }
  }

  #forget(key: string, incomplete: Incomplete): void {
    incomplete.content.clear();
    this.#waiting.delete(key);
    const left = (this.#perSource.get(incomplete.source) ?? 1) - 1;
    if (left > 0) this.#perSource.set(incomplete.source, left);
    else this.#perSource.delete(incomplete.source);
  }
}

/** Adds a range that overlaps no other, joined with its neighbours. */
function addPiece(pieces: Piece[], start: number, end: number): void {
  const before = pieces.find((piece) => piece.end === start);
  const behind = pieces.find((piece) => piece.start === end);
  if (before !== undefined && behind !== undefined) {
    before.end = behind.end;
    pieces.splice(pieces.indexOf(behind), 1);
  } else if (before !== undefined) {
    before.end = end;
  } else if (behind !== undefined) {
    behind.start = start;
  } else {
    pieces.push({ start, end });
  }
}

function isComplete({ pieces, total, header }: Incomplete): boolean {
  return header !== undefined && pieces.length === 1 && pieces[0]!.start === 0 && pieces[0]!.end === total;
}

function viewFragment(bytes: Uint8Array, offset: number): FragmentView | undefined {
  const end = offset + ipTotalLength(bytes, offset);
  if (bytes[offset]! >>> 4 === 4) {
    const contentAt = offset + ipv4HeaderLength(bytes, offset);
    return {
      key: keyOf(bytes, offset + 12, 8, [readU16(bytes, offset + 4), bytes[offset + 9]!]),
      start: 8 * ipv4FragmentOffset(bytes, offset),
      more: (readU16(bytes, offset + 6) & moreFragments4) !== 0,
      contentAt,
      contentEnd: end,
      headerEnd: contentAt,
      nextHeader: -1,
    };
  }
  // Only a fragment header right behind the fixed one: other headers in between are not seen in practice.
  const at = offset + ipv6HeaderSize;
  if (at + fragmentHeaderSize > end) return undefined;
  const field = readU16(bytes, at + 2);
  const id = [readU16(bytes, at + 4), readU16(bytes, at + 6)];
  return {
    key: keyOf(bytes, offset + 8, 32, id),
    start: field & ~7,
    more: (field & 1) !== 0,
    contentAt: at + fragmentHeaderSize,
    contentEnd: end,
    headerEnd: at,
    nextHeader: bytes[at]!,
  };
}

function keyOf(bytes: Uint8Array, addresses: number, size: number, rest: readonly number[]): string {
  let key = String.fromCharCode(...rest);
  for (let i = addresses; i < addresses + size; i += 2) key += String.fromCharCode(readU16(bytes, i));
  return key;
}
