/**
 * EDNS is between two neighbours only (RFC 6891 §6.2.3): towards an upstream the query is rebuilt with an OPT
 * of our own, without the asker's client subnet, cookie or padding (RFC 7871 §11.1, RFC 7873, RFC 8467); an
 * answer is stripped before it is kept and dressed for whoever asked.
 */

import { concat, readU16BE, writeU16BE, writeU32BE } from '../base/bytes.ts';
import { lowerByte, sameName } from './name.ts';
import type { DnsMessage, Question, RecordView } from './reader.ts';
import { ednsOption, flag, headerSize, maxMessageSize, rcode, recordType, safeUdpSize } from './types.ts';
import { answerFlags, type ExtendedError, writeExtendedError, writeOpt } from './writer.ts';

/** An answer without what belongs to one hop. Its bytes must not be changed: askers get copies. */
export interface StoredAnswer {
  /** Id 0, no OPT, question in lower case. */
  readonly bytes: Uint8Array;
  /** Where the TTLs stand. */
  readonly ttlOffsets: readonly number[];
  /** All twelve bits. */
  readonly rcode: number;
  /** The extended errors that came with it, whole options. */
  readonly errors: Uint8Array;
}

export interface ForwardOptions {
  readonly id: number;
  readonly udpSize: number;
  /** 0: no padding. */
  readonly padTo: number;
}

/** How an answer is given to one asker. */
export interface Dressing {
  /** Seconds by which the TTLs have run down. */
  readonly ageSeconds: number;
  /** Every TTL is this instead: for answers that are past their time (RFC 8767 §4). */
  readonly staleTtl?: number;
  /** Added to those of the answer. */
  readonly extendedError?: ExtendedError;
  /** Pads to a multiple of this where the asker has EDNS; for encrypted listeners (468). */
  readonly padTo?: number;
}

/** Block of a query's padding, RFC 8467 §4.1. */
export const queryPadding = 128;
/** Most bytes of extended errors that are kept with an answer. */
const maxErrorBytes = 256;
/** Types whose value has no compressed name: their records may be moved. */
const movableTypes: ReadonlySet<number> = new Set([
  recordType.a,
  recordType.aaaa,
  recordType.txt,
  recordType.rrsig,
  recordType.svcb,
  recordType.https,
]);
const noErrors = new Uint8Array(0);
const bareOptSize = 11;

/**
 * The query as it goes to an upstream: the name in lower case, recursion desired, validation asked for, DO and
 * CD as they were, nothing else of the asker's.
 */
export function forwardQuery(query: DnsMessage, options: ForwardOptions): Uint8Array {
  const { id, udpSize, padTo } = options;
  const name = query.questionName;
  const before = headerSize + name.length + 4;
  const unpadded = before + bareOptSize + 4;
  // One array of the final size: this happens for every question that nobody knows.
  const bytes = new Uint8Array(padTo === 0 ? unpadded - 4 : Math.ceil(unpadded / padTo) * padTo);
  writeU16BE(bytes, 0, id);
  const disabled = query.checkingDisabled ? flag.checkingDisabled : 0;
  writeU16BE(bytes, 2, flag.recursionDesired | flag.authenticated | disabled);
  writeU16BE(bytes, 4, 1);
  writeU16BE(bytes, 10, 1);
  for (let i = 0; i < name.length; i++) bytes[headerSize + i] = lowerByte(name[i]!);
  writeU16BE(bytes, before - 4, query.question?.type ?? 0);
  writeU16BE(bytes, before - 2, query.question?.class ?? 0);
  writeU16BE(bytes, before + 1, recordType.opt);
  writeU16BE(bytes, before + 3, udpSize);
  bytes[before + 7] = query.opt()?.dnssecOk === true ? 0x80 : 0;
  if (padTo === 0) return bytes;
  writeU16BE(bytes, before + 9, bytes.length - before - bareOptSize);
  writeU16BE(bytes, before + bareOptSize, ednsOption.padding);
  writeU16BE(bytes, before + bareOptSize + 2, bytes.length - unpadded);
  return bytes;
}

/** True where `answer` is one to the question of `query`; the id is the transport's to check. */
export function answersQuestion(query: DnsMessage, answer: DnsMessage): boolean {
  const asked = query.question;
  const told = answer.question;
  if (asked === undefined || told === undefined || !answer.isResponse || answer.opcode !== 0) return false;
  if (asked.type !== told.type || asked.class !== told.class) return false;
  return sameName(query.bytes, asked.nameAt, answer.bytes, told.nameAt);
}

/** What may be kept of a well-formed answer; undefined where it is malformed. */
export function stripAnswer(answer: DnsMessage): StoredAnswer | undefined {
  if (!answer.isWellFormed || answer.question === undefined) return undefined;
  const records = answer.records();
  const opt = answer.opt()?.record;
  const { nameEnd } = answer.question;
  if (opt === undefined || opt === records.at(-1)) return stripLast(answer, answer.question, records, opt);
  const before = records.filter((record) => opt === undefined || record.nameAt < opt.nameAt);
  const behind = opt === undefined ? [] : records.filter((record) => record.nameAt > opt.nameAt);
  const moved = behind.filter((record) => canMove(answer.bytes, record, opt?.nameAt ?? 0));
  const end = before.at(-1)?.end ?? answer.question.end;
  const bytes =
    moved.length === 0
      ? answer.bytes.slice(0, end)
      : concat(
          answer.bytes.subarray(0, end),
          ...moved.map((record) => answer.bytes.subarray(record.nameAt, record.end)),
        );
  const offsets = before.map((record) => record.ttlAt);
  let shifted = end;
  for (const record of moved) {
    offsets.push(shifted + record.ttlAt - record.nameAt);
    shifted += record.end - record.nameAt;
  }
  writeU16BE(bytes, 0, 0);
  writeU16BE(bytes, 10, moved.length + before.filter((record) => record.section === 'additional').length);
  for (let i = headerSize; i < nameEnd; i++) bytes[i] = lowerByte(bytes[i]!);
  return { bytes, ttlOffsets: offsets, rcode: answer.rcode, errors: errorsOf(answer) };
}

/** The usual case: OPT is the last record, or there is none. */
function stripLast(
  answer: DnsMessage,
  question: Question,
  records: readonly RecordView[],
  opt: RecordView | undefined,
): StoredAnswer {
  const kept = opt === undefined ? records.length : records.length - 1;
  const end = kept === 0 ? question.end : records[kept - 1]!.end;
  const bytes = new Uint8Array(end);
  bytes.set(answer.bytes.subarray(0, end));
  const ttlOffsets: number[] = [];
  for (let i = 0; i < kept; i++) ttlOffsets.push(records[i]!.ttlAt);
  writeU16BE(bytes, 0, 0);
  if (opt !== undefined) writeU16BE(bytes, 10, readU16BE(bytes, 10) - 1);
  for (let i = headerSize; i < question.nameEnd; i++) bytes[i] = lowerByte(bytes[i]!);
  return { bytes, ttlOffsets, rcode: answer.rcode, errors: opt === undefined ? noErrors : errorsOf(answer) };
}

/** Whether a record behind OPT stays right when OPT goes: no name in it may point behind OPT, or to itself. */
function canMove(bytes: Uint8Array, record: RecordView, optAt: number): boolean {
  if (!movableTypes.has(record.type)) return false;
  const pointer = readU16BE(bytes, record.nameAt);
  return record.ttlAt === record.nameAt + 6 && pointer >= 0xc000 && (pointer & 0x3fff) < optAt;
}

/** Without objects: padding, which most encrypted answers have, is nothing to us. */
function hasErrors(bytes: Uint8Array, opt: RecordView): boolean {
  let at = opt.rdataAt;
  while (at + 4 <= opt.end) {
    if (readU16BE(bytes, at) === ednsOption.extendedError) return true;
    at += 4 + readU16BE(bytes, at + 2);
  }
  return false;
}

function errorsOf(answer: DnsMessage): Uint8Array {
  const opt = answer.opt()?.record;
  if (opt === undefined || !hasErrors(answer.bytes, opt)) return noErrors;
  const found = answer.options().filter((option) => option.code === ednsOption.extendedError);
  const whole: Uint8Array[] = [];
  let length = 0;
  for (const { bytes } of found) {
    // An extended error has a code of two bytes at least.
    if (bytes.length < 2 || length + 4 + bytes.length > maxErrorBytes) continue;
    const option = new Uint8Array(4 + bytes.length);
    writeU16BE(option, 0, ednsOption.extendedError);
    writeU16BE(option, 2, bytes.length);
    option.set(bytes, 4);
    whole.push(option);
    length += option.length;
  }
  return concat(...whole);
}

/**
 * The answer for one asker, a new array: its id, its spelling of the name, its flags, TTLs run down, OPT
 * exactly where the query had it. "Validated" is told only to those who asked (RFC 6840 §5.8).
 */
export function dressAnswer(query: DnsMessage, stored: StoredAnswer, dressing: Dressing): Uint8Array {
  const opt = query.opt();
  const { length } = stored.bytes;
  const isPlain =
    dressing.extendedError === undefined && dressing.padTo === undefined && stored.errors.length === 0;
  const optBytes = opt === undefined || isPlain ? noErrors : dressOpt(opt.dnssecOk, stored, dressing);
  const optSize = opt === undefined ? 0 : isPlain ? bareOptSize : optBytes.length;
  const hasOpt = optSize > 0 && length + optSize <= maxMessageSize;
  const bytes = new Uint8Array(hasOpt ? length + optSize : length);
  bytes.set(stored.bytes);
  if (hasOpt && isPlain) writeBareOpt(bytes, length, stored.rcode, opt?.dnssecOk ?? false);
  else if (hasOpt) bytes.set(optBytes, length);
  const nameEnd = query.question?.nameEnd ?? headerSize;
  for (let i = headerSize; i < nameEnd; i++) bytes[i] = query.bytes[i]!;
  writeU16BE(bytes, 0, query.id);
  writeU16BE(bytes, 2, dressedFlags(query, stored, opt?.dnssecOk ?? false));
  if (hasOpt) writeU16BE(bytes, 10, readU16BE(bytes, 10) + 1);
  countDown(bytes, stored.ttlOffsets, dressing);
  return bytes;
}

/** OPT without options, straight into the message: the usual case, many thousand times a second. */
function writeBareOpt(bytes: Uint8Array, at: number, code: number, dnssecOk: boolean): void {
  writeU16BE(bytes, at + 1, recordType.opt);
  writeU16BE(bytes, at + 3, safeUdpSize);
  bytes[at + 5] = code >>> 4;
  bytes[at + 7] = dnssecOk ? 0x80 : 0;
}

function dressOpt(dnssecOk: boolean, stored: StoredAnswer, dressing: Dressing): Uint8Array {
  const { extendedError, padTo = 0 } = dressing;
  const options =
    extendedError === undefined ? stored.errors : concat(writeExtendedError(extendedError), stored.errors);
  const before = stored.bytes.length;
  const extendedRcode = stored.rcode >>> 4;
  return writeOpt({
    udpSize: safeUdpSize,
    dnssecOk,
    extendedRcode,
    options,
    before,
    padTo,
    maxSize: maxMessageSize,
  });
}

function dressedFlags(query: DnsMessage, stored: StoredAnswer, dnssecOk: boolean): number {
  const told = readU16BE(stored.bytes, 2);
  const wantsValidation = dnssecOk || query.isAuthenticated;
  const kept = told & (flag.truncated | (wantsValidation ? flag.authenticated : 0));
  const needsEdns = stored.rcode > flag.rcode && query.opt() === undefined;
  return answerFlags(query) | kept | (needsEdns ? rcode.servFail : stored.rcode & flag.rcode);
}

function countDown(bytes: Uint8Array, offsets: readonly number[], dressing: Dressing): void {
  const { ageSeconds, staleTtl } = dressing;
  for (const at of offsets) {
    const ttl = bytes[at]! >= 0x80 ? 0 : readTtl(bytes, at);
    writeU32BE(bytes, at, staleTtl ?? Math.min(maxTtlSeconds, Math.max(0, ttl - ageSeconds)));
  }
}

/** Nobody is told to keep an answer for longer than a day: what was kept by mistake heals. */
export const maxTtlSeconds: number = 24 * 60 * 60;

function readTtl(bytes: Uint8Array, at: number): number {
  return readU16BE(bytes, at) * 0x1_0000 + readU16BE(bytes, at + 2);
}
