/**
 * Writes the few messages that are ours: queries, refusals, failures, addresses of names that we own, and
 * answers cut to a size by whole record sets. Forwarded answers are never written here, only patched (edns.ts,
 * cache.ts).
 */

import { concat, readU16BE, writeU16BE, writeU32BE } from '../base/bytes.ts';
import { encodeName, sameName } from './name.ts';
import type { DnsMessage, RecordView } from './reader.ts';
import { ednsOption, flag, headerSize, rcode, recordClass, recordType, safeUdpSize } from './types.ts';

export interface QueryEdns {
  /** Largest answer that we take over UDP. */
  readonly udpSize: number;
  readonly dnssecOk?: boolean;
  /** Pads the message to a multiple of so many bytes (RFC 8467 says 128 for queries). */
  readonly padTo?: number;
}

export interface QueryRequest {
  readonly id: number;
  /** Text (see encodeName), or the uncompressed wire form. */
  readonly name: string | Uint8Array;
  readonly type: number;
  /** Default: IN. */
  readonly class?: number;
  /** Default: true. */
  readonly recursionDesired?: boolean;
  readonly checkingDisabled?: boolean;
  /** Asks to be told whether the answer was validated (RFC 6840 §5.7). */
  readonly authenticated?: boolean;
  readonly edns?: QueryEdns;
}

/** RFC 8914: a number of `extendedError` and, where it helps people, a few ASCII words. */
export interface ExtendedError {
  readonly code: number;
  readonly text?: string;
}

/** A record of an answer that we write ourselves. */
export interface OwnRecord {
  /** Wire form; undefined: the question's name. */
  readonly name?: Uint8Array;
  readonly type: number;
  /** Seconds. */
  readonly ttl: number;
  readonly rdata: Uint8Array;
}

export interface OwnAnswer {
  /** Up to 4095; above 15 only where the query has EDNS. */
  readonly rcode: number;
  readonly authoritative?: boolean;
  readonly answers?: readonly OwnRecord[];
  readonly authority?: readonly OwnRecord[];
  /** Dropped where the query has no EDNS. */
  readonly extendedError?: ExtendedError;
}

const optFixedSize = 11;
const optionHeaderSize = 4;
const maxErrorText = 128;
const pointerToQuestion = 0xc000 | headerSize;

/** A query; undefined where `name` is no name. */
export function writeQuery(request: QueryRequest): Uint8Array | undefined {
  const name = typeof request.name === 'string' ? encodeName(request.name) : request.name;
  if (name === undefined) return undefined;
  const fixed = new Uint8Array(headerSize + name.length + 4);
  const desired = request.recursionDesired === false ? 0 : flag.recursionDesired;
  const disabled = request.checkingDisabled === true ? flag.checkingDisabled : 0;
  const authenticated = request.authenticated === true ? flag.authenticated : 0;
  writeU16BE(fixed, 0, request.id);
  writeU16BE(fixed, 2, desired | disabled | authenticated);
  writeU16BE(fixed, 4, 1);
  fixed.set(name, headerSize);
  writeU16BE(fixed, headerSize + name.length, request.type);
  writeU16BE(fixed, headerSize + name.length + 2, request.class ?? recordClass.in);
  if (request.edns === undefined) return fixed;
  writeU16BE(fixed, 10, 1);
  const { udpSize, dnssecOk = false, padTo = 0 } = request.edns;
  return concat(fixed, writeOpt({ udpSize, dnssecOk, before: fixed.length, padTo }));
}

export interface OptRequest {
  readonly udpSize: number;
  readonly dnssecOk: boolean;
  readonly extendedRcode?: number;
  /** Whole options, header included. */
  readonly options?: Uint8Array;
  /** Size of the message without OPT, for the padding. */
  readonly before: number;
  /** Pads the whole message to a multiple of this; 0: no padding option. */
  readonly padTo?: number;
  /** Padding never makes the message longer than this. Default: no limit. */
  readonly maxSize?: number;
}

/** An OPT record (RFC 6891 §6.1.2), with the padding option last (RFC 7830, RFC 8467 §4.1). */
export function writeOpt(request: OptRequest): Uint8Array {
  const options = request.options ?? new Uint8Array(0);
  const unpadded = request.before + optFixedSize + options.length + optionHeaderSize;
  const { padTo = 0, maxSize = Infinity } = request;
  const padded = padTo === 0 ? 0 : Math.min(Math.ceil(unpadded / padTo) * padTo, maxSize);
  const padding = padded < unpadded || padTo === 0 ? 0 : optionHeaderSize + padded - unpadded;
  const opt = new Uint8Array(optFixedSize + options.length + padding);
  writeU16BE(opt, 1, recordType.opt);
  writeU16BE(opt, 3, request.udpSize);
  opt[5] = request.extendedRcode ?? 0;
  opt[7] = request.dnssecOk ? 0x80 : 0;
  writeU16BE(opt, 9, options.length + padding);
  opt.set(options, optFixedSize);
  if (padding > 0) {
    writeU16BE(opt, optFixedSize + options.length, ednsOption.padding);
    writeU16BE(opt, optFixedSize + options.length + 2, padding - optionHeaderSize);
  }
  return opt;
}

/** The extended error as a whole EDNS option. Characters outside ASCII are left out. */
export function writeExtendedError(error: ExtendedError): Uint8Array {
  const text = (error.text ?? '').replace(/[^\x20-\x7e]/g, '').slice(0, maxErrorText);
  const option = new Uint8Array(optionHeaderSize + 2 + text.length);
  writeU16BE(option, 0, ednsOption.extendedError);
  writeU16BE(option, 2, 2 + text.length);
  writeU16BE(option, 4, error.code);
  for (let i = 0; i < text.length; i++) option[6 + i] = text.charCodeAt(i);
  return option;
}

/** An answer of our own to `query`: its question as it was asked, OPT exactly where it had one. */
export function writeAnswer(query: DnsMessage, answer: OwnAnswer): Uint8Array {
  const answers = answer.answers ?? [];
  const authority = answer.authority ?? [];
  const opt = query.opt();
  const questionEnd = query.question?.end ?? headerSize;
  const parts = [query.bytes.slice(0, questionEnd), ...[...answers, ...authority].map(writeRecord)];
  const header = parts[0]!;
  if (opt !== undefined) {
    const options =
      answer.extendedError === undefined ? {} : { options: writeExtendedError(answer.extendedError) };
    const extendedRcode = answer.rcode >>> 4;
    const { dnssecOk } = opt;
    parts.push(writeOpt({ udpSize: safeUdpSize, dnssecOk, extendedRcode, before: 0, ...options }));
  }
  // A code that only EDNS can carry is a failure to those without.
  const code = opt === undefined && answer.rcode > flag.rcode ? rcode.servFail : answer.rcode & flag.rcode;
  writeU16BE(header, 2, answerFlags(query) | (answer.authoritative === true ? flag.authoritative : 0) | code);
  writeU16BE(header, 4, query.question === undefined ? 0 : 1);
  writeU16BE(header, 6, answers.length);
  writeU16BE(header, 8, authority.length);
  writeU16BE(header, 10, opt === undefined ? 0 : 1);
  return concat(...parts);
}

/** Flags that every answer to `query` has: what it asked with, and that we do recurse. */
export function answerFlags(query: DnsMessage): number {
  const echoed = query.flags & (flag.opcode | flag.recursionDesired | flag.checkingDisabled);
  return flag.response | flag.recursionAvailable | echoed;
}

function writeRecord(record: OwnRecord): Uint8Array {
  const name = record.name ?? Uint8Array.of(pointerToQuestion >>> 8, pointerToQuestion & 0xff);
  const fixed = new Uint8Array(10);
  writeU16BE(fixed, 0, record.type);
  writeU16BE(fixed, 2, recordClass.in);
  writeU32BE(fixed, 4, record.ttl);
  writeU16BE(fixed, 8, record.rdata.length);
  return concat(name, fixed, record.rdata);
}

/** NOERROR with addresses (4 or 16 bytes) of the question's own name. Those of the other family are left out. */
export function writeAddressAnswer(
  query: DnsMessage,
  addresses: readonly Uint8Array[],
  ttl: number,
): Uint8Array {
  const type = query.question?.type;
  const wanted = type === recordType.a ? 4 : type === recordType.aaaa ? 16 : 0;
  const answers = addresses
    .filter((address) => address.length === wanted)
    .map((rdata) => ({ type: type ?? recordType.a, ttl, rdata }));
  return writeAnswer(query, { rcode: rcode.noError, authoritative: true, answers });
}

/**
 * FORMERR for bytes that can't be read as a query: the header alone (RFC 1035 §4.1.1). Undefined where there is
 * no header, or where it is an answer: those are never answered.
 */
export function writeFormatError(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < headerSize || (bytes[2]! & 0x80) !== 0) return undefined;
  const header = new Uint8Array(headerSize);
  header.set(bytes.subarray(0, 2));
  const echoed = readU16BE(bytes, 2) & (flag.opcode | flag.recursionDesired);
  writeU16BE(header, 2, flag.response | flag.recursionAvailable | echoed | rcode.formErr);
  return header;
}

/**
 * `answer` in at most `maxBytes`: whole record sets from its end left out, OPT kept, TC set where an answer or
 * the authority of a negative one had to go (RFC 2181 §9, RFC 6891 §7). The same array where it fits.
 * `maxBytes` is 512 at least.
 */
export function fitAnswer(answer: DnsMessage, maxBytes: number): Uint8Array {
  const { bytes } = answer;
  if (bytes.length <= maxBytes) return bytes;
  const records = answer.records();
  const opt = answer.opt()?.record;
  const plain = records.filter((record) => record !== opt);
  const optBytes = opt === undefined ? new Uint8Array(0) : unpadded(bytes.subarray(opt.nameAt, opt.end));
  const questionEnd = answer.question?.end ?? headerSize;
  let kept = countThatFit(plain, questionEnd, maxBytes - optBytes.length);
  // A set is whole or gone; its signatures may stay behind.
  while (kept > 0 && kept < plain.length && sameSet(bytes, plain[kept - 1]!, plain[kept]!)) kept--;
  const end = kept === 0 ? questionEnd : plain[kept - 1]!.end;
  const cut = concat(bytes.subarray(0, end), optBytes);
  const count = (section: RecordView['section']): number =>
    plain.slice(0, kept).filter((record) => record.section === section).length;
  const lost = plain.slice(kept).some((record) => record.section !== 'additional');
  writeU16BE(cut, 2, readU16BE(cut, 2) | (lost ? flag.truncated : 0));
  writeU16BE(cut, 6, count('answer'));
  writeU16BE(cut, 8, count('authority'));
  writeU16BE(cut, 10, count('additional') + (opt === undefined ? 0 : 1));
  return cut;
}

/** How many records, in one piece behind `start`, end within `room`: what stands behind an OPT can't stay. */
function countThatFit(records: readonly RecordView[], start: number, room: number): number {
  let kept = 0;
  let end = start;
  for (const record of records) {
    if (record.nameAt !== end || record.end > room) break;
    end = record.end;
    kept++;
  }
  return kept;
}

function sameSet(bytes: Uint8Array, a: RecordView, b: RecordView): boolean {
  return (
    a.section === b.section &&
    a.type === b.type &&
    a.class === b.class &&
    sameName(bytes, a.nameAt, bytes, b.nameAt)
  );
}

/** OPT without its options but for extended errors: what is cut for want of room carries no padding. */
function unpadded(opt: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [];
  let at = optFixedSize;
  let length = 0;
  while (at + optionHeaderSize <= opt.length) {
    const end = at + optionHeaderSize + readU16BE(opt, at + 2);
    if (end > opt.length) break;
    if (readU16BE(opt, at) === ednsOption.extendedError) {
      kept.push(opt.subarray(at, end));
      length += end - at;
    }
    at = end;
  }
  const whole = concat(opt.subarray(0, optFixedSize), ...kept);
  writeU16BE(whole, 9, length);
  return whole;
}
