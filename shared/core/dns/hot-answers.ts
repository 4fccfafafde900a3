/**
 * Answers that are asked for again and again, ready to be copied: from the bytes of a question to the bytes of its
 * answer without an object in between. A bounded table in front of the cache (cache.ts), which stays the truth:
 * whatever is unusual about a question, or too old here, is not answered and goes the long way. Told the time.
 */

import { readU16BE, readU32BE, writeU16BE, writeU32BE } from '../base/bytes.ts';
import type { Span } from '../base/span.ts';
import type { MonoMs } from '../base/time.ts';
import { secondMs } from '../base/time.ts';
import type { CacheHit, EntryUse } from './cache.ts';
import { maxTtlSeconds } from './edns.ts';
import { lowerByte } from './name.ts';
import type { DnsMessage } from './reader.ts';
import { flag, headerSize, plainUdpSize, recordClass, recordType, safeUdpSize } from './types.ts';

interface HotEntry {
  readonly hash: number;
  /** Name in lower case, in wire form. */
  readonly name: Uint8Array;
  readonly type: number;
  /** DO and CD of the question, as `variantOf` says. */
  readonly variant: number;
  /** The answer with a bare OPT behind it; TTLs as of `agedSeconds`. */
  readonly bytes: Uint8Array;
  readonly ttlOffsets: readonly number[];
  readonly ttls: Uint32Array;
  agedSeconds: number;
  readonly storedAt: MonoMs;
  readonly until: MonoMs;
  readonly generation: number;
  readonly use: EntryUse;
}

const optSize = 11;
/** Places that one name may stand in. */
const ways = 4;
const maxNameBytes = 255;
const fnvPrime = 0x0100_0193;
/** Recursion desired, the only one of its byte that an ordinary question has. */
const ordinaryHigh = 0x01;
/** "Validated" and "checking disabled". */
const ordinaryLow = 0x30;

export class HotAnswers {
  readonly #slots: (HotEntry | undefined)[];
  readonly #mask: number;
  readonly #seed: number;
  #turn = 0;
  /** Of the question that `#read` has read. */
  #hash = 0;
  #nameEnd = 0;
  #type = 0;
  #variant = 0;
  #hasOpt = false;
  #offered = plainUdpSize;

  /** `slots` is rounded up to a power of two. `seed`: any 32 bits that nobody knows, against chosen collisions. */
  constructor(slots: number, seed: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(ways, slots)));
    this.#slots = Array.from({ length: size }, () => undefined);
    this.#mask = size - 1;
    this.#seed = seed | 0;
  }

  /**
   * Writes the answer where `answer` begins and sets its length, which on the way in is the room there. False, with
   * nothing promised about that room, where the long way has to be taken. `generation`: the cache's of now.
   */
  answer(question: Span, answer: Span, now: MonoMs, generation: number): boolean {
    if (!this.#read(question)) return false;
    const entry = this.#find(question);
    if (entry === undefined || now >= entry.until || entry.generation !== generation) return false;
    const room = Math.min(answer.length, this.#offered);
    const { bytes } = entry;
    const length = this.#hasOpt ? bytes.length : bytes.length - optSize;
    // The whole is copied, OPT or not.
    if (length > room || bytes.length > answer.length) return false;
    const ageSeconds = Math.floor((now - entry.storedAt) / secondMs);
    if (ageSeconds !== entry.agedSeconds) age(entry, ageSeconds);
    answer.bytes.set(bytes, answer.at);
    this.#address(question, answer, bytes);
    answer.length = length;
    entry.use.touch();
    return true;
  }

  /** Takes up what the cache had for the question, where it is of the ordinary kind. */
  learn(query: DnsMessage, hit: CacheHit, generation: number): void {
    const { answer: stored, use } = hit;
    const { question } = query;
    if (stored === undefined || use === undefined || question === undefined) return;
    // Reverse names may become ours while an answer is kept.
    if (question.class !== recordClass.in || question.type === recordType.ptr) return;
    if (stored.errors.length > 0 || stored.rcode > flag.rcode) return;
    if (!this.#read({ bytes: query.bytes, at: 0, length: query.bytes.length })) return;
    const bytes = new Uint8Array(stored.bytes.length + optSize);
    bytes.set(stored.bytes);
    writeU16BE(bytes, stored.bytes.length + 1, recordType.opt);
    writeU16BE(bytes, stored.bytes.length + 3, safeUdpSize);
    const entry: HotEntry = {
      hash: this.#hash,
      name: query.questionName.map(lowerByte),
      type: this.#type,
      variant: this.#variant,
      bytes,
      ttlOffsets: stored.ttlOffsets,
      ttls: Uint32Array.from(stored.ttlOffsets, (at) => clampTtl(readU32BE(stored.bytes, at))),
      agedSeconds: -1,
      storedAt: hit.storedAt,
      until: hit.hotUntil,
      generation,
      use,
    };
    this.#slots[this.#placeFor(entry, query.bytes)] = entry;
  }

  /** The rules that said where names go have changed. */
  clear(): void {
    this.#slots.fill(undefined);
  }

  /** An ordinary question and nothing else: one name, class IN, at most a bare or optioned OPT of version 0. */
  #read(question: Span): boolean {
    const { bytes, at, length } = question;
    const end = at + length;
    if (length < headerSize + 5) return false;
    if ((bytes[at + 2]! & ~ordinaryHigh) !== 0 || (bytes[at + 3]! & ~ordinaryLow) !== 0) return false;
    if (readU32BE(bytes, at + 4) !== 0x0001_0000 || readU16BE(bytes, at + 8) !== 0) return false;
    const extra = readU16BE(bytes, at + 10);
    if (extra > 1 || !this.#readName(question)) return false;
    const tail = this.#nameEnd;
    if (tail + 4 > end || readU16BE(bytes, tail + 2) !== recordClass.in) return false;
    this.#type = readU16BE(bytes, tail);
    const checkingDisabled = (bytes[at + 3]! & flag.checkingDisabled) !== 0;
    this.#hasOpt = extra === 1;
    this.#offered = plainUdpSize;
    this.#variant = checkingDisabled ? 2 : 0;
    if (extra === 0) return tail + 4 === end;
    return this.#readOpt(bytes, tail + 4, end);
  }

  /** Sets the hash and where the name ends. */
  #readName(question: Span): boolean {
    const { bytes, at, length } = question;
    const start = at + headerSize;
    const last = Math.min(at + length, start + maxNameBytes) - 1;
    let hash = this.#seed;
    let i = start;
    for (;;) {
      const size = bytes[i]!;
      const next = i + size + 1;
      if (size > 63 || next > last + 1) return false;
      for (; i < next; i++) hash = Math.imul(hash ^ lowerByte(bytes[i]!), fnvPrime);
      if (size === 0) break;
      if (i > last) return false;
    }
    this.#hash = hash ^ (hash >>> 15);
    this.#nameEnd = i;
    return true;
  }

  #readOpt(bytes: Uint8Array, at: number, end: number): boolean {
    if (at + optSize > end || bytes[at] !== 0 || readU16BE(bytes, at + 1) !== recordType.opt) return false;
    // Version 0, and nothing behind the options.
    if (bytes[at + 6] !== 0 || at + optSize + readU16BE(bytes, at + 9) !== end) return false;
    this.#offered = Math.max(plainUdpSize, readU16BE(bytes, at + 3));
    if ((bytes[at + 7]! & 0x80) !== 0) this.#variant |= 1;
    return true;
  }

  #find(question: Span): HotEntry | undefined {
    const first = this.#hash & this.#mask & ~(ways - 1);
    for (let i = first; i < first + ways; i++) {
      const entry = this.#slots[i];
      if (entry !== undefined && entry.hash === this.#hash && this.#isAbout(entry, question)) return entry;
    }
    return undefined;
  }

  #isAbout(entry: HotEntry, question: Span): boolean {
    const { name } = entry;
    const start = question.at + headerSize;
    if (entry.type !== this.#type || entry.variant !== this.#variant) return false;
    if (name.length !== this.#nameEnd - start) return false;
    for (let i = 0; i < name.length; i++) {
      if (name[i] !== lowerByte(question.bytes[start + i]!)) return false;
    }
    return true;
  }

  /** Its own place of before, else a free one, else the next in turn. */
  #placeFor(entry: HotEntry, bytes: Uint8Array): number {
    const first = entry.hash & this.#mask & ~(ways - 1);
    const question = { bytes, at: 0, length: bytes.length };
    let free = -1;
    for (let i = first; i < first + ways; i++) {
      const other = this.#slots[i];
      if (other === undefined) free = free < 0 ? i : free;
      else if (other.hash === entry.hash && this.#isAbout(other, question)) return i;
    }
    this.#turn = (this.#turn + 1) % ways;
    return free < 0 ? first + this.#turn : free;
  }

  /** The asker's id, flags, spelling and OPT. */
  #address(question: Span, answer: Span, stored: Uint8Array): void {
    const from = question.bytes;
    const { at } = question;
    const { bytes: to, at: start } = answer;
    to[start] = from[at]!;
    to[start + 1] = from[at + 1]!;
    const asked = readU16BE(from, at + 2);
    const dnssecOk = (this.#variant & 1) !== 0;
    // "Validated" is told only to those who asked (RFC 6840 §5.8).
    const wantsValidation = dnssecOk || (asked & flag.authenticated) !== 0;
    const told = readU16BE(stored, 2);
    const kept = told & (flag.truncated | flag.rcode | (wantsValidation ? flag.authenticated : 0));
    const echoed = asked & (flag.recursionDesired | flag.checkingDisabled);
    writeU16BE(to, start + 2, flag.response | flag.recursionAvailable | echoed | kept);
    const nameSize = this.#nameEnd - at - headerSize;
    for (let i = headerSize; i < headerSize + nameSize; i++) to[start + i] = from[at + i]!;
    if (!this.#hasOpt) return;
    writeU16BE(to, start + 10, readU16BE(stored, 10) + 1);
    to[start + stored.length - optSize + 7] = dnssecOk ? 0x80 : 0;
  }
}

/** Runs the TTLs down, once a second for all who ask in it. */
function age(entry: HotEntry, seconds: number): void {
  const { ttls, ttlOffsets, bytes } = entry;
  for (let i = 0; i < ttls.length; i++) {
    const ttl = Math.min(maxTtlSeconds, Math.max(0, ttls[i]! - seconds));
    writeU32BE(bytes, ttlOffsets[i]!, ttl);
  }
  entry.agedSeconds = seconds;
}

function clampTtl(ttl: number): number {
  return ttl > 0x7fff_ffff ? 0 : ttl;
}
