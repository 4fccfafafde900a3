/**
 * A lazy view over one DNS message (RFC 1035 §4). The bytes stay as they came; nothing is decoded before
 * somebody asks. Hostile bytes never throw and cost work bounded by their length.
 */

import { readU16BE, readU32BE } from '../base/bytes.ts';
import { decodeName, expandName, lowerByte, sameName, skipName } from './name.ts';
import { flag, headerSize, maxMessageSize, rcode, recordClass, recordType } from './types.ts';

export interface Question {
  /** Text, case kept, without the last dot. */
  readonly name: string;
  /** Where the name stands in the message, uncompressed: `end` is behind its last byte. */
  readonly nameAt: number;
  readonly nameEnd: number;
  readonly type: number;
  readonly class: number;
  /** Behind type and class. */
  readonly end: number;
}

export type Section = 'answer' | 'authority' | 'additional';

/** Where a resource record stands in its message. */
export interface RecordView {
  readonly section: Section;
  /** Of the owner's name, which is also where the record starts. */
  readonly nameAt: number;
  readonly type: number;
  readonly class: number;
  /** Seconds; a value with the top bit set counts as 0 (RFC 2181 §8). */
  readonly ttl: number;
  readonly ttlAt: number;
  readonly rdataAt: number;
  /** Behind the record. */
  readonly end: number;
}

/** One address of an answer. */
export interface AnswerAddress {
  /** 4 or 16 bytes, a copy. */
  readonly address: Uint8Array;
  /** Seconds: the least of the record and of the aliases that led to it. */
  readonly ttl: number;
}

/** The OPT record of a message (RFC 6891 §6.1). */
export interface OptView {
  readonly udpSize: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  /** The upper eight bits of the answer's code. */
  readonly extendedRcode: number;
  readonly record: RecordView;
}

/** An EDNS option; `bytes` is a view into the message. */
export interface EdnsOption {
  readonly code: number;
  readonly bytes: Uint8Array;
}

/** Longest chain of aliases that is followed, and most records of an answer that are looked at for it. */
const maxAliases = 16;
const maxChainRecords = 256;
/** Most options of one OPT record that are looked at. */
const maxOptions = 64;
/** Serial, refresh, retry, expire and minimum, behind the two names of SOA. */
const soaNumbersSize = 20;

/**
 * A view over `bytes`, which must not change while it is used. Undefined where there is no whole header, more
 * than one question, or a question that can't be read. The records may still be malformed: `isWellFormed`.
 */
export function readMessage(bytes: Uint8Array): DnsMessage | undefined {
  if (bytes.length < headerSize || bytes.length > maxMessageSize) return undefined;
  const questions = readU16BE(bytes, 4);
  if (questions > 1) return undefined;
  if (questions === 0) return new DnsMessage(bytes, undefined);
  const nameEnd = skipName(bytes, headerSize);
  // A pointer in the first name could only point into the header.
  if (nameEnd < 0 || nameEnd + 4 > bytes.length || !isUncompressed(bytes, headerSize, nameEnd))
    return undefined;
  return new DnsMessage(bytes, new QuestionView(bytes, nameEnd));
}

/** A name that skipName has measured ends in a pointer or in the root. */
function isUncompressed(bytes: Uint8Array, at: number, end: number): boolean {
  while (at < end && bytes[at]! <= 63 && bytes[at]! > 0) at += bytes[at]! + 1;
  return at === end - 1 && bytes[at] === 0;
}

/** The question; its text is made when somebody asks for it. */
class QuestionView implements Question {
  readonly nameAt: number = headerSize;
  readonly nameEnd: number;
  readonly type: number;
  readonly class: number;
  readonly end: number;
  readonly #bytes: Uint8Array;
  #name: string | undefined;

  constructor(bytes: Uint8Array, nameEnd: number) {
    this.#bytes = bytes;
    this.nameEnd = nameEnd;
    this.type = readU16BE(bytes, nameEnd);
    this.class = readU16BE(bytes, nameEnd + 2);
    this.end = nameEnd + 4;
  }

  get name(): string {
    this.#name ??= decodeName(this.#bytes, headerSize) ?? '.';
    return this.#name;
  }
}

export class DnsMessage {
  /** The whole message as it came. */
  readonly bytes: Uint8Array;
  readonly question: Question | undefined;
  #records: readonly RecordView[] | undefined;
  #isWellFormed = true;
  #opt: OptView | undefined;
  #hasOpt: boolean | undefined;

  /** Use `readMessage`, which has checked the header and the question. */
  constructor(bytes: Uint8Array, question: Question | undefined) {
    this.bytes = bytes;
    this.question = question;
  }

  get id(): number {
    return readU16BE(this.bytes, 0);
  }

  /** The 16 bits of `flag`. */
  get flags(): number {
    return readU16BE(this.bytes, 2);
  }

  get opcode(): number {
    return (this.flags & flag.opcode) >>> 11;
  }

  get isResponse(): boolean {
    return (this.flags & flag.response) !== 0;
  }

  get isTruncated(): boolean {
    return (this.flags & flag.truncated) !== 0;
  }

  get recursionDesired(): boolean {
    return (this.flags & flag.recursionDesired) !== 0;
  }

  get isAuthenticated(): boolean {
    return (this.flags & flag.authenticated) !== 0;
  }

  get checkingDisabled(): boolean {
    return (this.flags & flag.checkingDisabled) !== 0;
  }

  /** All twelve bits, those of OPT included. */
  get rcode(): number {
    return (this.flags & flag.rcode) | ((this.opt()?.extendedRcode ?? 0) << 4);
  }

  /** Whether every record that the header counts is there, and at most one OPT, in its place. */
  get isWellFormed(): boolean {
    this.records();
    return this.#isWellFormed;
  }

  /** Every record in order, up to the first malformed one. */
  records(): readonly RecordView[] {
    this.#records ??= this.#walk();
    return this.#records;
  }

  /** The records of one section. */
  section(section: Section): readonly RecordView[] {
    return this.records().filter((record) => record.section === section);
  }

  answers(): readonly RecordView[] {
    return this.section('answer');
  }

  /** Text of a record's owner. */
  ownerOf(record: RecordView): string | undefined {
    return decodeName(this.bytes, record.nameAt);
  }

  /** A view of a record's value; names inside may be compressed. */
  rdataOf(record: RecordView): Uint8Array {
    return this.bytes.subarray(record.rdataAt, record.end);
  }

  /**
   * The addresses that answer the question (type A or AAAA), reached from its name over aliases, in the order
   * of the answer. Empty for other types.
   */
  addresses(): readonly AnswerAddress[] {
    const { question } = this;
    if (question === undefined) return [];
    const size = addressSize(question.type);
    if (size === 0) return [];
    let nameAt = question.nameAt;
    let ttl = Infinity;
    const answers = this.answers().slice(0, maxChainRecords);
    for (let aliases = 0; aliases <= maxAliases; aliases++) {
      const owned = answers.filter((record) => this.#belongs(record, nameAt));
      const found = owned.filter((record) => record.type === question.type && sizeOf(record) === size);
      if (found.length > 0) {
        return found.map((record) => ({
          address: this.rdataOf(record).slice(),
          ttl: Math.min(ttl, record.ttl),
        }));
      }
      const alias = owned.find((record) => record.type === recordType.cname);
      if (alias === undefined) return [];
      ttl = Math.min(ttl, alias.ttl);
      nameAt = alias.rdataAt;
    }
    return [];
  }

  /** The names that the aliases of the answer lead to, in order, from the question's name on, without it. */
  aliases(): readonly string[] {
    const names: string[] = [];
    let nameAt = this.question?.nameAt ?? 0;
    const aliases = this.answers()
      .slice(0, maxChainRecords)
      .filter((record) => record.type === recordType.cname);
    while (names.length < maxAliases) {
      const at = nameAt;
      const alias = aliases.find((record) => this.#belongs(record, at));
      const target = alias === undefined ? undefined : decodeName(this.bytes, alias.rdataAt);
      if (alias === undefined || target === undefined) break;
      names.push(target);
      nameAt = alias.rdataAt;
    }
    return names;
  }

  /** Seconds: the least TTL of all records but OPT; undefined where there are none. */
  minTtl(): number | undefined {
    let least: number | undefined;
    for (const record of this.records()) {
      if (record.type !== recordType.opt && (least === undefined || record.ttl < least)) least = record.ttl;
    }
    return least;
  }

  /** Whether the answer says that there is nothing: no such name, or nothing of the type (RFC 2308 §2). */
  get isNegative(): boolean {
    if (this.rcode === rcode.nxDomain) return true;
    if (this.rcode !== rcode.noError) return false;
    const type = this.question?.type;
    for (const record of this.records()) {
      if (record.section === 'answer' && (record.type === type || type === recordType.any)) return false;
    }
    return true;
  }

  /** Seconds for which "there is nothing" may be kept: the least of SOA's TTL and minimum; undefined without SOA. */
  negativeTtl(): number | undefined {
    for (const record of this.records()) {
      if (record.section !== 'authority' || record.type !== recordType.soa) continue;
      const mailbox = skipName(this.bytes, record.rdataAt);
      const numbers = mailbox < 0 ? -1 : skipName(this.bytes, mailbox);
      if (numbers < 0 || numbers + soaNumbersSize > record.end) return undefined;
      return Math.min(record.ttl, clampTtl(readU32BE(this.bytes, numbers + soaNumbersSize - 4)));
    }
    return undefined;
  }

  opt(): OptView | undefined {
    if (this.#hasOpt === undefined) {
      this.#opt = this.#findOpt();
      this.#hasOpt = this.#opt !== undefined;
    }
    return this.#opt;
  }

  #findOpt(): OptView | undefined {
    const record = this.records().findLast((candidate) => candidate.type === recordType.opt);
    if (record === undefined || !this.#isWellFormed) return undefined;
    const { bytes } = this;
    return {
      udpSize: record.class,
      extendedRcode: bytes[record.ttlAt]!,
      version: bytes[record.ttlAt + 1]!,
      dnssecOk: (bytes[record.ttlAt + 2]! & 0x80) !== 0,
      record,
    };
  }

  /** The options of OPT, up to the first malformed one. */
  options(): readonly EdnsOption[] {
    const options: EdnsOption[] = [];
    const opt = this.opt();
    if (opt === undefined) return options;
    const { end } = opt.record;
    let at = opt.record.rdataAt;
    while (at + 4 <= end && options.length < maxOptions) {
      const next = at + 4 + readU16BE(this.bytes, at + 2);
      if (next > end) break;
      options.push({ code: readU16BE(this.bytes, at), bytes: this.bytes.subarray(at + 4, next) });
      at = next;
    }
    return options;
  }

  /** The question's name in wire form, case kept: a view into the message. */
  get questionName(): Uint8Array {
    const { question } = this;
    return this.bytes.subarray(question?.nameAt ?? 0, question?.nameEnd ?? 0);
  }

  /** Name in lower case, type, class and `mark` (16 bits), as a text to find equal questions by. Not for people. */
  questionKey(mark = 0): string {
    const { question, bytes } = this;
    if (question === undefined) return '';
    const { nameAt, nameEnd } = question;
    // Of the final size at once: this happens for every question.
    const codes: number[] = [];
    codes.length = nameEnd - nameAt + 3;
    for (let i = nameAt; i < nameEnd; i++) codes[i - nameAt] = lowerByte(bytes[i]!);
    codes[nameEnd - nameAt] = question.type;
    codes[nameEnd - nameAt + 1] = question.class;
    codes[nameEnd - nameAt + 2] = mark;
    return String.fromCharCode(...codes);
  }

  #belongs(record: RecordView, nameAt: number): boolean {
    return record.class === recordClass.in && sameName(this.bytes, record.nameAt, this.bytes, nameAt);
  }

  #walk(): readonly RecordView[] {
    const records: RecordView[] = [];
    let at = this.question?.end ?? headerSize;
    let opts = 0;
    for (const [i, section] of sections.entries()) {
      const count = readU16BE(this.bytes, 6 + 2 * i);
      // Every record takes eleven bytes at least, so the length of the message bounds the loop.
      for (let n = 0; n < count; n++) {
        const record = readRecord(this.bytes, at, section);
        const isOpt = record?.type === recordType.opt;
        if (record === undefined || (isOpt && (section !== 'additional' || ++opts > 1))) {
          this.#isWellFormed = false;
          return records;
        }
        records.push(record);
        at = record.end;
      }
    }
    return records;
  }
}

const sections: readonly Section[] = ['answer', 'authority', 'additional'];

function readRecord(bytes: Uint8Array, at: number, section: Section): RecordView | undefined {
  const fixed = skipName(bytes, at);
  if (fixed < 0 || fixed + 10 > bytes.length) return undefined;
  const rdataAt = fixed + 10;
  const end = rdataAt + readU16BE(bytes, fixed + 8);
  if (end > bytes.length) return undefined;
  return {
    section,
    nameAt: at,
    type: readU16BE(bytes, fixed),
    class: readU16BE(bytes, fixed + 2),
    ttl: clampTtl(readU32BE(bytes, fixed + 4)),
    ttlAt: fixed + 4,
    rdataAt,
    end,
  };
}

function clampTtl(ttl: number): number {
  return ttl > 0x7fff_ffff ? 0 : ttl;
}

function sizeOf(record: RecordView): number {
  return record.end - record.rdataAt;
}

function addressSize(type: number): number {
  if (type === recordType.a) return 4;
  return type === recordType.aaaa ? 16 : 0;
}

/** The wire form of the name that a record's value starts with (CNAME, NS, PTR), uncompressed. */
export function targetOf(message: DnsMessage, record: RecordView): Uint8Array | undefined {
  return expandName(message.bytes, record.rdataAt);
}
